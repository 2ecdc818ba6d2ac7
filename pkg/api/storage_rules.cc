#include "api/storage_rules.h"

#include <set>

#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "api/schema_storage_v1.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr size_t kParametersMax = 512;
constexpr size_t kBytesMax = 256 * 1024;
constexpr size_t kNodeIdBytesMax = 256;

void validate_parameters(json::Value parameters, const Path& path, FieldErrors& errors) {
  if (parameters.size() > kParametersMax) {
    errors.too_long(path, kParametersMax);
    return;
  }
  size_t bytes = 0;
  for (auto [key, value] : parameters.members()) {
    if (key.empty()) errors.invalid(path, key, "field can not be empty.");
    bytes += key.size() + value.as_string().size();
  }
  if (bytes > kBytesMax) errors.too_long(path, kBytesMax);
}

void validate_provisioner(std::string_view name, const Path& path, FieldErrors& errors) {
  if (name.empty()) {
    errors.required(path, "");
  } else {
    std::string lower = to_lower(name);
    report(qualified_name_problems(lower), path, name, errors);
  }
}

// Terms that pick nodes by labels: each of its own, with keys and values once.
void validate_topologies(json::Value terms, const Path& path, FieldErrors& errors) {
  std::set<std::string> seen;
  size_t at = 0;
  for (json::Value term : terms.items()) {
    Path list = path.index(at++).child("matchLabelExpressions");
    std::set<std::string_view> keys;
    std::set<std::string> shape;
    size_t index = 0;
    for (json::Value expression : term["matchLabelExpressions"].items()) {
      Path item = list.index(index++);
      std::string_view key = expression["key"].as_string();
      std::set<std::string_view> values;
      if (expression["values"].empty()) errors.required(item.child("values"), "");
      size_t value_at = 0;
      for (json::Value value : expression["values"].items()) {
        Path here = item.child("values").index(value_at++);
        if (!values.insert(value.as_string()).second) errors.duplicate(here, value.as_string());
      }
      report(qualified_name_problems(key), item.child("key"), key, errors);
      if (!keys.insert(key).second) errors.duplicate(item.child("key"), key);
      std::string text(key);
      for (std::string_view value : values) text.append("\n").append(value);
      shape.insert(std::move(text));
    }
    std::string text = join(std::vector<std::string>(shape.begin(), shape.end()), "\n\n");
    bool fresh = !text.empty() && seen.insert(text).second;
    if (!fresh) errors.duplicate(list, "");
  }
}

}  // namespace

std::vector<std::string> storage_class_warnings(json::Value object) {
  std::vector<std::string> out;
  size_t at = 0;
  for (json::Value term : object["allowedTopologies"].items()) {
    Path list = Path("allowedTopologies").index(at++).child("matchLabelExpressions");
    size_t index = 0;
    for (json::Value expression : term["matchLabelExpressions"].items()) {
      Path key = list.index(index++).child("key");
      std::string_view text = deprecated_label(expression["key"].as_string());
      if (!text.empty()) out.push_back(fmt::format("{}: {}", key.text(), text));
    }
  }
  return out;
}

std::vector<std::string> csi_driver_warnings(json::Value object) {
  json::Value spec = object["spec"];
  if (spec["tokenRequests"].empty() || spec["serviceAccountTokenInSecrets"]) return {};
  return {
      "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to "
      "prevent possible logging of tokens in volume attributes"};
}

void validate_storage_class(json::Value object, FieldErrors& errors) {
  static constexpr std::string_view kReclaim[] = {"Delete", "Retain"};
  static constexpr std::string_view kModes[] = {"Immediate", "WaitForFirstConsumer"};
  validate_provisioner(object["provisioner"].as_string(), Path("provisioner"), errors);
  validate_parameters(object["parameters"], Path("parameters"), errors);
  std::string_view reclaim = object["reclaimPolicy"].as_string();
  if (!reclaim.empty()) check_enum(reclaim, kReclaim, Path("reclaimPolicy"), errors);
  check_enum(object["volumeBindingMode"].as_string(), kModes, Path("volumeBindingMode"), errors);
  validate_topologies(object["allowedTopologies"], Path("allowedTopologies"), errors);
}

