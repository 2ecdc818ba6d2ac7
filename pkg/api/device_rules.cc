#include "api/device_rules.h"

#include <algorithm>
#include <set>

#include "api/go_text.h"
#include "api/names.h"
#include "api/placement.h"
#include "api/pod_rules.h"
#include "api/schema_resource_v1.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kModes[] = {"All", "ExactCount"};
constexpr std::string_view kOperators[] = {"Equal", "Exists"};
constexpr std::string_view kEffects[] = {"NoExecute", "NoSchedule", "None"};
constexpr size_t kItemsMax = 32;
constexpr size_t kAlternativesMax = 8;
constexpr size_t kConsumersMax = 256;
constexpr size_t kTextBytesMax = 10 * 1024;
constexpr size_t kDriverBytesMax = 63;
constexpr size_t kPoolBytesMax = 253;
constexpr size_t kIdentifierBytesMax = 32;
constexpr size_t kDomainBytesMax = 63;
constexpr size_t kInterfaceBytesMax = 256;
constexpr size_t kHardwareBytesMax = 128;
constexpr const char* kIdentifierText =
    "a valid C identifier must start with alphabetic character or '_', followed by a string of "
    "alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for "
    "validation is '[A-Za-z_][A-Za-z0-9_]*')";

bool is_identifier(std::string_view text) {
  auto letter = [](char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; };
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return letter(c) || c == '_' || (c >= '0' && c <= '9'); });
}

// True when there are not too many.
bool check_size(json::Value list, size_t items_max, const Path& path, FieldErrors& errors) {
  if (list.size() > items_max) errors.too_many(path, list.size(), items_max);
  return list.size() <= items_max;
}

// ---- Requests

void validate_selectors(json::Value selectors, const Path& path, FieldErrors& errors) {
  if (!check_size(selectors, kItemsMax, path, errors)) return;
  size_t at = 0;
  for (json::Value selector : selectors.items()) {
    Path here = path.index(at++).child("cel");
    if (!selector["cel"]) {
      errors.required(here, "");
    } else if (selector["cel"]["expression"].as_string().size() > kTextBytesMax) {
      errors.too_long(here.child("expression"), kTextBytesMax);
    }
  }
}

void validate_amount(json::Value request, const Path& path, FieldErrors& errors) {
  std::string_view mode = request["allocationMode"].as_string();
  int64_t count = request["count"].as_int();
  if (!check_enum(mode, kModes, path.child("allocationMode"), errors)) return;
  if (mode == "All" && count != 0) {
    errors.invalid(path.child("count"), count,
                   "must not be specified when allocationMode is 'All'");
  } else if (mode == "ExactCount" && count <= 0) {
    errors.invalid(path.child("count"), count, "must be greater than zero");
  }
}

void validate_device_tolerations(json::Value tolerations, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value toleration : tolerations.items()) {
    Path here = path.index(at++);
    std::string_view key = toleration["key"].as_string();
    std::string_view value = toleration["value"].as_string();
    std::string_view kind = toleration["operator"].as_string();
    if (!key.empty()) report(qualified_name_problems(key), here.child("key"), key, errors);
    if (kind == "Exists") {
      if (!value.empty())
        errors.invalid(here.child("value"), value, "must be empty for operator `Exists`");
    } else if (kind == "Equal") {
      report(label_value_problems(value), here.child("value"), value, errors);
    } else {
      check_enum(kind, kOperators, here.child("operator"), errors);
    }
    if (std::string_view effect = toleration["effect"].as_string(); !effect.empty())
      check_enum(effect, kEffects, here.child("effect"), errors);
  }
}

// What both forms of a request say.
void validate_wish(json::Value request, const Path& path, FieldErrors& errors) {
  std::string_view name = request["deviceClassName"].as_string();
  if (name.empty()) {
    errors.required(path.child("deviceClassName"), "");
  } else {
    report(dns_subdomain_problems(name), path.child("deviceClassName"), name, errors);
  }
  validate_selectors(request["selectors"], path.child("selectors"), errors);
  validate_amount(request, path, errors);
  validate_device_tolerations(request["tolerations"], path.child("tolerations"), errors);
}

