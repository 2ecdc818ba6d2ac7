#include "store/tree.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/check.h"

namespace wherry::store {
namespace {

// splitmix64 over a counter: good enough to balance, and needs no state that threads share but one
// word.
uint32_t next_priority() {
  static std::atomic<uint64_t> counter{0x9e3779b97f4a7c15ULL};
  uint64_t z = counter.fetch_add(0x9e3779b97f4a7c15ULL, std::memory_order_relaxed);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return static_cast<uint32_t>(z ^ (z >> 31));
}

int compare_text(std::string_view a, std::string_view b) {
  int order = a.compare(b);
  return order < 0 ? -1 : order > 0 ? 1 : 0;
}

}  // namespace

int compare_keys(std::string_view a_ns, std::string_view a_name, std::string_view b_ns,
                 std::string_view b_name) {
  if (a_ns == b_ns) return compare_text(a_name, b_name);
  size_t common = std::min(a_ns.size(), b_ns.size());
  int order = compare_text(a_ns.substr(0, common), b_ns.substr(0, common));
  if (order != 0) return order;
  // One namespace is the start of the other: the '/' after the shorter decides ("a-b/x" < "a/x").
  auto at = [common](std::string_view ns) { return common < ns.size() ? ns[common] : '/'; };
  return static_cast<unsigned char>(at(a_ns)) < static_cast<unsigned char>(at(b_ns)) ? -1 : 1;
}

struct Tree::Node {
  Entry entry;
  NodePtr left, right;
  uint32_t priority;
  uint32_t size;

  int compare(std::string_view ns, std::string_view name) const {
    return compare_keys(ns, name, entry.object->ns(), entry.object->name());
  }
  // How many keys there are of those that `included` says yes to: the lowest ones, up to some key.
  template <typename Included>
  static size_t count_until(const Node* node, const Included& included) {
    size_t count = 0;
    while (node != nullptr) {
      if (included(*node)) {
        count += 1 + size_of(node->left);
        node = node->right.get();
      } else {
        node = node->left.get();
      }
    }
    return count;
  }
  static uint32_t size_of(const NodePtr& node) { return node == nullptr ? 0 : node->size; }

