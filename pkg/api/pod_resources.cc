// Amounts of resources: of a container, of a pod as a whole and of its sandbox, and the claims that
// containers use. Rules from the Kubernetes API reference, ResourceRequirements.

#include <algorithm>
#include <set>

#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "api/word_list.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kStandardResources[] = {"cpu",
                                                   "memory",
                                                   "ephemeral-storage",
                                                   "storage",
                                                   "pods",
                                                   "services",
                                                   "replicationcontrollers",
                                                   "resourcequotas",
                                                   "secrets",
                                                   "configmaps",
                                                   "persistentvolumeclaims",
                                                   "services.nodeports",
                                                   "services.loadbalancers",
                                                   "requests.cpu",
                                                   "requests.memory",
                                                   "requests.ephemeral-storage",
                                                   "requests.storage",
                                                   "limits.cpu",
                                                   "limits.memory",
                                                   "limits.ephemeral-storage"};
constexpr std::string_view kContainerResources[] = {"cpu", "memory", "ephemeral-storage"};
constexpr std::string_view kPodResources[] = {"cpu", "hugepages-", "memory"};

// Resources outside of kubernetes.io, named with a domain: counted in whole pieces, never
// overcommitted.
bool is_extended(std::string_view name) {
  return name.find('/') != std::string_view::npos &&
         name.find("kubernetes.io/") == std::string_view::npos;
}
bool is_huge_page(std::string_view name) { return name.starts_with("hugepages-"); }

// Claims that a container uses: each once, by a name that the pod gives it.
void validate_claim_use(json::Value used, json::Value claims, const Path& path,
                        FieldErrors& errors) {
  std::vector<std::string> names;
  for (json::Value claim : claims.items()) names.emplace_back(claim["name"].as_string());
  std::sort(names.begin(), names.end());
  std::set<std::string> seen, parts;
  size_t at = 0;
  for (json::Value use : used.items()) {
    Path item = path.index(at++);
    std::string name(use["name"].as_string());
    std::string_view request = use["request"].as_string();
    if (name.empty()) {
      errors.required(item, "");
      continue;
    }
    if (!request.empty())
      report(dns_label_problems(request), item.child("request"), request, errors);
    // A claim as a whole and a part of it do not go together.
    std::string key = request.empty() ? name : fmt::format("{}/{}", name, request);
    bool whole_first = !request.empty() && seen.contains(name);
    bool part_first = request.empty() && parts.contains(name);
    if (!request.empty()) parts.insert(name);
    if (whole_first || part_first) {
      errors.duplicate(item, name);
    } else if (!seen.insert(key).second) {
      errors.duplicate(item, key);
    }
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      FieldErrors unknown;
      unknown.not_found(item, name);
      add_detail(unknown,
                 names.empty()
                     ? "must be one of the names in pod.spec.resourceClaims which is empty"
                     : fmt::format("must be one of the names in pod.spec.resourceClaims: {}",
                                   join(names, ", ")),
                 errors);
    }
  }
}

bool fits_page(std::string_view name, const Quantity& amount) {
  Result<Quantity> page = Quantity::parse(name.substr(std::string_view("hugepages-").size()));
  return page.ok() && page->value() > 0 && amount.value() % page->value() == 0 &&
         page->format() == Quantity::Format::kBinarySI;
}

using NameRule = void (*)(std::string_view name, const Path& path, FieldErrors& errors);

// A pod as a whole is limited in what its containers share.
void validate_pod_resource_name(std::string_view name, const Path& path, FieldErrors& errors) {
  FieldErrors general;
  validate_resource_name(name, path, general);
  for (const Cause& cause : general.causes()) errors.copy(cause);
  if (!general.empty() || name == "cpu" || name == "memory" || is_huge_page(name)) return;
  errors.not_supported(path, name, kPodResources);
}

// A request beside its limit, which may be absent.
void validate_request(std::string_view name, const Quantity& request, json::Value limit_value,
                      const Path& resources, FieldErrors& errors) {
  Path at = resources.child("requests");
  Quantity limit = Quantity::from(limit_value);
  bool no_overcommit = is_extended(name) || is_huge_page(name);
  if (!limit_value) {
    if (no_overcommit) {
      errors.required(resources.child("limits"),
                      "Limit must be set for non overcommitable resources");
    }
  } else if (no_overcommit && request != limit) {
    errors.invalid(at, request.text(),
                   fmt::format("must be equal to {} limit of {}", name, limit.text()));
  } else if (!no_overcommit && request > limit) {
    errors.invalid(at, request.text(),
                   fmt::format("must be less than or equal to {} limit of {}", name, limit.text()));
  }
}

void validate_amounts(json::Value limits, json::Value requests, NameRule name_rule,
                      const Path& path, FieldErrors& errors) {
  bool cpu_or_memory = false;
  bool huge = false;
  auto walk = [&](json::Value map, const char* list) {
    for (auto [name, amount] : map.members()) {
      Path item = path.child(list).key(name);
      name_rule(name, item, errors);
      validate_resource_amount(name, amount, item, errors);
      Quantity quantity = Quantity::from(amount);
      if (name == "cpu" || name == "memory") cpu_or_memory = true;
      if (is_huge_page(name)) {
        huge = true;
        if (!fits_page(name, quantity)) {
          errors.invalid(
              item, quantity.text(),
              fmt::format("{} is not positive integer multiple of {}", quantity.text(), name));
        }
      }
      if (list == std::string_view("requests"))
        validate_request(name, quantity, limits[name], path, errors);
    }
  };
  walk(limits, "limits");
  walk(requests, "requests");
  if (huge && !cpu_or_memory) errors.forbidden(path, "HugePages require cpu or memory");
}

