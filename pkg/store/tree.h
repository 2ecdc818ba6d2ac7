#pragma once
// Tree: an ordered, structure-sharing map from (namespace, name) to an object. Every change gives a
// new root and shares all untouched nodes, so holding an old root is a consistent snapshot at no
// cost. A treap: priorities are random, so depth is logarithmic whatever the order of keys.
// Nodes that two trees share never change; any thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "api/object.h"

namespace wherry::store {

struct Entry {
  api::ObjectPtr object;
  int64_t row = 0;  // Rowid in the objects table; 0 when it is not on disk.
};

class Tree {
 public:
  Tree() = default;

  size_t size() const;
  const Entry* find(std::string_view ns, std::string_view name) const;
  // With the entry in place of the one under the same key.
  Tree put(Entry entry) const&;
  // The same of a tree that is given up: what it shares with no other is changed in its place.
  Tree put(Entry entry) &&;
  Tree erase(std::string_view ns, std::string_view name) const;

  // Visits in key order from the first key after (after_ns, after_name), or from the start when
  // both are empty; only `ns` unless that is empty. Ends early when visit returns false.
  void scan(std::string_view ns, std::string_view after_ns, std::string_view after_name,
            const std::function<bool(const Entry&)>& visit) const;
  // How many scan() would visit; found without visiting them.
  size_t count_after(std::string_view ns, std::string_view after_ns,
                     std::string_view after_name) const;

 private:
  struct Node;
  using NodePtr = std::shared_ptr<const Node>;
  explicit Tree(NodePtr root) : root_(std::move(root)) {}

  static NodePtr make(const Entry& entry, uint32_t priority, NodePtr left, NodePtr right);
  static Node* own(const NodePtr& node);
  static NodePtr with(NodePtr at, NodePtr left, NodePtr right);
  static NodePtr put_below(NodePtr at, Entry& entry, uint32_t priority);
  static NodePtr erase_below(const NodePtr& at, std::string_view ns, std::string_view name);
  static NodePtr merge(const NodePtr& left, const NodePtr& right);

  NodePtr root_;
};

// Order of keys: that of the text "namespace/name", as clients of paged lists know it. Negative, 0,
// positive.
int compare_keys(std::string_view a_ns, std::string_view a_name, std::string_view b_ns,
                 std::string_view b_name);

}  // namespace wherry::store
