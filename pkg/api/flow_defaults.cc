#include "api/flow_defaults.h"

#include "base/check.h"

namespace wherry::api {
namespace {

constexpr std::string_view kAutoUpdate = "apf.kubernetes.io/autoupdate-spec";

constexpr FlowDefault kLevels[] = {
    {"catch-all", R"({"type":"Limited","limited":{"nominalConcurrencyShares":5,)"
                  R"("limitResponse":{"type":"Reject"},"lendablePercent":0}})"},
    {"exempt", R"({"type":"Exempt","exempt":{"nominalConcurrencyShares":0,"lendablePercent":0}})"},
    {"global-default", R"({"type":"Limited","limited":{"nominalConcurrencyShares":20,)"
                       R"("limitResponse":{"type":"Queue","queuing":{"queues":128,"handSize":6,)"
                       R"("queueLengthLimit":50}},"lendablePercent":50}})"},
    {"leader-election", R"({"type":"Limited","limited":{"nominalConcurrencyShares":10,)"
                        R"("limitResponse":{"type":"Queue","queuing":{"queues":16,"handSize":4,)"
                        R"("queueLengthLimit":50}},"lendablePercent":0}})"},
    {"node-high", R"({"type":"Limited","limited":{"nominalConcurrencyShares":40,)"
                  R"("limitResponse":{"type":"Queue","queuing":{"queues":64,"handSize":6,)"
                  R"("queueLengthLimit":50}},"lendablePercent":25}})"},
    {"system", R"({"type":"Limited","limited":{"nominalConcurrencyShares":30,)"
               R"("limitResponse":{"type":"Queue","queuing":{"queues":64,"handSize":6,)"
               R"("queueLengthLimit":50}},"lendablePercent":33}})"},
    {"workload-high", R"({"type":"Limited","limited":{"nominalConcurrencyShares":40,)"
                      R"("limitResponse":{"type":"Queue","queuing":{"queues":128,"handSize":6,)"
                      R"("queueLengthLimit":50}},"lendablePercent":50}})"},
    {"workload-low", R"({"type":"Limited","limited":{"nominalConcurrencyShares":100,)"
                     R"("limitResponse":{"type":"Queue","queuing":{"queues":128,"handSize":6,)"
                     R"("queueLengthLimit":50}},"lendablePercent":90}})"},
};

constexpr FlowDefault kSchemas[] = {
    {"catch-all",
     R"({"priorityLevelConfiguration":{"name":"catch-all"},"matchingPrecedence":10000,)"
     R"("distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"Group",)"
     R"("group":{"name":"system:unauthenticated"}},{"kind":"Group",)"
     R"("group":{"name":"system:authenticated"}}],"resourceRules":[{"verbs":["*"],)"
     R"("apiGroups":["*"],"resources":["*"],"clusterScope":true,"namespaces":["*"]}],)"
     R"("nonResourceRules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}]})"},
    {"exempt", R"({"priorityLevelConfiguration":{"name":"exempt"},"matchingPrecedence":1,)"
               R"("rules":[{"subjects":[{"kind":"Group","group":{"name":"system:masters"}}],)"
               R"("resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],)"
               R"("clusterScope":true,"namespaces":["*"]}],"nonResourceRules":[{"verbs":["*"],)"
               R"("nonResourceURLs":["*"]}]}]})"},
    {"global-default",
     R"({"priorityLevelConfiguration":{"name":"global-default"},)"
     R"("matchingPrecedence":9900,"distinguisherMethod":{"type":"ByUser"},)"
     R"("rules":[{"subjects":[{"kind":"Group",)"
     R"("group":{"name":"system:unauthenticated"}},{"kind":"Group",)"
     R"("group":{"name":"system:authenticated"}}],"resourceRules":[{"verbs":["*"],)"
     R"("apiGroups":["*"],"resources":["*"],"clusterScope":true,"namespaces":["*"]}],)"
     R"("nonResourceRules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}]})"},
    {"kube-controller-manager",
     R"({"priorityLevelConfiguration":{"name":"workload-high"},)"
     R"("matchingPrecedence":800,"distinguisherMethod":{"type":"ByNamespace"},)"
     R"("rules":[{"subjects":[{"kind":"User",)"
     R"("user":{"name":"system:kube-controller-manager"}}],)"
     R"("resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],)"
     R"("clusterScope":true,"namespaces":["*"]}],"nonResourceRules":[{"verbs":["*"],)"
     R"("nonResourceURLs":["*"]}]}]})"},
    {"kube-scheduler",
     R"({"priorityLevelConfiguration":{"name":"workload-high"},)"
     R"("matchingPrecedence":800,"distinguisherMethod":{"type":"ByNamespace"},)"
     R"("rules":[{"subjects":[{"kind":"User",)"
     R"("user":{"name":"system:kube-scheduler"}}],"resourceRules":[{"verbs":["*"],)"
     R"("apiGroups":["*"],"resources":["*"],"clusterScope":true,"namespaces":["*"]}],)"
     R"("nonResourceRules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}]})"},
    {"kube-system-service-accounts",
     R"({"priorityLevelConfiguration":{"name":"workload-high"},)"
     R"("matchingPrecedence":900,"distinguisherMethod":{"type":"ByNamespace"},)"
     R"("rules":[{"subjects":[{"kind":"ServiceAccount",)"
     R"("serviceAccount":{"namespace":"kube-system","name":"*"}}],)"
     R"("resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],)"
     R"("clusterScope":true,"namespaces":["*"]}],"nonResourceRules":[{"verbs":["*"],)"
     R"("nonResourceURLs":["*"]}]}]})"},
    {"probes", R"({"priorityLevelConfiguration":{"name":"exempt"},"matchingPrecedence":2,)"
               R"("rules":[{"subjects":[{"kind":"Group",)"
               R"("group":{"name":"system:unauthenticated"}},{"kind":"Group",)"
               R"("group":{"name":"system:authenticated"}}],)"
               R"("nonResourceRules":[{"verbs":["get"],"nonResourceURLs":["/healthz","/readyz",)"
               R"("/livez"]}]}]})"},
    {"service-accounts",
     R"({"priorityLevelConfiguration":{"name":"workload-low"},)"
     R"("matchingPrecedence":9000,"distinguisherMethod":{"type":"ByUser"},)"
     R"("rules":[{"subjects":[{"kind":"Group",)"
     R"("group":{"name":"system:serviceaccounts"}}],"resourceRules":[{"verbs":["*"],)"
     R"("apiGroups":["*"],"resources":["*"],"clusterScope":true,"namespaces":["*"]}],)"
     R"("nonResourceRules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}]})"},
    {"system-leader-election",
     R"({"priorityLevelConfiguration":{"name":"leader-election"},)"
     R"("matchingPrecedence":100,"distinguisherMethod":{"type":"ByUser"},)"
     R"("rules":[{"subjects":[{"kind":"User",)"
     R"("user":{"name":"system:kube-controller-manager"}},{"kind":"User",)"
     R"("user":{"name":"system:kube-scheduler"}},{"kind":"ServiceAccount",)"
     R"("serviceAccount":{"namespace":"kube-system","name":"*"}}],)"
     R"("resourceRules":[{"verbs":["get","create","update"],)"
     R"("apiGroups":["coordination.k8s.io"],"resources":["leases"],)"
     R"("namespaces":["*"]}]}]})"},
    {"system-node-high",
     R"({"priorityLevelConfiguration":{"name":"node-high"},"matchingPrecedence":400,)"
     R"("distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"Group",)"
     R"("group":{"name":"system:nodes"}}],"resourceRules":[{"verbs":["*"],)"
     R"("apiGroups":[""],"resources":["nodes","nodes/status"],"clusterScope":true,)"
     R"("namespaces":["*"]},{"verbs":["*"],"apiGroups":["coordination.k8s.io"],)"
     R"("resources":["leases"],"namespaces":["*"]}]}]})"},
    {"system-nodes",
     R"({"priorityLevelConfiguration":{"name":"system"},"matchingPrecedence":500,)"
     R"("distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"Group",)"
     R"("group":{"name":"system:nodes"}}],"resourceRules":[{"verbs":["*"],)"
     R"("apiGroups":["*"],"resources":["*"],"clusterScope":true,"namespaces":["*"]}],)"
     R"("nonResourceRules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}]})"},
};

}  // namespace

