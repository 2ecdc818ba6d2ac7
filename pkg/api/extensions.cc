// Kinds that extend the API itself: admissionregistration.k8s.io/v1, apiregistration.k8s.io/v1,
// apiextensions.k8s.io/v1; and flowcontrol.apiserver.k8s.io/v1 and resource.k8s.io/v1. Rules from
// the Kubernetes API reference.

#include "api/cells.h"
#include "api/definition_rules.h"
#include "api/device_rules.h"
#include "api/extension_rules.h"
#include "api/names.h"
#include "api/rows.h"
#include "api/schema_admissionregistration_v1.h"
#include "api/schema_apiextensions_v1.h"
#include "api/schema_apiregistration_v1.h"
#include "api/schema_flowcontrol_v1.h"
#include "api/schema_resource_v1.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kAdmission = "admissionregistration.k8s.io";
constexpr std::string_view kFlow = "flowcontrol.apiserver.k8s.io";
constexpr std::string_view kDevices = "resource.k8s.io";
constexpr std::string_view kDefinitionShortNames[] = {"crd", "crds"};

constexpr Subresource kPolicySubresources[] = {status_of("ValidatingAdmissionPolicy")};
constexpr Subresource kServiceSubresources[] = {status_of("APIService")};
constexpr Subresource kDefinitionSubresources[] = {status_of("CustomResourceDefinition")};
constexpr Subresource kFlowSubresources[] = {status_of("FlowSchema")};
constexpr Subresource kLevelSubresources[] = {status_of("PriorityLevelConfiguration")};

// Who writes a claim's status writes nothing else of it.
void narrow_to_claim_status(json::Value before, json::Node after, Time) {
  json::Node meta = after.ensure_object("metadata");
  for (const char* field : {"labels", "annotations", "finalizers", "ownerReferences"}) {
    meta.remove(field);
    if (json::Value was = before["metadata"][field]) meta.set(field, was);
  }
}
constexpr std::string_view kClaimReset[] = {"metadata", "spec"};
constexpr Subresource claim_status() {
  Subresource out = status_of("ResourceClaim");
  out.narrow = &narrow_to_claim_status;
  out.reset_fields = kClaimReset;
  return out;
}
constexpr Subresource kClaimSubresources[] = {claim_status()};
constexpr SelectableField kSliceFields[] = {{.path = "spec.nodeName"}, {.path = "spec.driver"}};

int64_t size_of(json::Value value) { return static_cast<int64_t>(value.size()); }

void webhooks_cell(json::Value object, Time, json::Node cells) {
  cells.push(size_of(object["webhooks"]));
}
void validations_cell(json::Value object, Time, json::Node cells) {
  cells.push(size_of(object["spec"]["validations"]));
}
void mutations_cell(json::Value object, Time, json::Node cells) {
  cells.push(size_of(object["spec"]["mutations"]));
}
void param_kind_cell(json::Value object, Time, json::Node cells) {
  json::Value kind = object["spec"]["paramKind"];
  cells.push(kind ? fmt::format("{}/{}", kind["apiVersion"].as_string(), kind["kind"].as_string())
                  : std::string("<unset>"));
}
void policy_name_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["spec"]["policyName"].as_string());
}
void param_ref_cell(json::Value object, Time, json::Node cells) {
  json::Value reference = object["spec"]["paramRef"];
  if (!reference) {
    cells.push("<unset>");
  } else if (std::string_view ns = reference["namespace"].as_string(); !ns.empty()) {
    cells.push(fmt::format("{}/{}", ns, reference["name"].as_string()));
  } else {
    cells.push(fmt::format("*/{}", text_or(reference["name"], "*")));
  }
}

constexpr Column kWebhookColumns[] = {
    kNameColumn,
    {.name = "Webhooks",
     .type = "integer",
     .description = "How many it holds.",
     .cell = &webhooks_cell},
    kAgeColumn,
};
constexpr Column kValidatingColumns[] = {
    kNameColumn,
    {.name = "Validations",
     .type = "integer",
     .description = "How many rules.",
     .cell = &validations_cell},
    {.name = "ParamKind", .description = "Kind of its parameters.", .cell = &param_kind_cell},
    kAgeColumn,
};
constexpr Column kMutatingColumns[] = {
    kNameColumn,
    {.name = "Mutations",
     .type = "integer",
     .description = "How many changes.",
     .cell = &mutations_cell},
    {.name = "ParamKind", .description = "Kind of its parameters.", .cell = &param_kind_cell},
    kAgeColumn,
};
constexpr Column kBindingColumns[] = {
    kNameColumn,
    {.name = "PolicyName", .description = "Policy it puts to work.", .cell = &policy_name_cell},
    {.name = "ParamRef", .description = "Parameters it hands over.", .cell = &param_ref_cell},
    kAgeColumn,
};
constexpr Column kCreatedColumns[] = {kNameColumn, kCreatedColumn};
constexpr Column kAgeColumns[] = {kNameColumn, kAgeColumn};