// What all containers may use at one time, of the pod's `resource`.
Quantity sum_of_containers(json::Value spec, std::string_view list, std::string_view resource) {
  Quantity running, starting;
  for (json::Value container : spec["containers"].items())
    running += Quantity::from(container["resources"][list][resource]);
  Quantity sidecars;
  for (json::Value container : spec["initContainers"].items()) {
    Quantity amount = Quantity::from(container["resources"][list][resource]);
    if (container["restartPolicy"].as_string() == "Always") {
      sidecars += amount;
      starting = std::max(starting, sidecars);
    } else {
      starting = std::max(starting, sidecars + amount);
    }
  }
  return std::max(running + sidecars, starting);
}

void validate_within_pod(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value resources = spec["resources"];
  auto beside_sum = [&](std::string_view list, std::string_view name, json::Value amount) {
    Quantity whole = Quantity::from(amount);
    Quantity sum = sum_of_containers(spec, list, name);
    if (sum <= whole) return;
    errors.invalid(path.child(list).key(name), whole.text(),
                   fmt::format("must be greater than or equal to aggregate container {} of {}",
                               list, sum.text()));
  };
  for (auto [name, amount] : resources["requests"].members()) beside_sum("requests", name, amount);
  for (auto [name, amount] : resources["limits"].members()) {
    if (is_huge_page(name)) beside_sum("limits", name, amount);
  }
  size_t at = 0;
  for (json::Value container : spec["containers"].items()) {
    Path item = path.child("containers").index(at++);
    for (auto [name, amount] : container["resources"]["limits"].members()) {
      json::Value whole = resources["limits"][name];
      Quantity limit = Quantity::from(amount);
      if (!whole || limit <= Quantity::from(whole)) continue;
      errors.invalid(item.key(name).child("limits"), limit.text(),
                     fmt::format("must be less than or equal to pod limits of {}",
                                 Quantity::from(whole).text()));
    }
  }
}

}  // namespace

void validate_resource_name(std::string_view name, const Path& path, FieldErrors& errors) {
  Problems problems = qualified_name_problems(name);
  report(problems, path, name, errors);
  if (!problems.empty()) return;
  if (name.find('/') == std::string_view::npos && !contains(kStandardResources, name) &&
      !is_huge_page(name)) {
    errors.invalid(path, name, "must be a standard resource type or fully qualified");
  }
}

void validate_container_resource_name(std::string_view name, const Path& path,
                                      FieldErrors& errors) {
  validate_resource_name(name, path, errors);
  if (name.find('/') == std::string_view::npos) {
    if (!contains(kContainerResources, name) && !is_huge_page(name)) {
      errors.invalid(path, name, "must be a standard resource for containers");
    }
  } else if (is_extended(name) && name.starts_with("requests.")) {
    errors.invalid(path, name, "doesn't follow extended resource name standard");
  }
}

void validate_resource_amount(std::string_view name, json::Value amount, const Path& path,
                              FieldErrors& errors) {
  Quantity quantity = Quantity::from(amount);
  if (quantity.sign() < 0) {
    errors.invalid(path, quantity.text(), "must be greater than or equal to 0");
  }
  bool counted = is_extended(name) || name == "pods" || name == "services" || name == "secrets" ||
                 name == "configmaps" || name == "replicationcontrollers" ||
                 name == "resourcequotas" || name == "persistentvolumeclaims" ||
                 name == "services.nodeports" || name == "services.loadbalancers" ||
                 name.starts_with("count/");
  if (counted && !quantity.is_whole()) errors.invalid(path, quantity.text(), "must be an integer");
}

void validate_container_resources(json::Value resources, json::Value claims, const Path& path,
                                  FieldErrors& errors) {
  validate_amounts(resources["limits"], resources["requests"], &validate_container_resource_name,
                   path, errors);
  validate_claim_use(resources["claims"], claims, path.child("claims"), errors);
}

void validate_pod_resources(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value resources = spec["resources"];
  if (!resources) return;
  if (!resources["claims"].empty()) {
    errors.forbidden(path.child("claims"), "claims may not be set for Resources at pod-level");
  }
  validate_amounts(resources["limits"], resources["requests"], &validate_pod_resource_name, path,
                   errors);
  validate_claim_use(resources["claims"], spec["resourceClaims"], path.child("claims"), errors);
  validate_within_pod(spec, path, errors);
}

void validate_overhead(json::Value overhead, const Path& path, FieldErrors& errors) {
  validate_amounts(overhead, {}, &validate_container_resource_name, path, errors);
}

void default_pod_resources(json::Node spec) {
  json::Node resources = spec["resources"];
  json::Node limits = resources["limits"];
  if (!limits.is_object() || limits.empty()) return;
  json::Draft copy(spec);
  json::Document now = copy.freeze();
  json::Node requests = resources.ensure_object("requests");
  for (std::string_view name : {"cpu", "memory"}) {
    Quantity asked = sum_of_containers(now.root(), "requests", name);
    if (!requests[name] && !asked.is_zero()) requests.set(name, asked.text());
  }
  for (const json::Node::Member& limit : limits.members()) {
    bool known = limit.key == "cpu" || limit.key == "memory" || is_huge_page(limit.key);
    if (known && !requests[limit.key]) requests.set(limit.key, limit.value);
  }
  if (requests.empty()) resources.remove("requests");
}

}  // namespace wherry::api
