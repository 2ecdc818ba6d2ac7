#pragma once
// The security context of a container: what the pod says, overridden by what the container says,
// checked against the image's user. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/pod.h"
#include "base/result.h"
#include "container/image.h"
#include "container/runtime.h"

namespace wherry::agent {

struct SecuritySettings {
  container::Security security;
  std::string user;  // "1000" or empty: the image's.
  std::optional<uint32_t> group;
  std::vector<uint32_t> supplemental_groups;  // With fsGroup.
};

// `seccomp_dir`: where Localhost profiles lie. kInvalid with kubelet's wording when runAsNonRoot
// does not hold.
Result<SecuritySettings> security_settings(const Pod& pod, json::Value container,
                                           const container::Image& image,
                                           const std::string& seccomp_dir);

}  // namespace wherry::agent
