// References to fields of a pod and to resources of its containers, as environments and volumes
// hold them. Rules from the Kubernetes API reference, ObjectFieldSelector and
// ResourceFieldSelector.

#include <algorithm>
#include <optional>
#include <utility>

#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "api/word_list.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kContainerResources[] = {
    "limits.cpu",   "limits.ephemeral-storage",   "limits.memory",
    "requests.cpu", "requests.ephemeral-storage", "requests.memory"};
constexpr std::string_view kPodFields[] = {
    "metadata.annotations", "metadata.labels",    "metadata.name",
    "metadata.namespace",   "metadata.uid",       "spec.nodeName",
    "spec.restartPolicy",   "spec.schedulerName", "spec.serviceAccountName",
    "status.hostIP",        "status.hostIPs",     "status.phase",
    "status.podIP",         "status.podIPs"};

// path['key']: both parts.
std::optional<std::pair<std::string_view, std::string_view>> subscript(std::string_view text) {
  if (!text.ends_with("']")) return std::nullopt;
  auto parts = split_once(text.substr(0, text.size() - 2), "['");
  if (!parts || parts->first.empty()) return std::nullopt;
  return parts;
}

// Why a pod has no such field; empty when it has.
std::string unknown_field(std::string_view version, std::string_view field) {
  if (version != "v1") return fmt::format("unsupported pod version: {}", version);
  if (auto parts = subscript(field)) {
    bool map = parts->first == "metadata.annotations" || parts->first == "metadata.labels";
    return map ? std::string() : fmt::format("field label does not support subscript: {}", field);
  }
  if (contains(kPodFields, field) || field == "spec.host") return {};
  return fmt::format("field label not supported: {}", field);
}

void validate_divisor(std::string_view resource, json::Value value, const Path& path,
                      FieldErrors& errors) {
  static constexpr std::string_view kCpu[] = {"1m", "1"};
  static constexpr std::string_view kBytes[] = {"1",   "1k",  "1M",  "1G",  "1T",  "1P", "1E",
                                                "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"};
  Quantity divisor = Quantity::from(value);
  if (divisor.is_zero()) return;
  auto refuse = [&](std::string_view what) {
    errors.invalid(path, resource,
                   fmt::format("only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, "
                               "1Ti, 1Pi, 1Ei are supported with the {} resource",
                               what));
  };
  std::string text = divisor.text();
  if (resource.ends_with(".cpu")) {
    if (!contains(kCpu, text)) {
      errors.invalid(path, resource,
                     "only divisor's values 1m and 1 are supported with the cpu resource");
    }
    return;
  }
  if (contains(kBytes, text)) return;
  if (resource.ends_with(".memory")) refuse("memory");
  if (resource.ends_with(".ephemeral-storage")) refuse("local ephemeral storage");
  if (resource.find(".hugepages-") != std::string_view::npos) refuse("hugepages");
}

}  // namespace

void validate_field_reference(json::Value reference, std::span<const std::string_view> known,
                              const Path& path, FieldErrors& errors) {
  std::string_view field = reference["fieldPath"].as_string();
  std::string_view version = reference["apiVersion"].as_string();
  if (version.empty()) {
    errors.required(path.child("apiVersion"), "");
    return;
  }
  if (field.empty()) {
    errors.required(path.child("fieldPath"), "");
    return;
  }
  std::string problem = unknown_field(version, field);
  if (!problem.empty()) {
    errors.invalid(path.child("fieldPath"), field, "error converting fieldPath: " + problem);
    return;
  }
  if (auto parts = subscript(field)) {
    std::string key(parts->second);
    if (parts->first == "metadata.annotations") key = to_lower(key);
    report(qualified_name_problems(key), path, parts->second, errors);
    return;
  }
  check_enum(field == "spec.host" ? "spec.nodeName" : field, known, path.child("fieldPath"),
             errors);
}

void validate_resource_field(json::Value reference, ContainerName name, const Path& path,
                             FieldErrors& errors) {
  std::string_view resource = reference["resource"].as_string();
  bool huge =
      resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
  if (name == ContainerName::kNeeded && reference["containerName"].as_string().empty()) {
    errors.required(path.child("containerName"), "");
  } else if (resource.empty()) {
    errors.required(path.child("resource"), "");
  } else if (!huge) {
    check_enum(resource, kContainerResources, path.child("resource"), errors);
  }
  validate_divisor(resource, reference["divisor"], path.child("divisor"), errors);
}

}  // namespace wherry::api
