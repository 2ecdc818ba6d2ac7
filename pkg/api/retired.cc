#include "api/retired.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::api {
namespace {

// When a version was deprecated and when upstream left it out (Kubernetes deprecated API migration
// guide).
struct Retirement {
  std::string_view group;
  std::string_view version;
  std::string_view kind;  // Empty: every kind of that version.
  std::string_view deprecated_in;
  std::string_view unavailable_in;
};
constexpr Retirement kRetirements[] = {
    {"extensions", "v1beta1", "Ingress", "1.14", "1.22"},
    {"extensions", "v1beta1", "", "1.9", "1.16"},
    {"apps", "v1beta1", "", "1.9", "1.16"},
    {"apps", "v1beta2", "", "1.9", "1.16"},
    {"networking.k8s.io", "v1beta1", "", "1.19", "1.22"},
    {"autoscaling", "v2beta1", "", "1.22", "1.25"},
    {"autoscaling", "v2beta2", "", "1.23", "1.26"},
    {"batch", "v1beta1", "", "1.21", "1.25"},
    {"policy", "v1beta1", "", "1.21", "1.25"},
    {"rbac.authorization.k8s.io", "v1beta1", "", "1.17", "1.22"},
};

const Retirement* find(const Resource& row) {
  if (row.stored_as == nullptr) return nullptr;
  const auto* found = std::ranges::find_if(kRetirements, [&](const Retirement& one) {
    return one.group == row.group && one.version == row.version &&
           (one.kind.empty() || one.kind == row.kind);
  });
  return found == std::end(kRetirements) ? nullptr : found;
}

}  // namespace

bool is_retired(const Resource& row) { return find(row) != nullptr; }

std::string retirement_warning(const Resource& row) {
  const Retirement* when = find(row);
  if (when == nullptr) return {};
  return fmt::format("{} {} is deprecated in v{}+, unavailable in v{}+; use {} {}",
                     row.api_version(), row.kind, when->deprecated_in, when->unavailable_in,
                     row.stored_as->api_version(), row.stored_as->kind);
}

}  // namespace wherry::api
