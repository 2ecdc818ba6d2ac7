#pragma once
// The priority levels and flow schemas that every cluster has (Kubernetes documentation, API
// priority and fairness: mandatory and suggested objects). They are made when they are missing, and
// their spec is put back while their annotation apf.kubernetes.io/autoupdate-spec says "true".
// Pure.

#include <span>
#include <string>
#include <string_view>

#include "json/json.h"

namespace wherry::api {

inline constexpr std::string_view kFlowSchemaResource = "flowschemas.flowcontrol.apiserver.k8s.io";
inline constexpr std::string_view kPriorityLevelResource =
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io";
// Field manager of the objects, and that of their status.
inline constexpr std::string_view kFlowProducer = "api-priority-and-fairness-config-producer-v1";
inline constexpr std::string_view kFlowConsumer = "api-priority-and-fairness-config-consumer-v1";

struct FlowDefault {
  std::string_view name;
  std::string_view spec;  // JSON.
};

std::span<const FlowDefault> default_priority_levels();
std::span<const FlowDefault> default_flow_schemas();
// Among either; null for other names.
const FlowDefault* find_flow_default(std::span<const FlowDefault> among, std::string_view name);

// The object to create.
json::Document flow_default_object(const FlowDefault& wanted);
// Whether `there` has to be given the default's spec again.
bool flow_default_differs(const FlowDefault& wanted, json::Value there);

// Whether a spec is the default's but for what an administrator may change.
bool same_flow_spec(json::Value wanted, json::Value there);

}  // namespace wherry::api