void validate_request(json::Value request, const Path& path, FieldErrors& errors) {
  std::string_view name = request["name"].as_string();
  report(dns_label_problems(name), path.child("name"), name, errors);
  json::Value exactly = request["exactly"];
  json::Value alternatives = request["firstAvailable"];
  constexpr const char* kOne = "exactly one of `exactly` or `firstAvailable` is required";
  if (!exactly && alternatives.empty()) {
    errors.required(path, kOne);
  } else if (exactly && !alternatives.empty()) {
    errors.invalid(path, json::Value(), fmt::format("{}, but multiple fields are set", kOne));
  }
  if (exactly) validate_wish(exactly, path.child("exactly"), errors);
  Path at = path.child("firstAvailable");
  if (!check_size(alternatives, kAlternativesMax, at, errors)) return;
  size_t index = 0;
  for (json::Value alternative : alternatives.items()) {
    Path here = at.index(index++);
    std::string_view sub = alternative["name"].as_string();
    report(dns_label_problems(sub), here.child("name"), sub, errors);
    validate_wish(alternative, here, errors);
  }
  find_repeated(alternatives, "name", at, errors);
}

// ---- References to requests

// "request" or "request/alternative".
using RequestNames = std::set<std::string, std::less<>>;

RequestNames names_of(json::Value requests) {
  RequestNames names;
  for (json::Value request : requests.items()) {
    std::string name(request["name"].as_string());
    names.insert(name);
    for (json::Value alternative : request["firstAvailable"].items())
      names.insert(fmt::format("{}/{}", name, alternative["name"].as_string()));
  }
  return names;
}

void validate_reference(std::string_view reference, const RequestNames& names, const Path& path,
                        FieldErrors& errors) {
  std::vector<std::string_view> parts = split(reference, '/');
  if (parts.size() <= 2) {
    for (std::string_view part : parts) report(dns_label_problems(part), path, part, errors);
  }
  if (!names.contains(reference)) {
    errors.invalid(path, reference,
                   "must be the name of a request in the claim or the name of a request and a "
                   "subrequest separated by '/'");
  }
}

void validate_references(json::Value references, const RequestNames& names, const Path& path,
                         FieldErrors& errors) {
  if (!check_size(references, kItemsMax, path, errors)) return;
  size_t at = 0;
  for (json::Value reference : references.items())
    validate_reference(reference.as_string(), names, path.index(at++), errors);
  find_repeated(references, nullptr, path, errors);
}

void validate_constraints(json::Value constraints, const RequestNames& names, const Path& path,
                          FieldErrors& errors) {
  if (!check_size(constraints, kItemsMax, path, errors)) return;
  size_t at = 0;
  for (json::Value constraint : constraints.items()) {
    Path here = path.index(at++);
    validate_references(constraint["requests"], names, here.child("requests"), errors);
    bool told = false;
    for (const char* field : {"matchAttribute", "distinctAttribute"}) {
      if (told || !constraint[field]) continue;
      told = true;
      validate_device_key(constraint[field].as_string(), Domain::kNeeded, here.child(field),
                          errors);
    }
    if (!told) {
      errors.required(here,
                      "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, "
                      "but multiple fields are set");
    }
  }
}

void validate_opaque(json::Value opaque, const Path& path, FieldErrors& errors) {
  if (!opaque) {
    errors.required(path, "");
    return;
  }
  validate_driver_name(opaque["driver"].as_string(), path.child("driver"), errors);
  json::Value parameters = opaque["parameters"];
  Path at = path.child("parameters");
  if (!parameters || parameters.is_null()) {
    errors.required(at, "");
  } else if (parameters.dump().size() > kTextBytesMax) {
    errors.too_long(at, kTextBytesMax);
  } else if (!parameters.is_object()) {
    errors.invalid(at, "<value omitted>", "must be a valid JSON object");
  }
}

void validate_claim_spec_of(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value devices = spec["devices"];
  Path at = path.child("devices");
  json::Value requests = devices["requests"];
  RequestNames names = names_of(requests);
  Path requests_path = at.child("requests");
  if (check_size(requests, kItemsMax, requests_path, errors)) {
    size_t index = 0;
    for (json::Value request : requests.items())
      validate_request(request, requests_path.index(index++), errors);
    find_repeated(requests, "name", requests_path, errors);
  }
  validate_constraints(devices["constraints"], names, at.child("constraints"), errors);
  Path config_path = at.child("config");
  if (!check_size(devices["config"], kItemsMax, config_path, errors)) return;
  size_t index = 0;
  for (json::Value config : devices["config"].items()) {
    Path here = config_path.index(index++);
    validate_references(config["requests"], names, here.child("requests"), errors);
    validate_opaque(config["opaque"], here.child("opaque"), errors);
  }
}

// ---- Status

struct DeviceKey {
  std::string_view driver, pool, device, share;
  auto operator<=>(const DeviceKey&) const = default;
};

DeviceKey key_of(json::Value device) {
  return {device["driver"].as_string(), device["pool"].as_string(), device["device"].as_string(),
          device["shareID"].as_string()};
}

