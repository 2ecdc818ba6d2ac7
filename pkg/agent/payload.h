#pragma once
// Payload: the files of a configMap, secret, downwardAPI or projected volume, computed before
// anything is written. Pure: objects come through PayloadSources.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "agent/field_ref.h"
#include "agent/pod.h"
#include "agent/resources.h"
#include "api/object.h"
#include "base/result.h"

namespace wherry::agent {

struct PayloadFile {
  std::string content;
  unsigned mode = 0644;
  std::optional<uint32_t> owner;  // Service account tokens of pods with one user.
  bool operator==(const PayloadFile&) const = default;
};
using Payload = std::map<std::string, PayloadFile>;  // By relative path.

struct PayloadSources {
  std::function<api::ObjectPtr(std::string_view name)> config_map;  // Null when missing.
  std::function<api::ObjectPtr(std::string_view name)> secret;
  // A token for the pod's service account.
  std::function<Result<std::string>(std::string_view audience, int64_t expiration_seconds)> token;
  PodFacts facts;
  NodeResources allocatable;
};

// True for the kinds of volume that this file makes.
bool is_payload_volume(json::Value volume);

// `volume` is an item of spec.volumes. Errors are worded as FailedMount events show them.
Result<Payload> make_payload(const Pod& pod, json::Value volume, const PayloadSources& sources);

// Names of ConfigMaps and Secrets that a pod refers to anywhere: what to watch for it.
struct References {
  std::map<std::string, bool> config_maps;  // Name to "mounted as a volume".
  std::map<std::string, bool> secrets;
};
References references_of(const Pod& pod);

// A path that stays below its volume: relative, without "..".
bool safe_relative_path(std::string_view path);

}  // namespace wherry::agent
