// Security contexts.

#include <algorithm>
#include <set>

#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/schema_core_v1.h"
#include "api/word_list.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr const char* kIdRange = "must be between 0 and 2147483647, inclusive";
constexpr std::string_view kProfileTypes[] = {"Localhost", "RuntimeDefault", "Unconfined"};
constexpr std::string_view kChangePolicies[] = {"Always", "OnRootMismatch"};
constexpr std::string_view kGroupPolicies[] = {"Merge", "Strict"};
constexpr std::string_view kLabelPolicies[] = {"Recursive"};
constexpr std::string_view kProcMounts[] = {"Default", "Unmasked"};

void validate_id(json::Value id, const Path& path, FieldErrors& errors) {
  if (id && (id.as_int() < 0 || id.as_int() > INT32_MAX))
    errors.invalid(path, id.as_int(), kIdRange);
}

constexpr std::string_view kSeccomp = "seccomp";
constexpr std::string_view kAppArmor = "AppArmor";
constexpr size_t kProfileBytesMax = 4095;  // What a path may have.

void validate_app_armor_profile(std::string_view name, const Path& path, FieldErrors& errors) {
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
    if (!local || (sort == kAppArmor && local.as_string().empty())) {
      errors.required(path.child("localhostProfile"),
                      fmt::format("must be set when {} type is Localhost", sort));
    } else if (sort == kSeccomp) {
      validate_local_descending_path(local.as_string(), path.child("localhostProfile"), errors);
    } else {
      validate_app_armor_profile(local.as_string(), path.child("localhostProfile"), errors);
    }
  } else if (local) {
    json::Document shown = go_struct(schema::core_v1::kSeccompProfile, profile);
    errors.invalid(path.child("localhostProfile"), sort == kSeccomp ? shown.root() : local,
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

// A name of NetBIOS or of the DNS.
bool is_windows_domain(std::string_view name) {
  constexpr size_t kNetBiosBytesMax = 15;
  constexpr size_t kDnsBytesMax = 255;
  auto is_alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.empty()) return false;
  bool net_bios = name.size() <= kNetBiosBytesMax && name.front() != '.' &&
                  name.find_first_of("\\/:*?\"<>|") == std::string_view::npos;
  bool dns = name.size() <= kDnsBytesMax && is_alnum(name.front()) && is_alnum(name.back()) &&
             std::all_of(name.begin(), name.end(),
                         [&](char c) { return is_alnum(c) || c == '-' || c == '.'; });
  return net_bios || dns;
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
    if (!is_windows_domain(parts[0]))
      bad("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
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

void validate_container_security(json::Value context, json::Value host_users, const Path& path,
                                 FieldErrors& errors) {
  if (!context) return;
  validate_id(context["runAsUser"], path.child("runAsUser"), errors);
  validate_id(context["runAsGroup"], path.child("runAsGroup"), errors);
  if (json::Value mount = context["procMount"]) {
    bool known = check_enum(mount.as_string(), kProcMounts, path.child("procMount"), errors);
    if (known && mount.as_string() == "Unmasked" && host_users.as_bool(true)) {
      errors.invalid(path.child("procMount"), mount.as_string(),
                     "`hostUsers` must be false to use `Unmasked`");
    }
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

}  // namespace wherry::api
