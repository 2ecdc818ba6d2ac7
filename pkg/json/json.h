#pragma once
// JSON values over yyjson, which only this folder includes.
//
// Document owns an immutable parse (2 us for a 5 KB Pod); copies share it. Value is a view into
// one: two words, null-safe (asking an absent value for a member gives an absent value), valid
// while its Document lives. Draft owns a mutable tree; Node is a handle into one, valid while its
// Draft lives. Everything that is put into a Draft is copied into it, so no string or value needs
// to outlive the call.
//
// Threads: Documents and Values may be read by any number of threads; a Draft belongs to one.

#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct yyjson_val;
struct yyjson_mut_val;
struct yyjson_mut_doc;
struct yyjson_doc;

namespace wherry::json {

class Node;
struct Member;

enum class Type { kAbsent, kNull, kBool, kInt, kReal, kString, kArray, kObject };
std::string_view type_name(Type type);  // As Go's decoder names it: "string", "number", "bool", ...

class Value {
 public:
  Value() = default;
  explicit Value(yyjson_val* raw) : raw_(raw) {}

  explicit operator bool() const { return raw_ != nullptr; }  // Present (null is present).
  Type type() const;
  bool is_null() const { return type() == Type::kNull; }
  bool is_string() const { return type() == Type::kString; }
  bool is_bool() const { return type() == Type::kBool; }
  bool is_int() const { return type() == Type::kInt; }
  bool is_number() const { return type() == Type::kInt || type() == Type::kReal; }
  bool is_array() const { return type() == Type::kArray; }
  bool is_object() const { return type() == Type::kObject; }

  std::string_view as_string(std::string_view fallback = {}) const;
  int64_t as_int(int64_t fallback = 0) const;   // Integers; a whole real too; saturates.
  double as_double(double fallback = 0) const;  // Any number.
  bool as_bool(bool fallback = false) const;

  Value operator[](std::string_view key) const;  // First member of that name.
  Value at(size_t index) const;
  size_t size() const;  // Members or items; 0 for anything else.
  bool empty() const { return size() == 0; }

  // for (auto [key, value] : v.members()); for (Value item : v.items()). Empty for other types.
  class MemberRange;
  class ItemRange;
  MemberRange members() const;
  ItemRange items() const;

  std::vector<std::string> strings() const;  // as_string() of each item.

  std::string dump() const;              // Compact.
  void dump_to(std::string& out) const;  // The same, at the end of `out`.
  std::string dump_pretty() const;       // Four spaces, as kubectl prints.

  yyjson_val* raw() const { return raw_; }

 private:
  yyjson_val* raw_ = nullptr;
};

bool equal(Value a, Value b);  // Deep; member order does not matter. Absent equals absent.

struct Member {
  std::string_view key;
  Value value;
};

class Value::ItemRange {
 public:
  class Iterator {
   public:
    using value_type = Value;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(yyjson_val* at, size_t left) : at_(at), left_(left) {}
    Value operator*() const { return Value(at_); }
    Iterator& operator++();
    Iterator operator++(int) {
      Iterator old = *this;
      ++*this;
      return old;
    }
    bool operator==(const Iterator& other) const { return left_ == other.left_; }

   private:
    yyjson_val* at_ = nullptr;
    size_t left_ = 0;
  };
  ItemRange(yyjson_val* first, size_t count) : first_(first), count_(count) {}
  Iterator begin() const { return Iterator(first_, count_); }
  Iterator end() const { return Iterator(nullptr, 0); }

 private:
  yyjson_val* first_;
  size_t count_;
};

class Value::MemberRange {
 public:
  class Iterator {
   public:
    using value_type = Member;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(yyjson_val* key, size_t left) : key_(key), left_(left) {}
    Member operator*() const;
    Iterator& operator++();
    Iterator operator++(int) {
      Iterator old = *this;
      ++*this;
      return old;
    }
    bool operator==(const Iterator& other) const { return left_ == other.left_; }

   private:
    yyjson_val* key_ = nullptr;
    size_t left_ = 0;
  };
  MemberRange(yyjson_val* first, size_t count) : first_(first), count_(count) {}
  Iterator begin() const { return Iterator(first_, count_); }
  Iterator end() const { return Iterator(nullptr, 0); }

 private:
  yyjson_val* first_;
  size_t count_;
};

class WeakDocument;

class Document {
 public:
  Document() = default;  // Absent root.
  // kBadRequest with position and cause when the text is not one JSON value.
  static Result<Document> parse(std::string_view text);

  Value root() const;
  explicit operator bool() const { return doc_ != nullptr; }

 private:
  friend class Draft;
  friend class Node;
  friend class WeakDocument;
  explicit Document(yyjson_doc* doc);
  std::shared_ptr<yyjson_doc> doc_;
};

// Finds a Document again as long as somebody holds it.
class WeakDocument {
 public:
  WeakDocument() = default;
  explicit WeakDocument(const Document& document) : doc_(document.doc_) {}
  Document lock() const {
    Document held;
    held.doc_ = doc_.lock();
    return held;
  }

 private:
  std::weak_ptr<yyjson_doc> doc_;
};

class Node {
 public:
  Node() = default;
  Node(yyjson_mut_doc* doc, yyjson_mut_val* raw) : doc_(doc), raw_(raw) {}

