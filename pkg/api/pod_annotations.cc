// Annotations of a pod that are rules of their own, most of them older than the fields that say the
// same now. Rules from the Kubernetes API reference, "Well-Known Labels, Annotations and Taints".

#include <optional>

#include "api/decode.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kAppArmor = "container.apparmor.security.beta.kubernetes.io/";
constexpr std::string_view kPodSeccomp = "seccomp.security.alpha.kubernetes.io/pod";
constexpr std::string_view kSeccomp = "container.seccomp.security.alpha.kubernetes.io/";
constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
constexpr std::string_view kTolerations = "scheduler.alpha.kubernetes.io/tolerations";
constexpr std::string_view kDeletionCost = "controller.kubernetes.io/pod-deletion-cost";
constexpr std::string_view kLocal = "localhost/";

// runtime/default, unconfined or localhost/PROFILE.
bool is_app_armor(std::string_view profile) {
  return profile.empty() || profile == "runtime/default" || profile == "unconfined" ||
         profile.starts_with(kLocal);
}

void validate_app_armor(std::string_view key, std::string_view profile, json::Value spec,
                        const Path& path, FieldErrors& errors) {
  std::string_view name = key.substr(kAppArmor.size());
  bool found = false;
  each_container(spec, Path(), [&](json::Value container, const Path&) {
    found = found || container["name"].as_string() == name;
  });
  if (!found) errors.invalid(path, name, "container not found");
  if (!is_app_armor(profile)) {
    errors.invalid(path, profile, fmt::format("invalid AppArmor profile name: {}", quote(profile)));
  }
}

void validate_seccomp(std::string_view profile, const Path& path, FieldErrors& errors) {
  if (profile == "runtime/default" || profile == "docker/default" || profile == "unconfined")
    return;
  if (profile.starts_with(kLocal)) {
    validate_local_descending_path(profile.substr(kLocal.size()), path, errors);
  } else {
    errors.invalid(path, profile, "must be a valid seccomp profile");
  }
}

void validate_old_tolerations(std::string_view text, const Path& path, FieldErrors& errors) {
  if (text.empty()) return;
  std::string problem = go_json_error(text);
  Result<json::Document> parsed = json::Document::parse(text);
  if (problem.empty() && parsed.ok() && !parsed->root().is_array()) {
    json::Value root = parsed->root();
    std::string_view type = root.is_object()   ? "object"
                            : root.is_string() ? "string"
                            : root.is_bool()   ? "bool"
                                               : "number";
    problem =
        fmt::format("json: cannot unmarshal {} into Go value of type []core.Toleration", type);
  }
  if (!problem.empty() || !parsed.ok()) {
    errors.invalid(path, kTolerations, problem);
    return;
  }
  validate_tolerations(parsed->root(), path.child(kTolerations), errors);
}

// A whole number of 32 bits, as it is printed.
void validate_deletion_cost(std::string_view text, const Path& path, FieldErrors& errors) {
  std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  std::optional<int64_t> number = parse_int(text);
  bool plain = number && !text.starts_with('+') && (digits == "0" || !digits.starts_with('0'));
  if (plain && *number >= INT32_MIN && *number <= INT32_MAX) return;
  errors.invalid(path, text, "must be a 32bit integer");
}

// What a seccomp annotation says, in the words of the field; empty when it says nothing sound.
std::string_view seccomp_type(std::string_view profile) {
  if (profile == "runtime/default" || profile == "docker/default") return "RuntimeDefault";
  if (profile == "unconfined") return "Unconfined";
  return profile.starts_with(kLocal) ? "Localhost" : "";
}

std::string_view app_armor_type(std::string_view profile) {
  return profile == "docker/default" ? "" : seccomp_type(profile);
}

void validate_match(json::Value annotation, json::Value field, std::string_view type,
                    std::string_view sort, const Path& path, FieldErrors& errors) {
  if (!annotation || !field) return;
  std::string_view text = annotation.as_string();
  if (field["type"].as_string() != type) {
    errors.forbidden(path.child("type"),
                     fmt::format("{} type in annotation and field must match", sort));
  } else if (type == "Localhost" &&
             field["localhostProfile"].as_string() != text.substr(kLocal.size())) {
    errors.forbidden(path.child("localhostProfile"),
                     fmt::format("{} profile in annotation and field must match", sort));
  }
}

}  // namespace

