#include "agent/pod.h"

#include <map>

#include "agent/resources.h"

namespace wherry::agent {

std::string_view Pod::restart_policy() const { return spec()["restartPolicy"].as_string("Always"); }

bool Pod::uses_sidecars() const {
  for (json::Value init : spec()["initContainers"].items()) {
    if (init["restartPolicy"].as_string() == "Always") return true;
  }
  return false;
}

std::vector<ContainerView> Pod::containers() const {
  std::vector<ContainerView> all;
  for (json::Value init : spec()["initContainers"].items()) {
    bool sidecar = init["restartPolicy"].as_string() == "Always";
    all.push_back({sidecar ? ContainerKind::kSidecar : ContainerKind::kInit, init});
  }
  for (json::Value app : spec()["containers"].items()) all.push_back({ContainerKind::kApp, app});
  for (json::Value debug : spec()["ephemeralContainers"].items()) {
    all.push_back({ContainerKind::kEphemeral, debug});
  }
  return all;
}

ContainerView Pod::container(std::string_view name) const {
  for (const ContainerView& view : containers()) {
    if (view.name() == name) return view;
  }
  return {};
}

std::string Pod::hostname() const {
  std::string_view wanted = spec()["hostnameOverride"].as_string();
  if (!wanted.empty()) return std::string(wanted);
  wanted = spec()["hostname"].as_string();
  std::string text(wanted.empty() ? metadata()["name"].as_string() : wanted);
  // A host name has at most 63 characters and does not end in '-' or '.'.
  if (text.size() > 63) text.resize(63);
  while (!text.empty() && (text.back() == '-' || text.back() == '.')) text.pop_back();
  return text;
}

bool Pod::terminal() const {
  std::string_view phase = status()["phase"].as_string();
  return phase == "Succeeded" || phase == "Failed";
}

bool Pod::is_static() const {
  json::Value source = metadata()["annotations"]["kubernetes.io/config.source"];
  return source && source.as_string() != "api";
}

std::string Pod::qos_class() const { return qos_class_of(spec()); }

std::string field_path(ContainerKind kind, std::string_view name) {
  std::string_view list = "spec.containers";
  if (kind == ContainerKind::kInit || kind == ContainerKind::kSidecar) list = "spec.initContainers";
  if (kind == ContainerKind::kEphemeral) list = "spec.ephemeralContainers";
  return std::string(list) + "{" + std::string(name) + "}";
}

bool runs_to_completion(ContainerKind kind) { return kind == ContainerKind::kInit; }

}  // namespace wherry::agent
