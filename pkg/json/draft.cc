#include <algorithm>
#include <utility>
#include <vector>

#include "json/blocks.h"
#include "json/json.h"

namespace wherry::json {
namespace {

std::string write(yyjson_mut_val* value, yyjson_write_flag flags) {
  if (value == nullptr) return {};
  size_t length = 0;
  char* text = yyjson_mut_val_write_opts(value, flags, blocks(), &length, nullptr);
  if (text == nullptr) return {};
  std::string out(text, length);
  blocks()->free(nullptr, text);
  return out;
}

yyjson_mut_val* text_value(yyjson_mut_doc* doc, std::string_view text) {
  return yyjson_mut_strncpy(doc, text.empty() ? "" : text.data(), text.size());
}

// The content of `from` moves into `to`, which keeps its place among its siblings.
void replace_content(yyjson_mut_val* to, const yyjson_mut_val* from) {
  to->tag = from->tag;
  to->uni = from->uni;
}

}  // namespace

Type Node::type() const {
  switch (yyjson_mut_get_type(raw_)) {
    case YYJSON_TYPE_NULL: return Type::kNull;
    case YYJSON_TYPE_BOOL: return Type::kBool;
    case YYJSON_TYPE_NUM: return yyjson_mut_is_real(raw_) ? Type::kReal : Type::kInt;
    case YYJSON_TYPE_STR: return Type::kString;
    case YYJSON_TYPE_ARR: return Type::kArray;
    case YYJSON_TYPE_OBJ: return Type::kObject;
    default: return Type::kAbsent;
  }
}

// A mutable scalar has the layout of an immutable one, so reading goes through Value.
static Value as_value(yyjson_mut_val* raw) { return Value(reinterpret_cast<yyjson_val*>(raw)); }

std::string_view Node::as_string(std::string_view fallback) const {
  return as_value(raw_).as_string(fallback);
}
int64_t Node::as_int(int64_t fallback) const { return as_value(raw_).as_int(fallback); }
double Node::as_double(double fallback) const { return as_value(raw_).as_double(fallback); }
bool Node::as_bool(bool fallback) const { return as_value(raw_).as_bool(fallback); }

Node Node::operator[](std::string_view key) const {
  return {doc_, yyjson_mut_obj_getn(raw_, key.data(), key.size())};
}
Node Node::at(size_t index) const { return {doc_, yyjson_mut_arr_get(raw_, index)}; }
size_t Node::size() const { return yyjson_mut_is_ctn(raw_) ? unsafe_yyjson_get_len(raw_) : 0; }

std::vector<Node::Member> Node::members() const {
  std::vector<Member> out;
  out.reserve(size());
  yyjson_mut_obj_iter iter;
  if (!yyjson_mut_obj_iter_init(raw_, &iter)) return out;
  while (yyjson_mut_val* key = yyjson_mut_obj_iter_next(&iter)) {
    out.push_back({{unsafe_yyjson_get_str(key), unsafe_yyjson_get_len(key)},
                   Node(doc_, yyjson_mut_obj_iter_get_val(key))});
  }
  return out;
}

std::vector<Node> Node::items() const {
  std::vector<Node> out;
  out.reserve(size());
  yyjson_mut_arr_iter iter;
  if (!yyjson_mut_arr_iter_init(raw_, &iter)) return out;
  while (yyjson_mut_val* item = yyjson_mut_arr_iter_next(&iter)) out.emplace_back(doc_, item);
  return out;
}

bool Node::visit(const std::function<bool(std::string_view, Node)>& see) const {
  yyjson_mut_obj_iter iter;
  if (!yyjson_mut_obj_iter_init(raw_, &iter)) return true;
  while (yyjson_mut_val* key = yyjson_mut_obj_iter_next(&iter)) {
    std::string_view name(unsafe_yyjson_get_str(key), unsafe_yyjson_get_len(key));
    if (!see(name, Node(doc_, yyjson_mut_obj_iter_get_val(key)))) return false;
  }
  return true;
}

bool Node::visit_items(const std::function<bool(Node)>& see) const {
  yyjson_mut_arr_iter iter;
  if (!yyjson_mut_arr_iter_init(raw_, &iter)) return true;
  while (yyjson_mut_val* item = yyjson_mut_arr_iter_next(&iter)) {
    if (!see(Node(doc_, item))) return false;
  }
  return true;
}

bool Node::sort_members(const std::function<size_t(std::string_view)>& rank) const {
  if (!yyjson_mut_is_obj(raw_)) return false;
  struct Ranked {
    size_t rank;
    yyjson_mut_val* key;
  };
  std::vector<Ranked> members;
  members.reserve(size());
  yyjson_mut_obj_iter iter;
  yyjson_mut_obj_iter_init(raw_, &iter);
  while (yyjson_mut_val* key = yyjson_mut_obj_iter_next(&iter)) {
    members.push_back({rank({unsafe_yyjson_get_str(key), unsafe_yyjson_get_len(key)}), key});
  }
  std::stable_sort(members.begin(), members.end(),
                   [](const Ranked& a, const Ranked& b) { return a.rank < b.rank; });
  yyjson_mut_obj_clear(raw_);
  for (const Ranked& member : members) {
    yyjson_mut_obj_add(raw_, member.key, yyjson_mut_obj_iter_get_val(member.key));
  }
  return true;
}

std::string Node::dump() const { return write(raw_, YYJSON_WRITE_NOFLAG); }

void Node::put(std::string_view key, yyjson_mut_val* value) const {
  if (!yyjson_mut_is_obj(raw_)) return;
  if (yyjson_mut_val* old = yyjson_mut_obj_getn(raw_, key.data(), key.size())) {
    replace_content(old, value);
    return;
  }
  yyjson_mut_obj_add(raw_, text_value(doc_, key), value);
}

void Node::set(std::string_view key, std::string_view value) const {
  if (raw_) put(key, text_value(doc_, value));
}
void Node::set(std::string_view key, bool value) const {
  if (raw_) put(key, yyjson_mut_bool(doc_, value));
}
void Node::set(std::string_view key, int64_t value) const {
  if (raw_) put(key, yyjson_mut_sint(doc_, value));
}
void Node::set(std::string_view key, double value) const {
  if (raw_) put(key, yyjson_mut_real(doc_, value));
}
void Node::set(std::string_view key, Value value) const {
  if (!value) {
    remove(key);
  } else if (raw_) {
    put(key, yyjson_val_mut_copy(doc_, value.raw()));
  }
}
void Node::set(std::string_view key, Node value) const {
  if (!value) {
    remove(key);
  } else if (raw_) {
    put(key, yyjson_mut_val_mut_copy(doc_, value.raw()));
  }
}
void Node::set_null(std::string_view key) const {
  if (raw_) put(key, yyjson_mut_null(doc_));
}

Node Node::set_object(std::string_view key) const {
  if (!raw_) return {};
  put(key, yyjson_mut_obj(doc_));
  return (*this)[key];
}
Node Node::set_array(std::string_view key) const {
  if (!raw_) return {};
  put(key, yyjson_mut_arr(doc_));
  return (*this)[key];
}
Node Node::ensure_object(std::string_view key) const {
  Node there = (*this)[key];
  return there.is_object() ? there : set_object(key);
}
Node Node::ensure_array(std::string_view key) const {
  Node there = (*this)[key];
  return there.is_array() ? there : set_array(key);
}

bool Node::remove(std::string_view key) const {
  if (!yyjson_mut_is_obj(raw_)) return false;
  return yyjson_mut_obj_remove_keyn(raw_, key.data(), key.size()) != nullptr;
}

void Node::prepend(std::string_view key, std::string_view value) const {
  if (!yyjson_mut_is_obj(raw_)) return;
  remove(key);
  yyjson_mut_obj_insert(raw_, text_value(doc_, key), text_value(doc_, value), 0);
}

void Node::append(std::string_view key, yyjson_mut_val* value) const {
  if (yyjson_mut_is_obj(raw_)) yyjson_mut_obj_add(raw_, text_value(doc_, key), value);
}
void Node::add(std::string_view key, std::string_view value) const {
  if (raw_) append(key, text_value(doc_, value));
}
void Node::add(std::string_view key, bool value) const {
  if (raw_) append(key, yyjson_mut_bool(doc_, value));
}
void Node::add(std::string_view key, int64_t value) const {
  if (raw_) append(key, yyjson_mut_sint(doc_, value));
}
void Node::add(std::string_view key, double value) const {
  if (raw_) append(key, yyjson_mut_real(doc_, value));
}
void Node::add(std::string_view key, Value value) const {
  if (raw_ && value) append(key, yyjson_val_mut_copy(doc_, value.raw()));
}
void Node::add_null(std::string_view key) const {
  if (raw_) append(key, yyjson_mut_null(doc_));
}
Node Node::add_object(std::string_view key) const {
  if (!yyjson_mut_is_obj(raw_)) return {};
  yyjson_mut_val* made = yyjson_mut_obj(doc_);
  append(key, made);
  return {doc_, made};
}
Node Node::add_array(std::string_view key) const {
  if (!yyjson_mut_is_obj(raw_)) return {};
  yyjson_mut_val* made = yyjson_mut_arr(doc_);
  append(key, made);
  return {doc_, made};
}

void Node::push(std::string_view value) const {
  if (raw_) yyjson_mut_arr_append(raw_, text_value(doc_, value));
}
void Node::push(bool value) const {
  if (raw_) yyjson_mut_arr_append(raw_, yyjson_mut_bool(doc_, value));
}
void Node::push(int64_t value) const {
  if (raw_) yyjson_mut_arr_append(raw_, yyjson_mut_sint(doc_, value));
}
void Node::push(double value) const {
  if (raw_) yyjson_mut_arr_append(raw_, yyjson_mut_real(doc_, value));
}
void Node::push_null() const {
  if (raw_) yyjson_mut_arr_append(raw_, yyjson_mut_null(doc_));
}
void Node::push(Value value) const {
  if (raw_ && value) yyjson_mut_arr_append(raw_, yyjson_val_mut_copy(doc_, value.raw()));
}
void Node::push(Node value) const {
  if (raw_ && value) yyjson_mut_arr_append(raw_, yyjson_mut_val_mut_copy(doc_, value.raw()));
}
Node Node::push_object() const {
  if (!raw_) return {};
  yyjson_mut_val* made = yyjson_mut_obj(doc_);
  return yyjson_mut_arr_append(raw_, made) ? Node(doc_, made) : Node();
}
Node Node::push_array() const {
  if (!raw_) return {};
  yyjson_mut_val* made = yyjson_mut_arr(doc_);
  return yyjson_mut_arr_append(raw_, made) ? Node(doc_, made) : Node();
}
void Node::insert(size_t index, Node value) const {
  if (raw_ && value) yyjson_mut_arr_insert(raw_, yyjson_mut_val_mut_copy(doc_, value.raw()), index);
}
bool Node::remove_at(size_t index) const {
  return raw_ && yyjson_mut_arr_remove(raw_, index) != nullptr;
}

void Node::clear() const {
  if (yyjson_mut_is_obj(raw_)) yyjson_mut_obj_clear(raw_);
  if (yyjson_mut_is_arr(raw_)) yyjson_mut_arr_clear(raw_);
}

void Node::assign(Value value) const {
  if (raw_ && value) replace_content(raw_, yyjson_val_mut_copy(doc_, value.raw()));
}
void Node::assign(Node value) const {
  if (raw_ && value) replace_content(raw_, yyjson_mut_val_mut_copy(doc_, value.raw()));
}
void Node::assign(std::string_view value) const {
  if (raw_) replace_content(raw_, text_value(doc_, value));
}
void Node::assign(int64_t value) const {
  if (raw_) replace_content(raw_, yyjson_mut_sint(doc_, value));
}
void Node::assign_object() const {
  if (raw_) replace_content(raw_, yyjson_mut_obj(doc_));
}
void Node::assign_array() const {
  if (raw_) replace_content(raw_, yyjson_mut_arr(doc_));
}
void Node::assign_null() const {
  if (raw_) replace_content(raw_, yyjson_mut_null(doc_));
}

bool equal(Node a, Node b) {
  if (!a || !b) return !a && !b;
  return yyjson_mut_equals(a.raw(), b.raw());
}

void Draft::Deleter::operator()(yyjson_mut_doc* doc) const { yyjson_mut_doc_free(doc); }

Draft::Draft() : doc_(yyjson_mut_doc_new(blocks())) {
  CHECK(doc_ != nullptr);
  yyjson_mut_doc_set_root(doc_.get(), yyjson_mut_obj(doc_.get()));
}
Draft::Draft(Value copy_of) : Draft() {
  if (copy_of) yyjson_mut_doc_set_root(doc_.get(), yyjson_val_mut_copy(doc_.get(), copy_of.raw()));
}
Draft::Draft(Node copy_of) : Draft() {
  if (copy_of) {
    yyjson_mut_doc_set_root(doc_.get(), yyjson_mut_val_mut_copy(doc_.get(), copy_of.raw()));
  }
}

Result<Draft> Draft::parse(std::string_view text) {
  Document document = TRY(Document::parse(text));
  return Draft(document.root());
}

Draft Draft::array() {
  Draft draft;
  yyjson_mut_doc_set_root(draft.doc_.get(), yyjson_mut_arr(draft.doc_.get()));
  return draft;
}

Node Draft::root() const { return {doc_.get(), yyjson_mut_doc_get_root(doc_.get())}; }
std::string Draft::dump() const { return write(root().raw(), YYJSON_WRITE_NOFLAG); }
std::string Draft::dump_pretty() const { return write(root().raw(), YYJSON_WRITE_PRETTY); }

Document Node::freeze() const {
  return raw_ == nullptr ? Document() : Document(yyjson_mut_val_imut_copy(raw_, blocks()));
}
Document Draft::freeze() const { return Document(yyjson_mut_doc_imut_copy(doc_.get(), blocks())); }

Node Draft::make(Value value) const {
  return {doc_.get(), value ? yyjson_val_mut_copy(doc_.get(), value.raw()) : nullptr};
}
Node Draft::make_string(std::string_view value) const {
  return {doc_.get(), text_value(doc_.get(), value)};
}
Node Draft::make_int(int64_t value) const {
  return {doc_.get(), yyjson_mut_sint(doc_.get(), value)};
}
Node Draft::make_bool(bool value) const { return {doc_.get(), yyjson_mut_bool(doc_.get(), value)}; }
Node Draft::make_object() const { return {doc_.get(), yyjson_mut_obj(doc_.get())}; }
Node Draft::make_array() const { return {doc_.get(), yyjson_mut_arr(doc_.get())}; }

}  // namespace wherry::json
