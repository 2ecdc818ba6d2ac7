// Changing the resources of a running pod, through pods/resize. Rules and wording from the
// Kubernetes API reference, "Resize CPU and Memory Resources assigned to Containers".

#include <set>
#include <string_view>

#include "api/pod_rules.h"
#include "api/quantity.h"

namespace wherry::api {
namespace {

constexpr const char* kLists[] = {"containers", "initContainers"};

json::Value named(json::Value containers, std::string_view name) {
  for (json::Value container : containers.items()) {
    if (container["name"].as_string() == name) return container;
  }
  return {};
}

// Nothing that was asked for or limited may be given up.
void validate_kept(json::Value before, json::Value after, const Path& path, FieldErrors& errors) {
  for (std::string_view list : {"requests", "limits"}) {
    for (std::string_view resource : {"cpu", "memory"}) {
      if (!before[list][resource] || after[list][resource]) continue;
      errors.forbidden(path.child(list), "resource " + std::string(list) + " cannot be removed");
      break;
    }
  }
}

bool resizable(std::string_view resource) { return resource == "cpu" || resource == "memory"; }

// By amounts: how one is written does not matter.
bool same_others(json::Value before, json::Value after) {
  std::set<std::string_view> names;
  for (auto [name, amount] : before.members()) names.insert(name);
  for (auto [name, amount] : after.members()) names.insert(name);
  for (std::string_view name : names) {
    if (resizable(name)) continue;
    if (!before[name] || !after[name]) return false;
    if (Quantity::from(before[name]) != Quantity::from(after[name])) return false;
  }
  return true;
}

bool only_amounts_changed(json::Value before, json::Value after) {
  json::Value old = before["resources"];
  json::Value now = after["resources"];
  return same_others(old["requests"], now["requests"]) &&
         same_others(old["limits"], now["limits"]) && json::equal(old["claims"], now["claims"]) &&
         json::equal(before["resizePolicy"], after["resizePolicy"]);
}

bool same_containers(json::Value before, json::Value after, const Path& path, FieldErrors& errors) {
  if (before.size() != after.size()) {
    errors.forbidden(path, "containers may not be added or removed on resize");
    return false;
  }
  bool same = true;
  for (size_t i = 0; i < after.size(); ++i) {
    if (before.at(i)["name"].as_string() == after.at(i)["name"].as_string()) continue;
    errors.forbidden(path.index(i).child("name"),
                     "containers may not be renamed or reordered on resize");
    same = false;
  }
  return same;
}

}  // namespace

void narrow_to_resize(json::Value before, json::Node after, Time) {
  json::Draft kept(before);
  json::Document sent = after.freeze();
  json::Node spec = kept.root()["spec"];
  spec.set("resources", sent.root()["spec"]["resources"]);
  for (const char* list : kLists) {
    json::Value wanted = sent.root()["spec"][list];
    if (!wanted) {
      spec.remove(list);
      continue;
    }
    json::Node containers = spec.set_array(list);
    for (json::Value container : wanted.items()) {
      json::Value old = named(before["spec"][list], container["name"].as_string());
      json::Node node = containers.push_object();
      for (auto [key, value] : (old ? old : container).members()) node.set(key, value);
      node.set("resources", container["resources"]);
      node.set("resizePolicy", container["resizePolicy"]);
    }
  }
  after.set("spec", spec);
  default_pod(after);
}

void validate_resize_update(json::Value before, json::Value after, FieldErrors& errors) {
  if (before["metadata"]["annotations"]["kubernetes.io/config.mirror"]) {
    errors.forbidden(Path("[]"), "static pods cannot be resized");
    return;
  }
  Path path("spec");
  json::Value old_spec = before["spec"];
  json::Value new_spec = after["spec"];
  std::string_view quality = qos_class(old_spec);
  if (quality != qos_class(new_spec)) {
    errors.invalid(path, quality, "Pod QOS Class may not change as a result of resizing");
  }
  bool same = true;
  for (const char* list : kLists) {
    same = same_containers(old_spec[list], new_spec[list], path.child(list), errors) && same;
  }
  if (!same) return;
  bool only_amounts = true;
  for (const char* list : kLists) {
    for (size_t i = 0; i < new_spec[list].size(); ++i) {
      json::Value old = old_spec[list].at(i);
      json::Value now = new_spec[list].at(i);
      validate_kept(old["resources"], now["resources"],
                    path.child(list).index(i).child("resources"), errors);
      only_amounts = only_amounts && only_amounts_changed(old, now);
    }
  }
  if (!only_amounts) errors.forbidden(path, "only cpu and memory resources are mutable");
}

}  // namespace wherry::api