void service_cell(json::Value object, Time, json::Node cells) {
  json::Value service = object["spec"]["service"];
  cells.push(
      service ? fmt::format("{}/{}", service["namespace"].as_string(), service["name"].as_string())
              : std::string("Local"));
}
void available_cell(json::Value object, Time, json::Node cells) {
  for (json::Value condition : object["status"]["conditions"].items()) {
    if (condition["type"].as_string() != "Available") continue;
    std::string text(condition["status"].as_string());
    if (text != "True") text += " (" + std::string(condition["reason"].as_string()) + ")";
    cells.push(text);
    return;
  }
  cells.push("Unknown");
}
// What this server answers itself is there.
void prepare_api_service(json::Node object, Time now) {
  if (json::Node service = object["spec"]["service"]; service.is_object()) return;
  json::Node condition = object.ensure_object("status").set_array("conditions").push_object();
  condition.set("type", "Available");
  condition.set("status", "True");
  condition.set("lastTransitionTime", format_time(now));
  condition.set("reason", "Local");
  condition.set("message", "Local APIServices are always available");
}

constexpr Column kServiceColumns[] = {
    kNameColumn,
    {.name = "Service", .description = "Who serves the version.", .cell = &service_cell},
    {.name = "Available", .description = "Whether it can be reached.", .cell = &available_cell},
    kAgeColumn,
};

// ---- Flow control

void level_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["spec"]["priorityLevelConfiguration"]["name"].as_string());
}
void precedence_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["spec"]["matchingPrecedence"].as_int());
}
void distinguisher_cell(json::Value object, Time, json::Node cells) {
  cells.push(text_or(object["spec"]["distinguisherMethod"]["type"], "<none>"));
}
void dangling_cell(json::Value object, Time, json::Node cells) {
  for (json::Value condition : object["status"]["conditions"].items()) {
    if (condition["type"].as_string() == "Dangling") {
      cells.push(condition["status"].as_string());
      return;
    }
  }
  cells.push("?");
}
constexpr Column kFlowColumns[] = {
    kNameColumn,
    {.name = "PriorityLevel", .description = "Level its requests are in.", .cell = &level_cell},
    {.name = "MatchingPrecedence",
     .description = "Lower is looked at first.",
     .cell = &precedence_cell},
    {.name = "DistinguisherMethod",
     .description = "What makes a flow.",
     .cell = &distinguisher_cell},
    kAgeColumn,
    {.name = "MissingPL", .description = "Whether its level is missing.", .cell = &dangling_cell},
};

json::Value limited(json::Value object) { return object["spec"]["limited"]; }
json::Value queuing(json::Value object) { return limited(object)["limitResponse"]["queuing"]; }
void number_or_none(json::Value value, json::Node cells) {
  if (value) {
    cells.push(value.as_int());
  } else {
    cells.push("<none>");
  }
}
void level_type_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["spec"]["type"].as_string());
}
void shares_cell(json::Value object, Time, json::Node cells) {
  number_or_none(limited(object)["nominalConcurrencyShares"], cells);
}
void queues_cell(json::Value object, Time, json::Node cells) {
  number_or_none(queuing(object)["queues"], cells);
}
void hand_cell(json::Value object, Time, json::Node cells) {
  number_or_none(queuing(object)["handSize"], cells);
}
void length_cell(json::Value object, Time, json::Node cells) {
  number_or_none(queuing(object)["queueLengthLimit"], cells);
}
constexpr Column kLevelColumns[] = {
    kNameColumn,
    {.name = "Type", .description = "Limited or exempt.", .cell = &level_type_cell},
    {.name = "NominalConcurrencyShares",
     .description = "Its part of all seats.",
     .cell = &shares_cell},
    {.name = "Queues", .description = "How many queues.", .cell = &queues_cell},
    {.name = "HandSize", .description = "Queues a flow may use.", .cell = &hand_cell},
    {.name = "QueueLengthLimit", .description = "Requests a queue holds.", .cell = &length_cell},
    kAgeColumn,
};

// ---- Devices

