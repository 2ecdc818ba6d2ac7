#include "api/pod_policy.h"

#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kVersionPrefix = "v1.";

}  // namespace

std::optional<PodLevel> parse_pod_level(std::string_view text) {
  if (text == "privileged") return PodLevel::kPrivileged;
  if (text == "baseline") return PodLevel::kBaseline;
  if (text == "restricted") return PodLevel::kRestricted;
  return std::nullopt;
}

std::optional<int> parse_pod_policy_version(std::string_view text) {
  if (text == "latest") return PodPolicy::kLatest;
  if (!text.starts_with(kVersionPrefix)) return std::nullopt;
  std::string_view digits = text.substr(kVersionPrefix.size());
  std::optional<uint64_t> minor = parse_uint(digits);
  bool plain = minor && *minor < PodPolicy::kLatest && (digits == "0" || !digits.starts_with("0"));
  if (!plain) return std::nullopt;
  return static_cast<int>(*minor);
}

std::string PodPolicy::text() const {
  std::string_view name = level == PodLevel::kPrivileged ? "privileged"
                          : level == PodLevel::kBaseline ? "baseline"
                                                         : "restricted";
  return minor == kLatest ? fmt::format("{}:latest", name) : fmt::format("{}:v1.{}", name, minor);
}

std::vector<json::Value> PolicyPod::containers() const {
  std::vector<json::Value> out;
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    for (json::Value container : spec[list].items()) out.push_back(container);
  }
  return out;
}

std::string quoted_list(const std::vector<std::string>& items) {
  std::vector<std::string> quoted;
  for (const std::string& item : items) quoted.push_back("\"" + item + "\"");
  return join(quoted, ", ");
}

std::string containers_text(const std::vector<std::string_view>& names) {
  return fmt::format("{} {}", names.size() == 1 ? "container" : "containers",
                     quoted_list({names.begin(), names.end()}));
}

std::vector<PodViolation> pod_violations(const PodPolicy& policy, json::Value metadata,
                                         json::Value spec) {
  std::vector<PodViolation> out;
  if (policy.level == PodLevel::kPrivileged) return out;
  const bool restricted = policy.level == PodLevel::kRestricted;
  PolicyPod pod{metadata, spec, policy.minor};
  auto apply = [&](const std::vector<PodRuleRow>& rows, bool replaced) {
    for (const PodRuleRow& row : rows) {
      int until = replaced ? row.until_restricted : PodPolicy::kLatest;
      if (policy.minor < row.since || policy.minor > until) continue;
      std::optional<PodViolation> found = row.rule(pod);
      if (found) out.push_back(std::move(*found));
    }
  };
  apply(baseline_pod_rules(), restricted);
  if (restricted) apply(restricted_pod_rules(), false);
  return out;
}

std::string violations_text(const std::vector<PodViolation>& violations) {
  std::vector<std::string> parts;
  for (const PodViolation& one : violations) {
    parts.push_back(one.detail.empty() ? one.what : fmt::format("{} ({})", one.what, one.detail));
  }
  return join(parts, ", ");
}

std::string violation_names(const std::vector<PodViolation>& violations) {
  std::vector<std::string> parts;
  for (const PodViolation& one : violations) parts.push_back(one.what);
  return join(parts, ", ");
}

}  // namespace wherry::api
