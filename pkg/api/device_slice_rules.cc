// ResourceSlice: the devices that a driver offers, and on which nodes.

#include <algorithm>
#include <set>

#include "api/device_rules.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/schema_core_v1.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kEffects[] = {"NoExecute", "NoSchedule", "None"};
constexpr size_t kDevicesMax = 128;
constexpr size_t kAttributesMax = 32;
constexpr size_t kTaintsMax = 16;
constexpr size_t kCounterSetsMax = 8;
constexpr size_t kConsumedSetsMax = 2;
constexpr size_t kConditionsMax = 4;
constexpr size_t kAttributeBytesMax = 64;

bool check_size(json::Value list, size_t items_max, const Path& path, FieldErrors& errors) {
  if (list.size() > items_max) errors.too_many(path, list.size(), items_max);
  return list.size() <= items_max;
}

// https://semver.org, 2.0.0: three numbers without leading zeros, then -identifiers, then
// +identifiers.
bool is_semantic_version(std::string_view text) {
  auto good = [](char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-';
  };
  auto digits = [](std::string_view part) {
    return !part.empty() &&
           std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  auto number = [&](std::string_view part) {
    return digits(part) && (part.size() == 1 || part[0] != '0');
  };
  auto identifiers = [&](std::string_view list, bool zeros) {
    for (std::string_view part : split(list, '.')) {
      if (part.empty() || !std::all_of(part.begin(), part.end(), good)) return false;
      if (!zeros && digits(part) && !number(part)) return false;
    }
    return true;
  };
  if (auto cut = split_once(text, "+")) {
    if (!identifiers(cut->second, true)) return false;
    text = cut->first;
  }
  if (auto cut = split_once(text, "-")) {
    if (!identifiers(cut->second, false)) return false;
    text = cut->first;
  }
  std::vector<std::string_view> numbers = split(text, '.');
  return numbers.size() == 3 && std::all_of(numbers.begin(), numbers.end(), number);
}

// ---- Nodes

// Of the fields that say which nodes, those that are set; what is set to false is told.
std::vector<std::string> node_fields(json::Value value, std::initializer_list<const char*> fields,
                                     const Path& path, FieldErrors& errors) {
  std::vector<std::string> set;
  for (const char* field : fields) {
    json::Value there = value[field];
    if (!there) continue;
    if (there.is_bool() && !there.as_bool()) {
      errors.invalid(path.child(field), there, "must be either unset or set to true");
      continue;
    }
    set.push_back(fmt::format("`{}`", field));
  }
  return set;
}

void validate_nodes(json::Value value, const Path& path, FieldErrors& errors) {
  if (json::Value name = value["nodeName"]) {
    std::string_view text = name.as_string();
    if (text.empty()) {
      errors.required(path.child("nodeName"), "");
    } else {
      report(dns_subdomain_problems(text), path.child("nodeName"), text, errors);
    }
  }
  json::Value selector = value["nodeSelector"];
  if (!selector) return;
  Path at = path.child("nodeSelector");
  validate_node_selector(selector, at, errors);
  json::Value terms = selector["nodeSelectorTerms"];
  if (terms.size() != 1 && path.text() == "spec") {
    json::Document shown = go_struct(schema::core_v1::kNodeSelector, selector);
    json::Document none = json::Draft::array().freeze();
    errors.invalid(at.child("nodeSelectorTerms"),
                   terms.empty() ? none.root() : shown.root()["NodeSelectorTerms"],
                   "must have exactly one node selector term");
  }
}

void expect_one(const std::vector<std::string>& set, const char* rule, const Path& path,
                FieldErrors& errors) {
  if (set.empty()) {
    errors.required(path, rule);
  } else if (set.size() > 1) {
    errors.invalid(
        path, "{" + join(set, ", ") + "}",
        fmt::format("{}{}", rule, path.text() == "spec" ? ", but multiple fields are set" : ""));
  }
}

void validate_device_nodes(json::Value device, bool per_device, const Path& path,
                           FieldErrors& errors) {
  if (!per_device) {
    if (device["nodeName"] || device["nodeSelector"] || device["allNodes"]) {
      errors.invalid(path, json::Value(),
                     "`nodeName`, `nodeSelector` and `allNodes` can only be set if "
                     "`perDeviceNodeSelection` is set to true in the ResourceSlice spec");
    }
    return;
  }
  validate_nodes(device, path, errors);
  expect_one(node_fields(device, {"nodeName", "nodeSelector", "allNodes"}, path, errors),
             "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when "
             "`perDeviceNodeSelection` is set to true in the ResourceSlice spec",
             path, errors);
}

// ---- Devices

json::Document shown_attribute(json::Value attribute) {
  json::Draft draft;
  json::Node root = draft.root();
  struct Known {
    const char* field;
    const char* shown;
  };
  for (const Known& known : {Known{"int", "IntValue"}, Known{"bool", "BoolValue"},
                             Known{"string", "StringValue"}, Known{"version", "VersionValue"}}) {
    if (attribute[known.field]) {
      root.set(known.shown, attribute[known.field]);
    } else {
      root.set_null(known.shown);
    }
  }
  for (const char* shown : {"IntValues", "BoolValues", "StringValues", "VersionValues"})
    root.set_null(shown);
  return draft.freeze();
}

void validate_attribute(json::Value attribute, const Path& path, FieldErrors& errors) {
  constexpr const char* kOne = "exactly one value must be specified";
  size_t set = 0;
  for (const char* field : {"int", "bool", "string", "version"}) set += attribute[field] ? 1 : 0;
  for (const char* field : {"string", "version"}) {
    std::string_view text = attribute[field].as_string();
    if (!attribute[field]) continue;
    if (text.size() > kAttributeBytesMax) errors.too_long(path.child(field), kAttributeBytesMax);
    if (std::string_view(field) == "version" && !is_semantic_version(text)) {
      errors.invalid(path.child(field), text,
                     "must be a string compatible with semver.org spec 2.0.0");
    }
  }
  if (set == 0) errors.invalid(path, "", kOne);
  if (set > 1) {
    json::Document shown = shown_attribute(attribute);
    errors.invalid(path, shown.root(), kOne);
  }
}

void validate_taint(json::Value taint, const Path& path, FieldErrors& errors) {
  std::string_view key = taint["key"].as_string();
  std::string_view value = taint["value"].as_string();
  std::string_view effect = taint["effect"].as_string();
  report(qualified_name_problems(key), path.child("key"), key, errors);
  if (!value.empty()) report(label_value_problems(value), path.child("value"), value, errors);
  if (effect.empty()) {
    errors.required(path.child("effect"), "");
  } else {
    check_enum(effect, kEffects, path.child("effect"), errors);
  }
}

void validate_counters(json::Value counters, const Path& path, FieldErrors& errors) {
  if (counters.empty()) errors.required(path, "");
  for (auto [name, _] : counters.members()) report(dns_label_problems(name), path, name, errors);
}

void validate_binding(json::Value device, const Path& path, FieldErrors& errors) {
  std::set<std::string_view> conditions;
  for (const char* field : {"bindingConditions", "bindingFailureConditions"}) {
    json::Value list = device[field];
    Path at = path.child(field);
    check_size(list, kConditionsMax, at, errors);
    size_t index = 0;
    bool failures = std::string_view(field) == "bindingFailureConditions";
    for (json::Value item : list.items()) {
      Path here = at.index(index++);
      if (failures && conditions.contains(item.as_string())) {
        errors.invalid(here, item,
                       "bindingFailureConditions must not overlap with "
                       "bindingConditions");
      }
    }
    find_repeated(list, nullptr, at, errors);
    if (!failures) {
      for (json::Value item : list.items()) conditions.insert(item.as_string());
    }
  }
  bool failures = !device["bindingFailureConditions"].empty();
  if (!conditions.empty() && !failures) {
    errors.invalid(path.child("bindingFailureConditions"), json::Value(),
                   "bindingFailureConditions are required to use bindingConditions");
  } else if (conditions.empty() && failures) {
    errors.invalid(path.child("bindingConditions"), json::Value(),
                   "bindingConditions are required to use bindingFailureConditions");
  }
}

void validate_device(json::Value device, bool per_device, const Path& path, FieldErrors& errors) {
  std::string_view name = device["name"].as_string();
  report(dns_label_problems(name), path.child("name"), name, errors);
  json::Value attributes = device["attributes"];
  json::Value capacity = device["capacity"];
  size_t total = attributes.size() + capacity.size();
  if (total > kAttributesMax) {
    errors.invalid(path, static_cast<int64_t>(total),
                   fmt::format("the total number of attributes and capacities must not exceed {}",
                               kAttributesMax));
  }
  for (auto [key, attribute] : attributes.members()) {
    validate_device_key(key, Domain::kOptional, path.child("attributes"), errors);
    validate_attribute(attribute, path.child("attributes").key(key), errors);
  }
  for (auto [key, amount] : capacity.members()) {
    validate_device_key(key, Domain::kOptional, path.child("capacity"), errors);
    if (amount["requestPolicy"] && !device["allowMultipleAllocations"].as_bool()) {
      errors.forbidden(path.child("capacity").key(key).child("requestPolicy"),
                       "allowMultipleAllocations must be true");
    }
  }
  if (check_size(device["taints"], kTaintsMax, path.child("taints"), errors)) {
    size_t at = 0;
    for (json::Value taint : device["taints"].items())
      validate_taint(taint, path.child("taints").index(at++), errors);
  }
  Path consumed = path.child("consumesCounters");
  if (check_size(device["consumesCounters"], kConsumedSetsMax, consumed, errors)) {
    size_t at = 0;
    for (json::Value use : device["consumesCounters"].items()) {
      Path here = consumed.index(at++);
      if (use["counterSet"].as_string().empty()) errors.required(here.child("counterSet"), "");
      validate_counters(use["counters"], here.child("counters"), errors);
    }
    find_repeated(device["consumesCounters"], "counterSet", consumed, errors);
  }
  validate_device_nodes(device, per_device, path, errors);
  validate_binding(device, path, errors);
}

void validate_counter_sets(json::Value sets, const Path& path, FieldErrors& errors) {
  if (!check_size(sets, kCounterSetsMax, path, errors)) return;
  size_t at = 0;
  for (json::Value set : sets.items()) {
    Path here = path.index(at++);
    std::string_view name = set["name"].as_string();
    if (name.empty()) {
      errors.required(here.child("name"), "");
    } else {
      report(dns_label_problems(name), here.child("name"), name, errors);
    }
    validate_counters(set["counters"], here.child("counters"), errors);
  }
  find_repeated(sets, "name", path, errors);
}

// A taint that drives pods away bears the time from which it does.
void date_taints(json::Node slice, Time now) {
  for (json::Node device : slice["spec"]["devices"].items()) {
    for (json::Node taint : device["taints"].items()) {
      if (!taint["timeAdded"]) taint.set("timeAdded", format_time(now));
    }
  }
}

}  // namespace

