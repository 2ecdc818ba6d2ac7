#pragma once
// The objects of its namespace that a Pod names in its spec: what its node must be able to read.
// Pure.

#include <string>
#include <vector>

#include "json/json.h"

namespace wherry::api {

// Names; each may occur more than once.
struct PodUses {
  std::vector<std::string> secrets;
  std::vector<std::string> config_maps;
  std::vector<std::string> claims;  // PersistentVolumeClaims, those of ephemeral volumes too.
  std::vector<std::string> resource_claims;  // Those made from templates too, once they are there.
  std::string service_account;
  bool ephemeral_claims = false;
  bool token_projections = false;
  bool resource_claim_templates = false;
  bool csi_volumes = false;
};

PodUses uses_of(json::Value pod);

// The Secrets that a PersistentVolume's source names, as "NAMESPACE/NAME". A name without a
// namespace is of `claim_ns`.
std::vector<std::string> volume_secrets(json::Value volume, std::string_view claim_ns);

}  // namespace wherry::api
