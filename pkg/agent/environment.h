#pragma once
// The environment, command and arguments of a container: Service variables, envFrom, env with its
// sources, and $(VAR) expansion, in that order of precedence. Pure: what it reads of the cluster
// comes through EnvironmentSources.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/field_ref.h"
#include "agent/pod.h"
#include "agent/resources.h"
#include "api/object.h"
#include "base/result.h"

namespace wherry::agent {

using Environment = std::map<std::string, std::string>;

struct EnvironmentSources {
  // Null when there is no such object in the pod's namespace.
  std::function<api::ObjectPtr(std::string_view name)> config_map;
  std::function<api::ObjectPtr(std::string_view name)> secret;
  std::vector<api::ObjectPtr> services;  // Of the pod's namespace.
  api::ObjectPtr kubernetes_service;     // default/kubernetes: every pod gets that one.
  PodFacts facts;
  NodeResources allocatable;
};

// FOO_SERVICE_HOST and the Docker link style variables of each Service that has a cluster address.
void add_service_variables(json::Value service, Environment* out);

// Errors are what the status shows under CreateContainerConfigError, such as `configmap "x" not
// found` and `couldn't find key k in ConfigMap ns/x`.
Result<Environment> make_environment(const Pod& pod, json::Value container,
                                     const EnvironmentSources& sources);

// spec.command or spec.args with $(VAR) expanded.
std::vector<std::string> expand_arguments(json::Value list, const Environment& environment);

}  // namespace wherry::agent