void prepare_slice(json::Node slice, Time now) { date_taints(slice, now); }
void prepare_slice_update(json::Value, json::Node after, Time now) { date_taints(after, now); }

void validate_slice(json::Value slice, FieldErrors& errors) {
  json::Value spec = slice["spec"];
  Path path("spec");
  validate_driver_name(spec["driver"].as_string(), path.child("driver"), errors);
  json::Value pool = spec["pool"];
  Path at = path.child("pool");
  validate_pool_name(pool["name"].as_string(), at.child("name"), errors);
  if (int64_t count = pool["resourceSliceCount"].as_int(); count <= 0)
    errors.invalid(at.child("resourceSliceCount"), count, "must be greater than zero");
  if (int64_t generation = pool["generation"].as_int(); generation < 0)
    errors.invalid(at.child("generation"), generation, "must be greater than or equal to zero");
  validate_nodes(spec, path, errors);
  expect_one(node_fields(spec, {"nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"},
                         path, errors),
             "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is "
             "required",
             path, errors);
  json::Value devices = spec["devices"];
  if (!devices.empty() && !spec["sharedCounters"].empty())
    errors.invalid(path, "", "only one of `sharedCounters` or `devices` is allowed");
  Path devices_path = path.child("devices");
  if (check_size(devices, kDevicesMax, devices_path, errors)) {
    size_t index = 0;
    for (json::Value device : devices.items()) {
      validate_device(device, spec["perDeviceNodeSelection"].as_bool(), devices_path.index(index++),
                      errors);
    }
    find_repeated(devices, "name", devices_path, errors);
  }
  validate_counter_sets(spec["sharedCounters"], path.child("sharedCounters"), errors);
}

void validate_slice_update(json::Value before, json::Value after, FieldErrors& errors) {
  json::Value old = before["spec"];
  json::Value now = after["spec"];
  Path path("spec");
  auto fixed = [&](json::Value a, json::Value b, const Path& at) {
    if (!json::equal(a, b)) errors.invalid(at, b, "field is immutable");
  };
  fixed(old["driver"], now["driver"], path.child("driver"));
  fixed(old["pool"]["name"], now["pool"]["name"], path.child("pool").child("name"));
  for (const char* field : {"nodeName", "nodeSelector", "allNodes"})
    fixed(old[field], now[field], path.child(field));
}

}  // namespace wherry::api