void validate_storage_class_update(json::Value before, json::Value after, FieldErrors& errors) {
  for (const char* field : {"parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"}) {
    bool both_empty = before[field].empty() && after[field].empty() && !before[field].is_string();
    if (!both_empty) validate_immutable(before[field], after[field], Path(field), errors);
  }
}

void validate_volume_attributes(json::Value object, FieldErrors& errors) {
  std::string_view driver = object["driverName"].as_string();
  if (driver.empty()) {
    errors.required(Path("driverName"), "");
  } else {
    std::string lower = to_lower(driver);
    report(qualified_name_problems(lower), Path("driverName"), lower, errors);
  }
  if (object["parameters"].empty())
    errors.required(Path("parameters"), "must contain at least one key/value pair");
  validate_parameters(object["parameters"], Path("parameters"), errors);
}

void validate_attachment(json::Value object, FieldErrors& errors) {
  constexpr const char* kOne =
      "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
  json::Value spec = object["spec"];
  Path path("spec");
  std::string_view attacher = spec["attacher"].as_string();
  validate_csi_driver_name(attacher, path.child("attacher"), errors);
  json::Value name = spec["source"]["persistentVolumeName"];
  json::Value own = spec["source"]["inlineVolumeSpec"];
  Path source = path.child("source");
  if (!name && !own) errors.required(source, kOne);
  if (name && own) {
    errors.forbidden(source, kOne);
  } else if (name) {
    Path at = source.child("persistentVolumeName");
    if (name.as_string().empty())
      errors.required(at, "must specify non empty persistentVolumeName");
    report(dns_subdomain_problems(name.as_string()), at, name.as_string(), errors);
  } else if (own) {
    validate_inline_volume_spec(own, source.child("inlineVolumeSpec"), errors);
  }
  std::string_view node = spec["nodeName"].as_string();
  report(dns_subdomain_problems(node), path.child("nodeName"), node, errors);
}

void validate_attachment_update(json::Value before, json::Value after, FieldErrors& errors) {
  if (json::equal(before["spec"], after["spec"])) return;
  json::Document shown = go_struct(schema::storage_v1::kVolumeAttachmentSpec, after["spec"]);
  errors.invalid(Path("spec"), shown.root(), "field is immutable");
}

void validate_attachment_status(json::Value, json::Value after, FieldErrors& errors) {
  Path path("status");
  json::Value status = after["status"];
  size_t bytes = 0;
  for (auto [key, value] : status["attachmentMetadata"].members())
    bytes += key.size() + value.as_string().size();
  if (bytes > kBytesMax) errors.too_long(path.child("attachmentMetadata"), kBytesMax);
  for (const char* field : {"attachError", "detachError"}) {
    json::Value error = status[field];
    if (error["message"].as_string().size() > 1024)
      errors.too_long(path.child(field).child("message"), kBytesMax);
    if (error["errorCode"].as_int() < 0) {
      errors.invalid(path.child(field).child("errorCode"), error["errorCode"].as_int(),
                     "must be between 0 and 2147483647, inclusive");
    }
  }
}

void validate_csi_driver(json::Value object, FieldErrors& errors) {
  static constexpr std::string_view kModes[] = {"Persistent", "Ephemeral"};
  static constexpr std::string_view kPolicies[] = {"File", "None", "ReadWriteOnceWithFSType"};
  constexpr int64_t kPeriodSecondsMin = 10;
  constexpr int64_t kTokenSecondsMin = 600;
  constexpr int64_t kTokenSecondsMax = int64_t{1} << 32;
  json::Value spec = object["spec"];
  Path path("spec");
  if (json::Value policy = spec["fsGroupPolicy"])
    check_enum(policy.as_string(), kPolicies, path.child("fsGroupPolicy"), errors);
  std::set<std::string_view> audiences;
  size_t at = 0;
  for (json::Value request : spec["tokenRequests"].items()) {
    Path item = path.child("tokenRequests").index(at++);
    std::string_view audience = request["audience"].as_string();
    if (!audiences.insert(audience).second) errors.duplicate(item.child("audience"), audience);
    json::Value seconds = request["expirationSeconds"];
    if (!seconds) continue;
    if (seconds.as_int() < kTokenSecondsMin) {
      errors.invalid(item.child("expirationSeconds"), seconds.as_int(),
                     "may not specify a duration less than 10 minutes");
    } else if (seconds.as_int() > kTokenSecondsMax) {
      errors.invalid(item.child("expirationSeconds"), seconds.as_int(),
                     "may not specify a duration larger than 2^32 seconds");
    }
  }
  for (json::Value mode : spec["volumeLifecycleModes"].items())
    check_enum(mode.as_string(), kModes, path.child("volumeLifecycleModes"), errors);
  if (json::Value period = spec["nodeAllocatableUpdatePeriodSeconds"];
      period && period.as_int() < kPeriodSecondsMin) {
    errors.invalid(path.child("nodeAllocatableUpdatePeriodSeconds"), period.as_int(),
                   "must be greater than or equal to 10 seconds");
  }
  json::Value secrets = spec["serviceAccountTokenInSecrets"];
  if (secrets.as_bool() && spec["tokenRequests"].empty()) {
    errors.invalid(path.child("serviceAccountTokenInSecrets"), secrets,
                   "serviceAccountTokenInSecrets is set but no tokenRequests are specified");
  }
}

