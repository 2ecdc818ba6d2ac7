// ServiceAccount, and the two kinds of core/v1 that are not stored. Rules from the Kubernetes API
// reference.

#include "api/cells.h"
#include "api/rows.h"
#include "api/schema_authentication_v1.h"
#include "api/schema_core_v1.h"

namespace wherry::api {
namespace {

constexpr std::string_view kShortNames[] = {"sa"};
constexpr Resource kTokenRequestForm = {
    .group = "authentication.k8s.io",
    .version = "v1",
    .kind = "TokenRequest",
    .plural = "tokenrequests",
    .singular = "tokenrequest",
    .schema = &schema::authentication_v1::kTokenRequest,
};
constexpr Subresource kSubresources[] = {
    {.name = "token",
     .kind = "TokenRequest",
     .group = "authentication.k8s.io",
     .version = "v1",
     .verbs = kCreateVerb,
     .schema = &schema::authentication_v1::kTokenRequest,
     .form = &kTokenRequestForm},
};
constexpr Column kColumns[] = {kNameColumn, kAgeColumn};

constexpr std::string_view kComponentShortNames[] = {"cs"};
constexpr std::string_view kComponentVerbs[] = {"get", "list"};

json::Value healthy(json::Value object) {
  for (json::Value condition : object["conditions"].items()) {
    if (condition["type"].as_string() == "Healthy") return condition;
  }
  return {};
}
void component_status_cell(json::Value object, Time, json::Node cells) {
  bool good = healthy(object)["status"].as_string() == "True";
  cells.push(good ? "Healthy" : "Unhealthy");
}
void component_message_cell(json::Value object, Time, json::Node cells) {
  cells.push(healthy(object)["message"].as_string());
}
void component_error_cell(json::Value object, Time, json::Node cells) {
  cells.push(healthy(object)["error"].as_string());
}
constexpr Column kComponentColumns[] = {
    kNameColumn,
    {.name = "Status",
     .description = "Whether the component is well.",
     .cell = &component_status_cell},
    {.name = "Message", .description = "What it says.", .cell = &component_message_cell},
    {.name = "Error", .description = "What is wrong with it.", .cell = &component_error_cell},
};

}  // namespace

constinit const Resource kServiceAccounts = {
    .group = "",
    .version = "v1",
    .kind = "ServiceAccount",
    .plural = "serviceaccounts",
    .singular = "serviceaccount",
    .short_names = kShortNames,
    .schema = &schema::core_v1::kServiceAccount,
    .columns = kColumns,
    .subresources = kSubresources,
    .delete_gives_object = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
};

constinit const Resource kBindings = {
    .group = "",
    .version = "v1",
    .kind = "Binding",
    .plural = "bindings",
    .singular = "binding",
    .verbs = kCreateVerb,
    .schema = &schema::core_v1::kBinding,
};

constinit const Resource kComponentStatuses = {
    .group = "",
    .version = "v1",
    .kind = "ComponentStatus",
    .plural = "componentstatuses",
    .singular = "componentstatus",
    .short_names = kComponentShortNames,
    .scope = Scope::kCluster,
    .verbs = kComponentVerbs,
    .schema = &schema::core_v1::kComponentStatus,
    .columns = kComponentColumns,
};

}  // namespace wherry::api
