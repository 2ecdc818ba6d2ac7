#include "api/field_set.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::api {
namespace {

// Keys in order and no spaces, so that equal elements are equal text.
std::string canonical(std::string_view element) {
  if (!element.starts_with("k:") && !element.starts_with("v:")) return std::string(element);
  Result<json::Document> parsed = json::Document::parse(element.substr(2));
  if (!parsed.ok()) return std::string(element);
  json::Value value = parsed->root();
  if (!value.is_object()) return std::string(element.substr(0, 2)) + value.dump();
  std::map<std::string_view, json::Value> sorted;
  for (auto [key, item] : value.members()) sorted[key] = item;
  json::Draft draft;
  for (const auto& [key, item] : sorted) draft.root().set(key, item);
  return "k:" + draft.dump();
}

void collect(const FieldSet& set, const std::string& prefix, std::vector<std::string>& out) {
  if (set.member && !prefix.empty()) out.push_back(prefix);
  for (const auto& [element, child] : set.children)
    collect(child, prefix + element_text(element), out);
}

}  // namespace

const FieldSet* FieldSet::find(std::string_view element) const {
  auto found = children.find(element);
  return found == children.end() ? nullptr : &found->second;
}

void FieldSet::add(const FieldSet& other) {
  member = member || other.member;
  for (const auto& [element, child] : other.children) children[element].add(child);
}

void FieldSet::subtract(const FieldSet& other) {
  if (other.member) member = false;
  for (const auto& [element, child] : other.children) {
    auto found = children.find(element);
    if (found == children.end()) continue;
    found->second.subtract(child);
    if (found->second.empty()) children.erase(found);
  }
}

void FieldSet::erase(std::span<const std::string_view> path) {
  if (path.empty()) {
    *this = {};
    return;
  }
  if (children.empty()) return;
  auto found = children.find("f:" + std::string(path[0]));
  if (found == children.end()) return;
  found->second.erase(path.subspan(1));
  if (found->second.empty()) children.erase(found);
}

FieldSet FieldSet::intersection(const FieldSet& other) const {
  FieldSet out;
  out.member = member && other.member;
  for (const auto& [element, child] : children) {
    const FieldSet* match = other.find(element);
    if (match == nullptr) continue;
    FieldSet both = child.intersection(*match);
    if (!both.empty()) out.children[element] = std::move(both);
  }
  return out;
}

std::vector<std::string> FieldSet::paths() const {
  std::vector<std::string> out;
  collect(*this, "", out);
  return out;
}

FieldSet FieldSet::parse(json::Value fields) {
  FieldSet out;
  for (auto [element, below] : fields.members()) {
    if (element == ".") {
      out.member = true;
      continue;
    }
    FieldSet child = parse(below);
    if (below.empty()) child.member = true;
    out.children[canonical(element)].add(child);
  }
  return out;
}

void FieldSet::write(json::Node out) const {
  if (member && !children.empty()) out.set_object(".");
  for (const auto& [element, child] : children) child.write(out.add_object(element));
}

bool operator==(const FieldSet& a, const FieldSet& b) {
  return a.member == b.member && a.children == b.children;
}

std::string element_text(std::string_view element) {
  std::string_view rest = element.size() > 2 ? element.substr(2) : std::string_view();
  switch (element.empty() ? '\0' : element[0]) {
    case 'f': return "." + std::string(rest);
    case 'v': return "[=" + std::string(rest) + "]";
    case 'i': return "[" + std::string(rest) + "]";
    default: break;
  }
  Result<json::Document> keys = json::Document::parse(rest);
  std::vector<std::string> parts;
  if (keys.ok()) {
    for (auto [key, value] : keys->root().members())
      parts.push_back(std::string(key) + "=" + value.dump());
  }
  return "[" + join(parts, ",") + "]";
}

}  // namespace wherry::api
