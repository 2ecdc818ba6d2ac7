#pragma once
// FieldSet: a set of paths into an object, as meta/v1 FieldsV1 writes it. A node is one path; its
// children are keyed by path elements in their written form: "f:name" (member), "k:{...}" (list
// item by its keys), "v:..." (set item by value), "i:0" (item by place). A value type.

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "json/json.h"

namespace wherry::api {

struct FieldSet {
  bool member = false;  // The path itself is in the set, not only paths below it.
  std::map<std::string, FieldSet, std::less<>> children;

  bool empty() const { return !member && children.empty(); }
  const FieldSet* find(std::string_view element) const;
  // Adds the paths of `other`, or takes away each path that `other` has (not those below it).
  void add(const FieldSet& other);
  void subtract(const FieldSet& other);
  // Takes away `path` (member names) and everything below it.
  void erase(std::span<const std::string_view> path);
  FieldSet intersection(const FieldSet& other) const;
  // Every path, written as conflicts name it: .spec.containers[name="c"].image
  std::vector<std::string> paths() const;

  static FieldSet parse(json::Value fields);
  void write(json::Node out) const;
};

bool operator==(const FieldSet& a, const FieldSet& b);

// An element as conflicts name it: ".image", "[name=\"c\"]", "[=\"x\"]".
std::string element_text(std::string_view element);

}  // namespace wherry::api