  explicit operator bool() const { return raw_ != nullptr; }
  Type type() const;
  bool is_null() const { return type() == Type::kNull; }
  bool is_string() const { return type() == Type::kString; }
  bool is_bool() const { return type() == Type::kBool; }
  bool is_int() const { return type() == Type::kInt; }
  bool is_number() const { return type() == Type::kInt || type() == Type::kReal; }
  bool is_array() const { return type() == Type::kArray; }
  bool is_object() const { return type() == Type::kObject; }
  std::string_view as_string(std::string_view fallback = {}) const;
  int64_t as_int(int64_t fallback = 0) const;
  double as_double(double fallback = 0) const;
  bool as_bool(bool fallback = false) const;
  Node operator[](std::string_view key) const;
  Node at(size_t index) const;
  size_t size() const;
  bool empty() const { return size() == 0; }
  // Snapshots, so the tree may be changed while walking them.
  struct Member;
  std::vector<Member> members() const;
  std::vector<Node> items() const;
  // Without a snapshot, until `see` returns false: then that is returned too. The tree stays.
  bool visit(const std::function<bool(std::string_view key, Node value)>& see) const;
  bool visit_items(const std::function<bool(Node item)>& see) const;
  std::string dump() const;
  Document freeze() const;  // An immutable copy.

  // Objects: replaces the member in place, or adds it at the end. No-ops on an absent node.
  void set(std::string_view key, std::string_view value) const;
  void set(std::string_view key, const char* value) const { set(key, std::string_view(value)); }
  void set(std::string_view key, const std::string& value) const {
    set(key, std::string_view(value));
  }
  void set(std::string_view key, bool value) const;
  void set(std::string_view key, int64_t value) const;
  void set(std::string_view key, int value) const { set(key, static_cast<int64_t>(value)); }
  void set(std::string_view key, double value) const;
  void set(std::string_view key, Value value) const;  // Deep copy; absent removes the member.
  void set(std::string_view key, Node value) const;   // Deep copy; absent removes the member.
  void set_null(std::string_view key) const;
  Node set_object(std::string_view key) const;  // A new empty object in place of what was there.
  Node set_array(std::string_view key) const;
  Node ensure_object(std::string_view key) const;  // What is there, or a new empty object.
  Node ensure_array(std::string_view key) const;
  bool remove(std::string_view key) const;                           // True when it was there.
  void prepend(std::string_view key, std::string_view value) const;  // As first member.

  // Objects, for a writer that knows the key is not there yet: at the end, without looking for it.
  void add(std::string_view key, std::string_view value) const;
  void add(std::string_view key, bool value) const;
  void add(std::string_view key, int64_t value) const;
  void add(std::string_view key, double value) const;
  void add(std::string_view key, Value value) const;  // Deep copy.
  void add_null(std::string_view key) const;
  Node add_object(std::string_view key) const;
  Node add_array(std::string_view key) const;

  // Arrays.
  void push(std::string_view value) const;
  void push(const char* value) const { push(std::string_view(value)); }
  void push(const std::string& value) const { push(std::string_view(value)); }
  void push(bool value) const;
  void push(int64_t value) const;
  void push(int value) const { push(static_cast<int64_t>(value)); }
  void push(double value) const;
  void push(Value value) const;  // Deep copy.
  void push(Node value) const;   // Deep copy.
  void push_null() const;
  Node push_object() const;
  Node push_array() const;
  void insert(size_t index, Node value) const;  // Deep copy; index at most size().
  bool remove_at(size_t index) const;

  // Objects: members in the order of their ranks; those of one rank stay as they are to each other.
  // True when it is an object.
  bool sort_members(const std::function<size_t(std::string_view key)>& rank) const;

  void clear() const;              // Empties an object or array.
  void assign(Value value) const;  // This node becomes a deep copy of `value`, in its place.
  void assign(Node value) const;
  void assign(std::string_view value) const;
  void assign(int64_t value) const;
  void assign_object() const;  // Becomes an empty object.
  void assign_array() const;
  void assign_null() const;

  yyjson_mut_val* raw() const { return raw_; }

 private:
  void put(std::string_view key, yyjson_mut_val* value) const;
  void append(std::string_view key, yyjson_mut_val* value) const;

  yyjson_mut_doc* doc_ = nullptr;
  yyjson_mut_val* raw_ = nullptr;
};

struct Node::Member {
  std::string_view key;
  Node value;
};

bool equal(Node a, Node b);

class Draft {
 public:
  Draft();  // Root is an empty object.
  explicit Draft(Value copy_of);
  explicit Draft(Node copy_of);
  static Result<Draft> parse(std::string_view text);
  static Draft array();

  Node root() const;
  std::string dump() const;
  std::string dump_pretty() const;
  Document freeze() const;  // An immutable copy.

  // Nodes of this draft that hang nowhere yet; put them in with set/push/assign (which copy).
  Node make(Value value) const;
  Node make_string(std::string_view value) const;
  Node make_int(int64_t value) const;
  Node make_bool(bool value) const;
  Node make_object() const;
  Node make_array() const;

 private:
  struct Deleter {
    void operator()(yyjson_mut_doc* doc) const;
  };
  std::unique_ptr<yyjson_mut_doc, Deleter> doc_;
};

// `text` as a JSON string literal, quotes included.
std::string quote(std::string_view text);
void quote_to(std::string& out, std::string_view text);  // The same, at the end of `out`.

}  // namespace wherry::json
