#pragma once
// Pod: what the agent asks of a core/v1 Pod over and over, as views into one parsed document. A Pod
// is cheap to make and holds its document, so values taken from it live as long as it does. Pure; a
// copy may go to another thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/clock.h"
#include "json/json.h"

namespace wherry::agent {

// A restartable init container ("sidecar") is an init container with restartPolicy Always: it is
// started in its turn and then runs beside the others.
enum class ContainerKind { kInit, kSidecar, kApp, kEphemeral };

struct ContainerView {
  ContainerKind kind = ContainerKind::kApp;
  json::Value spec;
  std::string_view name() const { return spec["name"].as_string(); }
  std::string_view image() const { return spec["image"].as_string(); }
};

class Pod {
 public:
  Pod() = default;
  explicit Pod(const api::ObjectPtr& object) : document_(object->document()) {}
  explicit Pod(json::Document document) : document_(std::move(document)) {}

  json::Value root() const { return document_.root(); }
  json::Value metadata() const { return root()["metadata"]; }
  json::Value spec() const { return root()["spec"]; }
  json::Value status() const { return root()["status"]; }
  std::string name() const { return std::string(metadata()["name"].as_string()); }
  std::string ns() const { return std::string(metadata()["namespace"].as_string()); }
  std::string uid() const { return std::string(metadata()["uid"].as_string()); }
  int64_t generation() const { return metadata()["generation"].as_int(); }
  bool deleting() const { return static_cast<bool>(metadata()["deletionTimestamp"]); }

  // "web-0_default(1234-...)", as messages name a pod.
  std::string label() const { return name() + "_" + ns() + "(" + uid() + ")"; }

  std::string_view restart_policy() const;  // "Always" when absent.
  bool host_network() const { return spec()["hostNetwork"].as_bool(); }
  bool uses_sidecars() const;
  // Init containers in order, then app containers, then ephemeral ones.
  std::vector<ContainerView> containers() const;
  ContainerView container(std::string_view name) const;  // Absent spec when there is none.
  // The name the pod sees itself under: spec.hostname or its name, cut to 63 characters.
  std::string hostname() const;
  // "Succeeded" and "Failed" pods never run again.
  bool terminal() const;
  // A static pod comes from a file of this node; its mirror's annotation says so.
  bool is_static() const;
  // "Guaranteed", "Burstable" or "BestEffort", from the requests and limits of its containers.
  std::string qos_class() const;

 private:
  json::Document document_;
};

// The fieldPath that events about a container carry: spec.containers{name}.
std::string field_path(ContainerKind kind, std::string_view name);
bool runs_to_completion(ContainerKind kind);  // Only plain init containers.

}  // namespace wherry::agent
