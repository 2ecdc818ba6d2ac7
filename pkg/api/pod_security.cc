// Security contexts and resource amounts.

#include <algorithm>
#include <set>

#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "api/schema_core_v1.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr const char* kIdRange = "must be between 0 and 2147483647, inclusive";
constexpr std::string_view kProfileTypes[] = {"Localhost", "RuntimeDefault", "Unconfined"};
constexpr std::string_view kChangePolicies[] = {"Always", "OnRootMismatch"};
constexpr std::string_view kGroupPolicies[] = {"Merge", "Strict"};
constexpr std::string_view kLabelPolicies[] = {"Recursive"};
constexpr std::string_view kProcMounts[] = {"Default", "Unmasked"};
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

bool contains(std::span<const std::string_view> list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

void validate_id(json::Value id, const Path& path, FieldErrors& errors) {
  if (id && (id.as_int() < 0 || id.as_int() > INT32_MAX))
    errors.invalid(path, id.as_int(), kIdRange);
}

constexpr std::string_view kSeccomp = "seccomp";
constexpr std::string_view kAppArmor = "AppArmor";
constexpr size_t kProfileBytesMax = 4095;  // What a path may have.

void validate_app_armor_profile(std::string_view name, const Path& path, FieldErrors& errors) {
  if (trim(name).empty()) errors.required(path, "must be set when AppArmor type is Localhost");
  if (trim(name) != name) errors.invalid(path, name, "must not be padded with whitespace");
  if (name.size() > kProfileBytesMax) errors.too_long(path, kProfileBytesMax);
}

void validate_profile(json::Value profile, std::string_view sort, const Path& path,
                      FieldErrors& errors) {
  if (!profile) return;
  std::string_view type = profile["type"].as_string();
  json::Value local = profile["localhostProfile"];
  if (type.empty()) {
    errors.required(path.child("type"), fmt::format("type is required when {}Profile is set",
                                                    sort == kSeccomp ? "seccomp" : "appArmor"));
    return;
  }
  check_enum(type, kProfileTypes, path.child("type"), errors);
  if (type == "Localhost") {
    if (!local || local.as_string().empty()) {
      errors.required(path.child("localhostProfile"),
                      fmt::format("must be set when {} type is Localhost", sort));
    } else if (sort == kSeccomp) {
      validate_local_descending_path(local.as_string(), path.child("localhostProfile"), errors);
    } else {
      validate_app_armor_profile(local.as_string(), path.child("localhostProfile"), errors);
    }
  } else if (local) {
    json::Document shown = go_struct(schema::core_v1::kSeccompProfile, profile);
    errors.invalid(path.child("localhostProfile"), shown.root(),
                   fmt::format("can only be set when {} type is Localhost", sort));
  }
}

// ([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?
bool is_sysctl(std::string_view name) {
  if (name.size() > 253) return false;
  std::string dotted = replace_all(name, "/", ".");
  for (std::string_view part : split(dotted, '.')) {
    auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    if (part.empty() || !alnum(part.front()) || !alnum(part.back())) return false;
    if (!std::all_of(part.begin(), part.end(),
                     [&](char c) { return alnum(c) || c == '-' || c == '_'; })) {
      return false;
    }
  }
  return true;
}

// What a sysctl is a setting of, when it is of a namespace that the pod may share with its host.
std::string_view shared_with_host(std::string_view name, json::Value spec) {
  static constexpr std::string_view kIpc[] = {"kernel.shm", "kernel.msg", "kernel.sem",
                                              "fs.mqueue."};
  std::string dotted = replace_all(name, "/", ".");
  auto starts = [&](std::string_view prefix) { return dotted.starts_with(prefix); };
  if (spec["hostNetwork"].as_bool() && starts("net.")) return "hostNetwork";
  bool ipc = std::any_of(std::begin(kIpc), std::end(kIpc), starts);
  return spec["hostIPC"].as_bool() && ipc ? "hostIPC" : std::string_view();
}

void validate_sysctls(json::Value sysctls, json::Value spec, const Path& path,
                      FieldErrors& errors) {
  std::set<std::string_view> names;
  size_t at = 0;
  for (json::Value sysctl : sysctls.items()) {
    Path item = path.index(at++).child("name");
    std::string_view name = sysctl["name"].as_string();
    if (name.empty()) {
      errors.required(item, "");
    } else if (!is_sysctl(name)) {
      errors.invalid(item, name,
                     "must have at most 253 characters and match regex "
                     "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
    } else if (!names.insert(name).second) {
      errors.duplicate(item, name);
    }
    if (std::string_view host = shared_with_host(name, spec); !host.empty())
      errors.invalid(item, name, fmt::format("may not be specified when '{}' is true", host));
  }
}

bool is_domain_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.';
}

// [DOMAIN\\]USER
void validate_windows_user(std::string_view name, const Path& path, FieldErrors& errors) {
  constexpr size_t kDomainBytesMax = 256;
  constexpr size_t kUserBytesMax = 104;
  auto bad = [&](std::string_view why) { errors.invalid(path, name, why); };
  if (name.empty()) return bad("runAsUserName cannot be an empty string");
  if (std::any_of(name.begin(), name.end(), [](char c) { return c >= 0 && c < 32; })) {
    bad("runAsUserName cannot contain control characters");
  }
  std::vector<std::string_view> parts = split(name, '\\');
  if (parts.size() > 2) return bad("runAsUserName cannot contain more than one backslash");
  std::string_view user = parts.back();
  if (parts.size() == 2) {
    if (parts[0].size() >= kDomainBytesMax) {
      bad("runAsUserName's Domain length must be under 256 characters");
    }
    bool dns = !parts[0].empty() && std::all_of(parts[0].begin(), parts[0].end(),
                                                [](char c) { return is_domain_char(c); });
    if (!dns) bad("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
  }
  if (user.empty()) {
    bad("runAsUserName's User cannot be empty");
  } else if (user.size() > kUserBytesMax) {
    bad("runAsUserName's User length must not be longer than 104 characters");
  }
  if (!user.empty() && user.find_first_not_of(". ") == std::string_view::npos) {
    bad("runAsUserName's User cannot contain only periods or spaces");
  }
  if (user.find_first_of("\"/\\:;|=,+*?<>@[]") != std::string_view::npos) {
    bad("runAsUserName's User cannot contain the following characters: "
        "\"/\\:;|=,+*?<>@[]");
  }
}

// Options for Windows, at the pod or a container.
void validate_windows(json::Value options, const Path& path, FieldErrors& errors) {
  constexpr size_t kSpecBytesMax = 64 * 1024;
  if (json::Value name = options["gmsaCredentialSpecName"]) {
    report(dns_subdomain_problems(name.as_string()), path.child("gmsaCredentialSpecName"),
           name.as_string(), errors);
  }
  if (json::Value text = options["gmsaCredentialSpec"]) {
    Path at = path.child("gmsaCredentialSpec");
    if (text.as_string().empty()) {
      errors.invalid(at, text.as_string(), "gmsaCredentialSpec cannot be an empty string");
    } else if (text.as_string().size() > kSpecBytesMax) {
      errors.invalid(
          at, text.as_string(),
          fmt::format("gmsaCredentialSpec size must be under {} KiB", kSpecBytesMax / 1024));
    }
  }
  json::Value name = options["runAsUserName"];
  if (name) validate_windows_user(name.as_string(), path.child("runAsUserName"), errors);
}

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
  std::set<std::string> seen;
  size_t at = 0;
  for (json::Value use : used.items()) {
    Path item = path.index(at++);
    std::string name(use["name"].as_string());
    std::string_view request = use["request"].as_string();
    if (name.empty()) {
      errors.required(item, "");
      continue;
    }
    std::string key = request.empty() ? name : fmt::format("{}/{}", name, request);
    bool whole_first = !request.empty() && seen.contains(name);
    if (!seen.insert(key).second || whole_first) {
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

}  // namespace

bool check_enum(std::string_view value, std::span<const std::string_view> known, const Path& path,
                FieldErrors& errors) {
  if (contains(known, value)) return true;
  errors.not_supported(path, value, known);
  return false;
}

void add_detail(const FieldErrors& from, std::string_view detail, FieldErrors& errors) {
  for (Cause cause : from.causes()) {
    cause.message.append(": ").append(detail);
    errors.copy(cause);
  }
}

void check_not_negative(json::Value value, const Path& path, FieldErrors& errors) {
  if (value.as_int() < 0) {
    errors.invalid(path, value.as_int(), "must be greater than or equal to 0");
  }
}

bool is_port(int64_t number) { return number >= 1 && number <= 65535; }

void validate_pod_security(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value context = spec["securityContext"];
  if (!context) return;
  validate_id(context["fsGroup"], path.child("fsGroup"), errors);
  validate_id(context["runAsUser"], path.child("runAsUser"), errors);
  validate_id(context["runAsGroup"], path.child("runAsGroup"), errors);
  size_t at = 0;
  for (json::Value group : context["supplementalGroups"].items()) {
    validate_id(group, path.child("supplementalGroups").index(at++), errors);
  }
  if (spec["shareProcessNamespace"].as_bool() && spec["hostPID"].as_bool()) {
    errors.invalid(path.child("shareProcessNamespace"), spec["shareProcessNamespace"],
                   "ShareProcessNamespace and HostPID cannot both be enabled");
  }
  validate_sysctls(context["sysctls"], spec, path.child("sysctls"), errors);
  auto one_of = [&](const char* field, std::span<const std::string_view> known) {
    if (json::Value value = context[field])
      check_enum(value.as_string(), known, path.child(field), errors);
  };
  one_of("fsGroupChangePolicy", kChangePolicies);
  one_of("seLinuxChangePolicy", kLabelPolicies);
  validate_profile(context["seccompProfile"], kSeccomp, path.child("seccompProfile"), errors);
  validate_windows(context["windowsOptions"], path.child("windowsOptions"), errors);
  validate_profile(context["appArmorProfile"], kAppArmor, path.child("appArmorProfile"), errors);
  one_of("supplementalGroupsPolicy", kGroupPolicies);
}

void validate_container_security(json::Value context, const Path& path, FieldErrors& errors) {
  if (!context) return;
  validate_id(context["runAsUser"], path.child("runAsUser"), errors);
  validate_id(context["runAsGroup"], path.child("runAsGroup"), errors);
  if (json::Value mount = context["procMount"]) {
    check_enum(mount.as_string(), kProcMounts, path.child("procMount"), errors);
  }
  validate_profile(context["seccompProfile"], kSeccomp, path.child("seccompProfile"), errors);
  json::Value escalation = context["allowPrivilegeEscalation"];
  bool forbidden = escalation && !escalation.as_bool();
  json::Document shown = go_struct(schema::core_v1::kSecurityContext, context);
  if (forbidden && context["privileged"].as_bool()) {
    errors.invalid(path, shown.root(),
                   "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
  }
  for (json::Value added : context["capabilities"]["add"].items()) {
    if (forbidden && added.as_string() == "CAP_SYS_ADMIN") {
      errors.invalid(
          path, shown.root(),
          "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
    }
  }
  validate_windows(context["windowsOptions"], path.child("windowsOptions"), errors);
  validate_profile(context["appArmorProfile"], kAppArmor, path.child("appArmorProfile"), errors);
}

void validate_resource_name(std::string_view name, const Path& path, FieldErrors& errors) {
  Problems problems = qualified_name_problems(name);
  report(problems, path, name, errors);
  if (problems.empty() && name.find('/') == std::string_view::npos &&
      !contains(kStandardResources, name) && !is_huge_page(name)) {
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
  json::Value limits = resources["limits"];
  json::Value requests = resources["requests"];
  bool cpu_or_memory = false;
  bool huge = false;
  auto walk = [&](json::Value map, const Path& at, bool requested) {
    for (auto [name, amount] : map.members()) {
      Path item = at.key(name);
      validate_container_resource_name(name, item, errors);
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
      if (!requested) continue;
      json::Value limit_value = limits[name];
      Quantity limit = Quantity::from(limit_value);
      bool no_overcommit = is_extended(name) || is_huge_page(name);
      if (limit_value && no_overcommit && quantity != limit) {
        errors.invalid(at, quantity.text(),
                       fmt::format("must be equal to {} limit of {}", name, limit.text()));
      } else if (limit_value && !no_overcommit && quantity > limit) {
        errors.invalid(
            at, quantity.text(),
            fmt::format("must be less than or equal to {} limit of {}", name, limit.text()));
      } else if (!limit_value && no_overcommit) {
        errors.required(path.child("limits"), "Limit must be set for non overcommitable resources");
      }
    }
  };
  walk(limits, path.child("limits"), false);
  walk(requests, path.child("requests"), true);
  if (huge && !cpu_or_memory) {
    errors.forbidden(path, "HugePages require cpu or memory");
  }
  validate_claim_use(resources["claims"], claims, path.child("claims"), errors);
}

}  // namespace wherry::api