std::span<const FlowDefault> default_priority_levels() { return kLevels; }
std::span<const FlowDefault> default_flow_schemas() { return kSchemas; }

const FlowDefault* find_flow_default(std::span<const FlowDefault> among, std::string_view name) {
  for (const FlowDefault& one : among) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

// What an administrator may change of the level that nothing waits in.
bool same_flow_spec(json::Value wanted, json::Value there) {
  if (wanted["type"].as_string() != "Exempt") return json::equal(wanted, there);
  return there["type"].as_string() == "Exempt";
}

json::Document flow_default_object(const FlowDefault& wanted) {
  Result<json::Document> spec = json::Document::parse(wanted.spec);
  CHECK(spec.ok());
  json::Draft draft;
  json::Node metadata = draft.root().set_object("metadata");
  metadata.set("name", wanted.name);
  metadata.set_object("annotations").set(kAutoUpdate, "true");
  draft.root().set("spec", spec->root());
  return draft.freeze();
}

bool flow_default_differs(const FlowDefault& wanted, json::Value there) {
  if (there["metadata"]["annotations"][kAutoUpdate].as_string() != "true") return false;
  Result<json::Document> spec = json::Document::parse(wanted.spec);
  CHECK(spec.ok());
  return !same_flow_spec(spec->root(), there["spec"]);
}

}  // namespace wherry::api