std::vector<std::string> take_app_armor(json::Node pod) {
  std::vector<std::string> warnings;
  json::Node annotations = pod["metadata"]["annotations"];
  json::Node spec = pod["spec"];
  if (annotations.empty() || spec["os"]["name"].as_string() == "windows") return warnings;
  json::Node whole = spec["securityContext"]["appArmorProfile"];
  for (const char* list : {"containers", "initContainers"}) {
    for (json::Node container : spec[list].items()) {
      std::string key = std::string(kAppArmor) + std::string(container["name"].as_string());
      if (!annotations[key] || container["securityContext"]["appArmorProfile"]) continue;
      std::string profile(annotations[key].as_string());
      std::string type(app_armor_type(profile));
      std::string local = type == "Localhost" ? profile.substr(kLocal.size()) : std::string();
      bool sound = !type.empty() && (type != "Localhost" || !local.empty());
      bool said = sound && whole["type"].as_string() == type &&
                  whole["localhostProfile"].as_string() == local;
      if (said) continue;
      warnings.push_back(
          fmt::format("{}: deprecated since v1.30; use the \"appArmorProfile\" field instead",
                      Path("metadata").child("annotations").key(key).text()));
      if (!sound) continue;
      json::Node field = container.ensure_object("securityContext").set_object("appArmorProfile");
      field.set("type", type);
      if (!local.empty()) field.set("localhostProfile", local);
    }
  }
  return warnings;
}

void validate_pod_annotations(json::Value annotations, json::Value spec, const Path& path,
                              FieldErrors& errors) {
  if (json::Value mirror = annotations[kMirror]; mirror && spec["nodeName"].as_string().empty()) {
    errors.invalid(path.key(kMirror), mirror.as_string(),
                   "must set spec.nodeName if mirror pod annotation is set");
  }
  validate_old_tolerations(annotations[kTolerations].as_string(), path, errors);
  if (json::Value cost = annotations[kDeletionCost])
    validate_deletion_cost(cost.as_string(), path.key(kDeletionCost), errors);
  if (json::Value profile = annotations[kPodSeccomp])
    validate_seccomp(profile.as_string(), path.child(kPodSeccomp), errors);
  for (auto [key, value] : annotations.members()) {
    if (key.starts_with(kSeccomp)) validate_seccomp(value.as_string(), path.child(key), errors);
  }
  for (auto [key, value] : annotations.members()) {
    if (key.starts_with(kAppArmor))
      validate_app_armor(key, value.as_string(), spec, path.key(key), errors);
  }
}

void validate_security_annotations(json::Value annotations, json::Value spec, const Path& path,
                                   FieldErrors& errors) {
  if (annotations.empty()) return;
  json::Value whole = annotations[kPodSeccomp];
  validate_match(whole, spec["securityContext"]["seccompProfile"], seccomp_type(whole.as_string()),
                 "seccomp", path.child("securityContext").child("seccompProfile"), errors);
  auto each = [&](std::string_view prefix, const char* field, auto type_of, const char* sort) {
    each_container(spec, path, [&](json::Value container, const Path& at) {
      std::string key = std::string(prefix) + std::string(container["name"].as_string());
      json::Value annotation = annotations[key];
      validate_match(annotation, container["securityContext"][field],
                     type_of(annotation.as_string()), sort,
                     at.child("securityContext").child(field), errors);
    });
  };
  each(kSeccomp, "seccompProfile", &seccomp_type, "seccomp");
  each(kAppArmor, "appArmorProfile", &app_armor_type, "apparmor");
}

void validate_annotation_update(json::Value before, json::Value after, FieldErrors& errors) {
  Path path = Path("metadata").child("annotations");
  if (after[kMirror] && !before[kMirror]) {
    errors.forbidden(path.key(kMirror), "may not add mirror pod annotation");
  } else if (before[kMirror] && before[kMirror].as_string() != after[kMirror].as_string()) {
    errors.forbidden(path.key(kMirror), "may not remove or update mirror pod annotation");
  }
  for (auto [key, value] : before.members()) {
    if (!key.starts_with(kAppArmor)) continue;
    if (!after[key] || after[key].as_string() != value.as_string())
      errors.forbidden(path.key(key), "may not remove or update AppArmor annotations");
  }
  for (auto [key, value] : after.members()) {
    if (key.starts_with(kAppArmor) && !before[key])
      errors.forbidden(path.key(key), "may not add AppArmor annotations");
  }
}

}  // namespace wherry::api