void claim_state_cell(json::Value claim, Time, json::Node cells) {
  std::vector<const char*> states;
  if (claim["metadata"]["deletionTimestamp"]) states.push_back("deleted");
  if (!claim["status"]["allocation"]) {
    if (states.empty()) states.push_back("pending");
  } else {
    states.push_back("allocated");
    states.push_back(claim["status"]["reservedFor"].empty() ? nullptr : "reserved");
    if (states.back() == nullptr) states.pop_back();
  }
  cells.push(join(states, ","));
}
void slice_node_cell(json::Value slice, Time, json::Node cells) {
  json::Value spec = slice["spec"];
  cells.push(text_or(spec["nodeName"], spec["allNodes"].as_bool() ? "<all>" : "<none>"));
}
void slice_driver_cell(json::Value slice, Time, json::Node cells) {
  cells.push(slice["spec"]["driver"].as_string());
}
void slice_pool_cell(json::Value slice, Time, json::Node cells) {
  cells.push(slice["spec"]["pool"]["name"].as_string());
}
constexpr Column kClaimColumns[] = {
    kNameColumn,
    {.name = "State", .description = "Pending, allocated or reserved.", .cell = &claim_state_cell},
    kAgeColumn,
};
constexpr Column kSliceColumns[] = {
    kNameColumn,
    {.name = "Node", .description = "Node that has the devices.", .cell = &slice_node_cell},
    {.name = "Driver", .description = "Driver that offers them.", .cell = &slice_driver_cell},
    {.name = "Pool", .description = "Pool they belong to.", .cell = &slice_pool_cell},
    kAgeColumn,
};

}  // namespace

constinit const Resource kMutatingWebhookConfigurations = {
    .group = kAdmission,
    .version = "v1",
    .kind = "MutatingWebhookConfiguration",
    .plural = "mutatingwebhookconfigurations",
    .singular = "mutatingwebhookconfiguration",
    .categories = kApiExtensionsCategory,
    .scope = Scope::kCluster,
    .schema = &schema::admissionregistration_v1::kMutatingWebhookConfiguration,
    .columns = kWebhookColumns,
    .generation = true,
    .unconditional_update = false,
    .finalizer_names = false,
    .validate = &validate_webhooks,
};

constinit const Resource kValidatingWebhookConfigurations = {
    .group = kAdmission,
    .version = "v1",
    .kind = "ValidatingWebhookConfiguration",
    .plural = "validatingwebhookconfigurations",
    .singular = "validatingwebhookconfiguration",
    .categories = kApiExtensionsCategory,
    .scope = Scope::kCluster,
    .schema = &schema::admissionregistration_v1::kValidatingWebhookConfiguration,
    .columns = kWebhookColumns,
    .generation = true,
    .unconditional_update = false,
    .finalizer_names = false,
    .validate = &validate_webhooks,
};

constinit const Resource kMutatingAdmissionPolicies = {
    .group = kAdmission,
    .version = "v1",
    .kind = "MutatingAdmissionPolicy",
    .plural = "mutatingadmissionpolicies",
    .singular = "mutatingadmissionpolicy",
    .categories = kApiExtensionsCategory,
    .scope = Scope::kCluster,
    .schema = &schema::admissionregistration_v1::kMutatingAdmissionPolicy,
    .columns = kMutatingColumns,
    .generation = true,
    .unconditional_update = false,
    .finalizer_names = false,
    .validate = &validate_mutating_policy,
};

constinit const Resource kMutatingAdmissionPolicyBindings = {
    .group = kAdmission,
    .version = "v1",
    .kind = "MutatingAdmissionPolicyBinding",
    .plural = "mutatingadmissionpolicybindings",
    .singular = "mutatingadmissionpolicybinding",
    .categories = kApiExtensionsCategory,
    .scope = Scope::kCluster,
    .schema = &schema::admissionregistration_v1::kMutatingAdmissionPolicyBinding,
    .columns = kBindingColumns,
    .generation = true,
    .unconditional_update = false,
    .finalizer_names = false,
    .validate = &validate_mutating_policy_binding,
};

constinit const Resource kValidatingAdmissionPolicies = {
    .group = kAdmission,
    .version = "v1",
    .kind = "ValidatingAdmissionPolicy",
    .plural = "validatingadmissionpolicies",
    .singular = "validatingadmissionpolicy",
    .categories = kApiExtensionsCategory,
    .scope = Scope::kCluster,
    .schema = &schema::admissionregistration_v1::kValidatingAdmissionPolicy,
    .columns = kValidatingColumns,
    .subresources = kPolicySubresources,
    .status_subresource = true,
    .generation = true,
    .unconditional_update = false,
    .finalizer_names = false,
    .validate = &validate_admission_policy,
};

constinit const Resource kValidatingAdmissionPolicyBindings = {
    .group = kAdmission,
    .version = "v1",
    .kind = "ValidatingAdmissionPolicyBinding",
    .plural = "validatingadmissionpolicybindings",
    .singular = "validatingadmissionpolicybinding",
    .categories = kApiExtensionsCategory,
    .scope = Scope::kCluster,
    .schema = &schema::admissionregistration_v1::kValidatingAdmissionPolicyBinding,
    .columns = kBindingColumns,
    .generation = true,
    .unconditional_update = false,
    .finalizer_names = false,
    .validate = &validate_admission_policy_binding,
};

