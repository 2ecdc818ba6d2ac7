#include "api/managed_fields.h"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kServerFields[] = {"name",       "namespace",     "creationTimestamp",
                                              "selfLink",   "uid",           "clusterName",
                                              "generation", "managedFields", "resourceVersion"};

bool is_server_field(std::string_view element) {
  return element.starts_with("f:") && std::find(std::begin(kServerFields), std::end(kServerFields),
                                                element.substr(2)) != std::end(kServerFields);
}

void strip(FieldSet& fields) {
  fields.children.erase("f:apiVersion");
  fields.children.erase("f:kind");
  auto meta = fields.children.find("f:metadata");
  if (meta == fields.children.end()) return;
  meta->second.member = false;
  std::erase_if(meta->second.children,
                [](const auto& child) { return is_server_field(child.first); });
  if (meta->second.empty()) fields.children.erase(meta);
}

}  // namespace

bool Manager::same_holder(const Manager& other) const {
  return name == other.name && operation == other.operation && subresource == other.subresource &&
         (applies() || api_version == other.api_version);
}

std::string Manager::text() const {
  std::string out = quote(name);
  if (!subresource.empty()) out += " with subresource " + quote(subresource);
  if (!applies()) out += " using " + api_version;
  return out;
}

ManagedFields ManagedFields::parse(json::Value entries) {
  ManagedFields out;
  for (json::Value entry : entries.items()) {
    Manager manager;
    manager.name = entry["manager"].as_string();
    manager.operation = entry["operation"].as_string();
    manager.api_version = entry["apiVersion"].as_string();
    manager.subresource = entry["subresource"].as_string();
    manager.time = entry["time"].as_string();
    if (manager.operation != "Apply" && manager.operation != "Update") continue;
    manager.fields = FieldSet::parse(entry["fieldsV1"]);
    if (Manager* known = out.find(manager)) {
      known->fields.add(manager.fields);
    } else {
      out.managers_.push_back(std::move(manager));
    }
  }
  return out;
}

bool ManagedFields::is_reset(json::Value entries) {
  return entries.is_array() && (entries.empty() || (entries.size() == 1 && entries.at(0).empty()));
}

Manager* ManagedFields::find(const Manager& holder) {
  for (Manager& manager : managers_) {
    if (manager.same_holder(holder)) return &manager;
  }
  return nullptr;
}

void ManagedFields::tidy() {
  for (Manager& manager : managers_) strip(manager.fields);
  std::erase_if(managers_, [](const Manager& manager) { return manager.fields.empty(); });
  merge_oldest();
}

void ManagedFields::merge_oldest() {
  auto updates = [&] {
    return static_cast<size_t>(std::count_if(managers_.begin(), managers_.end(),
                                             [](const Manager& m) { return !m.applies(); }));
  };
  while (updates() > kUpdatesMax) {
    auto older = [](const Manager& a, const Manager& b) {
      return std::tuple(a.applies(), a.name == "ancient-changes", a.time) <
             std::tuple(b.applies(), b.name == "ancient-changes", b.time);
    };
    auto oldest = std::min_element(managers_.begin(), managers_.end(), older);
    Manager moved = std::move(*oldest);
    managers_.erase(oldest);
    moved.name = "ancient-changes";
    moved.subresource.clear();
    if (Manager* bucket = find(moved)) {
      bucket->fields.add(moved.fields);
      bucket->time = std::max(bucket->time, moved.time);
    } else {
      managers_.push_back(std::move(moved));
      if (updates() > kUpdatesMax) continue;
    }
  }
}

void ManagedFields::write(json::Node meta) const {
  if (managers_.empty()) {
    meta.remove("managedFields");
    return;
  }
  std::vector<const Manager*> sorted;
  for (const Manager& manager : managers_) sorted.push_back(&manager);
  std::sort(sorted.begin(), sorted.end(), [](const Manager* a, const Manager* b) {
    return std::tie(a->operation, a->time, a->name, a->api_version, a->subresource) <
           std::tie(b->operation, b->time, b->name, b->api_version, b->subresource);
  });
  json::Node out = meta.set_array("managedFields");
  for (const Manager* manager : sorted) {
    json::Node entry = out.push_object();
    entry.set("manager", manager->name);
    entry.set("operation", manager->operation);
    entry.set("apiVersion", manager->api_version);
    if (!manager->time.empty()) entry.set("time", manager->time);
    entry.set("fieldsType", "FieldsV1");
    manager->fields.write(entry.set_object("fieldsV1"));
    if (!manager->subresource.empty()) entry.set("subresource", manager->subresource);
  }
}

}  // namespace wherry::api
