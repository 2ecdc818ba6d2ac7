#include "apiserver/patch_faults.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"

namespace wherry::apiserver {
namespace {

void find_repeated(json::Value value, const std::string& path, std::vector<std::string>& out) {
  if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i)
      find_repeated(value.at(i), fmt::format("{}[{}]", path, i), out);
  }
  if (!value.is_object()) return;
  std::set<std::string_view> seen;
  for (auto [name, member] : value.members()) {
    std::string at = path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
    if (!seen.insert(name).second) out.push_back(fmt::format("duplicate field \"{}\"", at));
    find_repeated(member, at, out);
  }
}

// Copies `value`, the members of all objects in order.
void copy_sorted(json::Value value, json::Node out);

// The same of those objects only that `patch` has members for.
void copy_merged(json::Value value, json::Value patch, json::Node out) {
  if (!value.is_object() || !patch.is_object()) return copy_sorted(value, out);
  out.assign_object();
  std::map<std::string_view, json::Value> sorted;
  for (auto [name, member] : value.members()) sorted[name] = member;
  for (const auto& [name, member] : sorted) {
    json::Value inner = patch[name];
    if (!inner) {
      out.set(name, member);
    } else {
      out.set_null(name);
      copy_merged(member, inner, out[name]);
    }
  }
}

void copy_sorted(json::Value value, json::Node out) {
  if (value.is_array()) {
    out.assign_array();
    for (json::Value item : value.items()) {
      out.push_null();
      copy_sorted(item, out.at(out.size() - 1));
    }
  } else if (value.is_object()) {
    copy_merged(value, value, out);
  } else {
    out.assign(value);
  }
}

// The members that the paths of a JSON patch lead through, as a merge patch of nothing.
json::Document touched_by(json::Value patch) {
  json::Draft draft;
  for (json::Value operation : patch.items()) {
    json::Node at = draft.root();
    std::vector<std::string_view> parts = split(operation["path"].as_string(), '/');
    for (size_t i = 1; i + 1 < parts.size(); ++i) {
      std::string name = replace_all(replace_all(parts[i], "~1", "/"), "~0", "~");
      at = at.ensure_object(name);
    }
  }
  return draft.freeze();
}

}  // namespace

std::vector<std::string> patch_faults(PatchType type, json::Value patch) {
  static constexpr std::string_view kMembers[] = {"op", "path", "from", "value"};
  std::vector<std::string> out;
  if (type != PatchType::kJson) {
    find_repeated(patch, {}, out);
    return out;
  }
  for (size_t i = 0; i < patch.size(); ++i) {
    for (auto [name, value] : patch.at(i).members()) {
      if (std::find(std::begin(kMembers), std::end(kMembers), name) == std::end(kMembers))
        out.push_back(fmt::format("json patch unknown field \"[{}].{}\"", i, name));
    }
  }
  return out;
}

json::Document in_patch_order(PatchType type, json::Value patched, json::Value patch) {
  json::Draft out;
  if (type == PatchType::kMerge) {
    copy_merged(patched, patch, out.root());
  } else if (type == PatchType::kJson) {
    json::Document touched = touched_by(patch);
    copy_merged(patched, touched.root(), out.root());
  } else {
    copy_sorted(patched, out.root());
  }
  return out.freeze();
}

}  // namespace wherry::apiserver