constinit const Resource kApiServices = {
    .group = "apiregistration.k8s.io",
    .version = "v1",
    .kind = "APIService",
    .plural = "apiservices",
    .singular = "apiservice",
    .categories = kApiExtensionsCategory,
    .scope = Scope::kCluster,
    .schema = &schema::apiregistration_v1::kAPIService,
    .columns = kServiceColumns,
    .subresources = kServiceSubresources,
    .status_subresource = true,
    .unconditional_update = false,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .finalizer_names = false,
    .prepare_create = &prepare_api_service,
    .validate = &validate_api_service,
    .valid_name = &valid_path_segment_name,
};

constinit const Resource kCustomResourceDefinitions = {
    .group = "apiextensions.k8s.io",
    .version = "v1",
    .kind = "CustomResourceDefinition",
    .plural = "customresourcedefinitions",
    .singular = "customresourcedefinition",
    .short_names = kDefinitionShortNames,
    .categories = kApiExtensionsCategory,
    .scope = Scope::kCluster,
    .schema = &schema::apiextensions_v1::kCustomResourceDefinition,
    .columns = kCreatedColumns,
    .subresources = kDefinitionSubresources,
    .status_subresource = true,
    .generation = true,
    .unconditional_update = false,
    .finalizer_names = false,
    .apply_defaults = &default_definition,
    .prepare_create = &prepare_definition,
    .prepare_update = &prepare_definition_update,
    .validate = &validate_definition,
    .validate_update = &validate_definition_update,
    .validate_status_update = &validate_definition_status,
};

constinit const Resource kFlowSchemas = {
    .group = kFlow,
    .version = "v1",
    .kind = "FlowSchema",
    .plural = "flowschemas",
    .singular = "flowschema",
    .scope = Scope::kCluster,
    .schema = &schema::flowcontrol_v1::kFlowSchema,
    .columns = kFlowColumns,
    .subresources = kFlowSubresources,
    .status_subresource = true,
    .generation = true,
    .validate = &validate_flow_schema,
};

constinit const Resource kPriorityLevelConfigurations = {
    .group = kFlow,
    .version = "v1",
    .kind = "PriorityLevelConfiguration",
    .plural = "prioritylevelconfigurations",
    .singular = "prioritylevelconfiguration",
    .scope = Scope::kCluster,
    .schema = &schema::flowcontrol_v1::kPriorityLevelConfiguration,
    .columns = kLevelColumns,
    .subresources = kLevelSubresources,
    .status_subresource = true,
    .generation = true,
    .validate = &validate_priority_level,
};

constinit const Resource kDeviceClasses = {
    .group = kDevices,
    .version = "v1",
    .kind = "DeviceClass",
    .plural = "deviceclasses",
    .singular = "deviceclass",
    .scope = Scope::kCluster,
    .schema = &schema::resource_v1::kDeviceClass,
    .columns = kAgeColumns,
    .generation = true,
    .delete_gives_object = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .validate = &validate_device_class,
};

constinit const Resource kResourceClaims = {
    .group = kDevices,
    .version = "v1",
    .kind = "ResourceClaim",
    .plural = "resourceclaims",
    .singular = "resourceclaim",
    .schema = &schema::resource_v1::kResourceClaim,
    .columns = kClaimColumns,
    .subresources = kClaimSubresources,
    .status_subresource = true,
    .delete_gives_object = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &default_claim,
    .validate = &validate_claim,
    .validate_update = &validate_claim_update,
    .validate_status_update = &validate_claim_status,
};

constinit const Resource kResourceClaimTemplates = {
    .group = kDevices,
    .version = "v1",
    .kind = "ResourceClaimTemplate",
    .plural = "resourceclaimtemplates",
    .singular = "resourceclaimtemplate",
    .schema = &schema::resource_v1::kResourceClaimTemplate,
    .columns = kAgeColumns,
    .delete_gives_object = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &default_claim_template,
    .validate = &validate_claim_template_object,
    .validate_update = &validate_claim_template_update,
};

constinit const Resource kResourceSlices = {
    .group = kDevices,
    .version = "v1",
    .kind = "ResourceSlice",
    .plural = "resourceslices",
    .singular = "resourceslice",
    .scope = Scope::kCluster,
    .schema = &schema::resource_v1::kResourceSlice,
    .columns = kSliceColumns,
    .selectable_fields = kSliceFields,
    .generation = true,
    .delete_gives_object = true,
    .prepare_create = &prepare_slice,
    .prepare_update = &prepare_slice_update,
    .validate = &validate_slice,
    .validate_update = &validate_slice_update,
};

}  // namespace wherry::api