void validate_allocation(json::Value allocation, const RequestNames& names, const Path& path,
                         FieldErrors& errors) {
  size_t at = 0;
  Path results = path.child("devices").child("results");
  for (json::Value result : allocation["devices"]["results"].items()) {
    Path here = results.index(at++);
    validate_reference(result["request"].as_string(), names, here.child("request"), errors);
    validate_driver_name(result["driver"].as_string(), here.child("driver"), errors);
    validate_pool_name(result["pool"].as_string(), here.child("pool"), errors);
    std::string_view device = result["device"].as_string();
    if (device.empty()) {
      errors.required(here.child("device"), "");
    } else {
      report(dns_label_problems(device), here.child("device"), device, errors);
    }
  }
  if (json::Value selector = allocation["nodeSelector"])
    validate_node_selector(selector, path.child("nodeSelector"), errors);
}

void validate_network_data(json::Value data, const Path& path, FieldErrors& errors) {
  if (data["interfaceName"].as_string().size() > kInterfaceBytesMax)
    errors.too_long(path.child("interfaceName"), kInterfaceBytesMax);
  if (data["hardwareAddress"].as_string().size() > kHardwareBytesMax)
    errors.too_long(path.child("hardwareAddress"), kHardwareBytesMax);
  size_t at = 0;
  for (json::Value address : data["ips"].items()) {
    std::string_view text = address.as_string();
    Path here = path.child("ips").index(at++);
    // An address with the length of its range, which has bits beyond it.
    auto parts = split_once(text, "/");
    int64_t bits = parts ? parse_int(parts->second).value_or(-1) : -1;
    bool sound = parts && bits >= 0 &&
                 ((is_ipv4(parts->first) && bits <= 32) || (is_ipv6(parts->first) && bits <= 128));
    if (!sound) {
      errors.invalid(here, text,
                     "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)");
    }
  }
}

void validate_reserved(json::Value status, FieldErrors& errors) {
  json::Value consumers = status["reservedFor"];
  Path path = Path("status").child("reservedFor");
  if (!check_size(consumers, kConsumersMax, path, errors)) return;
  size_t at = 0;
  for (json::Value consumer : consumers.items()) {
    Path here = path.index(at++);
    for (const char* field : {"resource", "name", "uid"}) {
      if (consumer[field].as_string().empty()) errors.required(here.child(field), "");
    }
  }
  find_repeated(consumers, "uid", path, errors);
  if (!consumers.empty() && !status["allocation"])
    errors.forbidden(path, "may not be specified when `allocated` is not set");
}

}  // namespace

void find_repeated(json::Value list, const char* field, const Path& path, FieldErrors& errors) {
  std::set<std::string_view> seen;
  size_t at = 0;
  for (json::Value item : list.items()) {
    std::string_view key = (field != nullptr ? item[field] : item).as_string();
    Path here = path.index(at++);
    if (!key.empty() && !seen.insert(key).second) errors.duplicate(here, key);
  }
}

void validate_driver_name(std::string_view name, const Path& path, FieldErrors& errors) {
  if (name.empty()) {
    errors.required(path, "");
  } else if (name.size() > kDriverBytesMax) {
    errors.too_long(path, kDriverBytesMax);
  } else {
    report(dns_subdomain_problems(name), path, name, errors);
  }
}

void validate_pool_name(std::string_view name, const Path& path, FieldErrors& errors) {
  if (name.empty()) {
    errors.required(path, "");
    return;
  }
  if (name.size() > kPoolBytesMax) errors.too_long(path, kPoolBytesMax);
  for (std::string_view part : split(name, '/'))
    report(dns_subdomain_problems(part), path, part, errors);
}

void validate_device_key(std::string_view key, Domain domain, const Path& path,
                         FieldErrors& errors) {
  std::vector<std::string_view> parts = split(key, '/');
  std::string_view name = parts.size() > 1 ? parts[1] : key;
  if (parts.size() > 1) {
    if (parts[0].empty()) {
      errors.invalid(path, "", "the domain must not be empty");
    } else if (parts[0].size() > kDomainBytesMax) {
      errors.too_long(path, kDomainBytesMax);
    } else {
      report(dns_subdomain_problems(parts[0]), path, parts[0], errors);
    }
  }
  if (parts.size() > 1 && name.empty()) {
    errors.invalid(path, "", "the name must not be empty");
  } else if (name.size() > kIdentifierBytesMax) {
    errors.too_long(path, kIdentifierBytesMax);
  } else if (!is_identifier(name)) {
    errors.invalid(path, name, kIdentifierText);
  }
  if (domain == Domain::kNeeded && parts.size() == 1) {
    errors.invalid(path, key,
                   "a fully qualified name must be a domain and a name separated by a slash");
  }
}

