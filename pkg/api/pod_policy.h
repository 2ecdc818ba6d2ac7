#pragma once
// Pod security standards: what a pod of a level may not do. Levels and rules from the Kubernetes
// documentation, Pod Security Standards; wording as its admission's refusals. Pure.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/json.h"

namespace wherry::api {

enum class PodLevel : uint8_t { kPrivileged, kBaseline, kRestricted };

// A level as it was in some minor version of Kubernetes.
struct PodPolicy {
  PodLevel level = PodLevel::kPrivileged;
  int minor = kLatest;  // 22 for "v1.22".
  static constexpr int kLatest = 1'000'000;

  std::string text() const;  // "restricted:latest".
  bool operator==(const PodPolicy&) const = default;
};

// "privileged", "baseline", "restricted"; "latest" or "v1.22". Empty for anything else.
std::optional<PodLevel> parse_pod_level(std::string_view text);
std::optional<int> parse_pod_policy_version(std::string_view text);

struct PodViolation {
  std::string what;    // "hostPort"
  std::string detail;  // "container "c" uses hostPort 80"
};

// `metadata` and `spec` of a pod or of a pod template.
std::vector<PodViolation> pod_violations(const PodPolicy& policy, json::Value metadata,
                                         json::Value spec);

// "hostPort (container "c" uses hostPort 80), ...", or the names alone.
std::string violations_text(const std::vector<PodViolation>& violations);
std::string violation_names(const std::vector<PodViolation>& violations);

// ---- For the rules' own files

struct PolicyPod {
  json::Value metadata;
  json::Value spec;
  int minor;

  bool is_windows() const { return spec["os"]["name"].as_string() == "windows"; }
  bool has_own_users() const {  // Root in the pod is nobody on the host.
    return spec["hostUsers"].is_bool() && !spec["hostUsers"].as_bool();
  }
  // Init containers, containers, ephemeral containers.
  std::vector<json::Value> containers() const;
};

// `container "a"`, `containers "a", "b"`.
std::string containers_text(const std::vector<std::string_view>& names);
std::string quoted_list(const std::vector<std::string>& items);  // "a", "b"

using PodRule = std::optional<PodViolation> (*)(const PolicyPod& pod);
struct PodRuleRow {
  PodRule rule;
  int since = 0;  // The minor version that it came with.
  // Of the baseline: the last version in which the restricted level has it too, before that level
  // got a stricter rule in its place.
  int until_restricted = PodPolicy::kLatest;
};
// Of both levels.
std::optional<PodViolation> proc_mount_violation(const PolicyPod& pod);
// By name, as the answers have them.
std::vector<PodRuleRow> baseline_pod_rules();
std::vector<PodRuleRow> restricted_pod_rules();

}  // namespace wherry::api