  // In order, from the first key after the position on. False once visit wanted to stop.
  static bool scan(const NodePtr& node, bool from_start, std::string_view after_ns,
                   std::string_view after_name, const std::function<bool(const Entry&)>& visit) {
    if (node == nullptr) return true;
    bool here = from_start || node->compare(after_ns, after_name) < 0;
    if (here) {
      if (!scan(node->left, from_start, after_ns, after_name, visit)) return false;
      if (!visit(node->entry)) return false;
    }
    // Everything to the right of a node that is in the range is in the range.
    return scan(node->right, from_start || here, after_ns, after_name, visit);
  }
};

size_t Tree::size() const { return Node::size_of(root_); }

const Entry* Tree::find(std::string_view ns, std::string_view name) const {
  const Node* node = root_.get();
  while (node != nullptr) {
    int order = node->compare(ns, name);
    if (order == 0) return &node->entry;
    node = order < 0 ? node->left.get() : node->right.get();
  }
  return nullptr;
}

Tree::NodePtr Tree::make(const Entry& entry, uint32_t priority, NodePtr left, NodePtr right) {
  uint32_t size = 1 + Node::size_of(left) + Node::size_of(right);
  return std::make_shared<Node>(Node{entry, std::move(left), std::move(right), priority, size});
}

Tree Tree::put(Entry entry) const& { return Tree(put_below(root_, entry, next_priority())); }
Tree Tree::put(Entry entry) && { return Tree(put_below(std::move(root_), entry, next_priority())); }

// The node to change it, when nobody else holds it: neither a node above it nor a tree. What its
// last other holder read of it has been read by then.
Tree::Node* Tree::own(const NodePtr& node) {
  if (node.use_count() != 1) return nullptr;
  std::atomic_thread_fence(std::memory_order_acquire);
  return const_cast<Node*>(node.get());  // Made as one that is not constant.
}

// `at` with other children.
Tree::NodePtr Tree::with(NodePtr at, NodePtr left, NodePtr right) {
  Node* mine = own(at);
  if (mine == nullptr) return make(at->entry, at->priority, std::move(left), std::move(right));
  mine->left = std::move(left);
  mine->right = std::move(right);
  mine->size = 1 + Node::size_of(mine->left) + Node::size_of(mine->right);
  return at;
}

// A child of a node that is the caller's alone is taken out of it, so that it may be the caller's
// too.
Tree::NodePtr Tree::put_below(NodePtr at, Entry& entry, uint32_t priority) {
  if (at == nullptr) return make(entry, priority, nullptr, nullptr);
  Node* mine = own(at);
  int order = at->compare(entry.object->ns(), entry.object->name());
  if (order == 0) {
    if (mine == nullptr) return make(entry, at->priority, at->left, at->right);
    mine->entry = std::move(entry);
    return at;
  }
  NodePtr left = mine != nullptr ? std::move(mine->left) : at->left;
  NodePtr right = mine != nullptr ? std::move(mine->right) : at->right;
  NodePtr& changed = order < 0 ? left : right;
  changed = put_below(std::move(changed), entry, priority);
  if (changed->priority <= at->priority) {
    return with(std::move(at), std::move(left), std::move(right));
  }
  // It rises above `at`, which gets its inner child. It was made or changed just now.
  NodePtr risen = std::move(changed);
  Node* top = own(risen);
  CHECK(top != nullptr);
  if (order < 0) {
    top->right = with(std::move(at), std::move(top->right), std::move(right));
  } else {
    top->left = with(std::move(at), std::move(left), std::move(top->left));
  }
  top->size = 1 + Node::size_of(top->left) + Node::size_of(top->right);
  return risen;
}

Tree Tree::erase(std::string_view ns, std::string_view name) const {
  if (find(ns, name) == nullptr) return *this;
  return Tree(erase_below(root_, ns, name));
}

Tree::NodePtr Tree::erase_below(const NodePtr& at, std::string_view ns, std::string_view name) {
  int order = at->compare(ns, name);
  if (order == 0) return merge(at->left, at->right);
  if (order < 0) {
    return make(at->entry, at->priority, erase_below(at->left, ns, name), at->right);
  }
  return make(at->entry, at->priority, at->left, erase_below(at->right, ns, name));
}

// Every key of `left` is below every key of `right`.
Tree::NodePtr Tree::merge(const NodePtr& left, const NodePtr& right) {
  if (left == nullptr) return right;
  if (right == nullptr) return left;
  if (left->priority > right->priority) {
    return make(left->entry, left->priority, left->left, merge(left->right, right));
  }
  return make(right->entry, right->priority, merge(left, right->left), right->right);
}

void Tree::scan(std::string_view ns, std::string_view after_ns, std::string_view after_name,
                const std::function<bool(const Entry&)>& visit) const {
  if (ns.empty()) {
    bool from_start = after_ns.empty() && after_name.empty();
    Node::scan(root_, from_start, after_ns, after_name, visit);
    return;
  }
  // A namespace is one run of keys: begin right before it, end at the first key outside.
  bool inside_start = after_ns != ns;
  Node::scan(root_, false, ns, inside_start ? std::string_view() : after_name,
             [&](const Entry& entry) { return entry.object->ns() == ns && visit(entry); });
}

size_t Tree::count_after(std::string_view ns, std::string_view after_ns,
                         std::string_view after_name) const {
  if (ns.empty()) {
    if (after_ns.empty() && after_name.empty()) return size();
    return size() - Node::count_until(root_.get(), [&](const Node& node) {
             return node.compare(after_ns, after_name) >= 0;
           });
  }
  std::string_view from = after_ns == ns ? after_name : std::string_view();
  size_t before =
      Node::count_until(root_.get(), [&](const Node& node) { return node.compare(ns, from) >= 0; });
  size_t through = Node::count_until(root_.get(), [&](const Node& node) {
    return node.entry.object->ns() == ns || node.compare(ns, {}) > 0;
  });
  return through - before;
}

}  // namespace wherry::store