namespace {

void default_requests(json::Node devices) {
  auto count = [](json::Node request) {
    if (request["allocationMode"].as_string() == "ExactCount" && request["count"].as_int() == 0)
      request.set("count", 1);
  };
  for (json::Node request : devices["requests"].items()) {
    if (request["exactly"].is_object()) count(request["exactly"]);
    for (json::Node alternative : request["firstAvailable"].items()) count(alternative);
  }
}

}  // namespace

void default_claim(json::Node claim) { default_requests(claim["spec"]["devices"]); }
void default_claim_template(json::Node object) {
  default_requests(object["spec"]["spec"]["devices"]);
}

void validate_claim(json::Value claim, FieldErrors& errors) {
  validate_claim_spec_of(claim["spec"], Path("spec"), errors);
}

void validate_claim_template_object(json::Value object, FieldErrors& errors) {
  struct Known {
    const char* field;
    const char* shown;
  };
  json::Value meta = object["spec"]["metadata"];
  Path path = Path("spec").child("metadata");
  validate_annotations(meta["annotations"], path.child("annotations"), errors);
  validate_labels(meta["labels"], path.child("labels"), errors);
  for (const Known& known :
       {Known{"name", "name"}, Known{"generateName", "generateName"},
        Known{"namespace", "namespace"}, Known{"uid", "uID"},
        Known{"resourceVersion", "resourceVersion"}, Known{"generation", "generation"},
        Known{"ownerReferences", "ownerReferences"}, Known{"finalizers", "finalizers"}}) {
    if (meta[known.field]) errors.forbidden(path.child(known.shown), "cannot be set");
  }
  validate_claim_spec_of(object["spec"]["spec"], Path("spec").child("spec"), errors);
}

void validate_device_class(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  Path path("spec");
  validate_selectors(spec["selectors"], path.child("selectors"), errors);
  if (check_size(spec["config"], kItemsMax, path.child("config"), errors)) {
    size_t at = 0;
    for (json::Value config : spec["config"].items()) {
      Path here = path.child("config").index(at++);
      validate_opaque(config["opaque"], here.child("opaque"), errors);
    }
  }
  if (json::Value name = spec["extendedResourceName"]) {
    std::string_view text = name.as_string();
    bool extended = is_extended_resource(text) &&
                    qualified_name_problems(fmt::format("requests.{}", text)).empty();
    if (!extended) {
      errors.invalid(path.child("extendedResourceName"), text,
                     "must be a valid extended resource name");
    }
  }
}

namespace {

void fixed(json::Value before, json::Value after, json::Value shown, FieldErrors& errors) {
  if (!json::equal(before["spec"], after["spec"]))
    errors.invalid(Path("spec"), shown, "field is immutable");
}

}  // namespace

void validate_claim_update(json::Value before, json::Value after, FieldErrors& errors) {
  json::Document shown = go_struct(schema::resource_v1::kResourceClaimSpec, after["spec"]);
  fixed(before, after, shown.root(), errors);
}

void validate_claim_template_update(json::Value before, json::Value after, FieldErrors& errors) {
  // Metadata is not a field of its own in Go.
  json::Draft draft(after["spec"]["metadata"]);
  json::Document spec = go_struct(schema::resource_v1::kResourceClaimSpec, after["spec"]["spec"]);
  draft.root().set("Spec", spec.root());
  json::Document shown = draft.freeze();
  fixed(before, after, shown.root(), errors);
}

void validate_claim_status(json::Value before, json::Value after, FieldErrors& errors) {
  json::Value status = after["status"];
  json::Value allocation = status["allocation"];
  Path path("status");
  RequestNames names = names_of(after["spec"]["devices"]["requests"]);
  if (allocation) validate_allocation(allocation, names, path.child("allocation"), errors);
  validate_reserved(status, errors);
  std::set<DeviceKey> allocated;
  for (json::Value result : allocation["devices"]["results"].items())
    allocated.insert(key_of(result));
  size_t at = 0;
  for (json::Value device : status["devices"].items()) {
    Path here = path.child("devices").index(at++);
    DeviceKey key = key_of(device);
    if (!allocated.contains(key)) {
      json::Draft shown;
      shown.root().set("Driver", key.driver);
      shown.root().set("Pool", key.pool);
      shown.root().set("Device", key.device);
      shown.root().set("ShareID", key.share);
      errors.invalid(here, shown.freeze().root(), "must be an allocated device in the claim");
    }
    validate_network_data(device["networkData"], here.child("networkData"), errors);
  }
  json::Value old = before["status"]["allocation"];
  if (old && allocation && !json::equal(old, allocation)) {
    json::Document shown = go_struct(schema::resource_v1::kAllocationResult, allocation);
    errors.invalid(path.child("allocation"), shown.root(), "field is immutable");
  }
}

}  // namespace wherry::api