void validate_csi_driver_update(json::Value before, json::Value after, FieldErrors& errors) {
  Path path("spec");
  validate_immutable(before["spec"]["attachRequired"], after["spec"]["attachRequired"],
                     path.child("attachedRequired"), errors);
  validate_immutable(before["spec"]["volumeLifecycleModes"], after["spec"]["volumeLifecycleModes"],
                     path.child("volumeLifecycleModes"), errors);
}

void validate_csi_node(json::Value object, FieldErrors& errors) {
  std::set<std::string_view> names;
  size_t at = 0;
  for (json::Value driver : object["spec"]["drivers"].items()) {
    Path path = Path("spec").child("drivers").index(at++);
    std::string_view name = driver["name"].as_string();
    std::string_view id = driver["nodeID"].as_string();
    validate_csi_driver_name(name, path.child("name"), errors);
    if (id.empty()) errors.required(path.child("nodeID"), "");
    if (id.size() > kNodeIdBytesMax)
      errors.invalid(path.child("nodeID"), id,
                     fmt::format("must be {} characters or less", kNodeIdBytesMax));
    if (json::Value count = driver["allocatable"]["count"])
      check_not_negative(count, path.child("allocatable").child("count"), errors);
    std::set<std::string_view> keys;
    for (json::Value key : driver["topologyKeys"].items()) {
      std::string_view text = key.as_string();
      if (text.empty()) errors.required(path, "");
      if (!keys.insert(text).second) errors.duplicate(path, text);
      report(qualified_name_problems(text), path, text, errors);
    }
    if (!name.empty() && !names.insert(name).second) errors.duplicate(path.child("name"), name);
  }
}

// A driver of a node comes and goes, but does not change.
void validate_csi_node_update(json::Value before, json::Value after, FieldErrors& errors) {
  for (json::Value old : before["spec"]["drivers"].items()) {
    for (json::Value now : after["spec"]["drivers"].items()) {
      if (old["name"].as_string() != now["name"].as_string()) continue;
      bool same = old["nodeID"].as_string() == now["nodeID"].as_string() &&
                  json::equal(old["topologyKeys"], now["topologyKeys"]);
      if (same) continue;
      json::Document shown = go_struct(schema::storage_v1::kCSINodeDriver, now);
      errors.invalid(Path("spec").child("drivers"), shown.root(), "field is immutable");
    }
  }
}

void validate_csi_capacity(json::Value object, FieldErrors& errors) {
  std::string_view name = object["storageClassName"].as_string();
  report(dns_subdomain_problems(name), Path("storageClassName"), name, errors);
  if (object["nodeTopology"])
    validate_label_selector(object["nodeTopology"], Path("nodeTopology"), errors);
  Quantity amount = Quantity::from(object["capacity"]);
  if (amount.sign() < 0)
    errors.invalid(Path("capacity"), amount.text(), "must be greater than or equal to 0");
}

void validate_csi_capacity_update(json::Value before, json::Value after, FieldErrors& errors) {
  for (const char* field : {"nodeTopology", "storageClassName"})
    validate_immutable(before[field], after[field], Path(field), errors);
}

}  // namespace wherry::api
