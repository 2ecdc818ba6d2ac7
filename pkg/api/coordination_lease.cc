// Lease, coordination.k8s.io/v1: who holds a role, renewed all the time. Rules from the Kubernetes
// API reference.

#include "api/cells.h"
#include "api/rows.h"
#include "api/schema_coordination_v1.h"

namespace wherry::api {
namespace {

void holder_cell(json::Value lease, Time, json::Node cells) {
  cells.push(lease["spec"]["holderIdentity"].as_string());
}

constexpr Column kColumns[] = {
    kNameColumn,
    {.name = "Holder", .description = "Who holds it now.", .cell = &holder_cell},
    kAgeColumn,
};

// Coordinated election is off: what only it reads is not kept.
void drop_disabled(json::Node lease) {
  for (const char* field : {"strategy", "preferredHolder"}) lease["spec"].remove(field);
}
void prepare_create(json::Node lease, Time) { drop_disabled(lease); }
void prepare_update(json::Value, json::Node lease, Time) { drop_disabled(lease); }

void validate(json::Value lease, FieldErrors& errors) {
  json::Value spec = lease["spec"];
  Path path("spec");
  if (json::Value seconds = spec["leaseDurationSeconds"]; seconds && seconds.as_int() <= 0) {
    errors.invalid(path.child("leaseDurationSeconds"), seconds.as_int(), "must be greater than 0");
  }
  if (json::Value count = spec["leaseTransitions"]; count && count.as_int() < 0) {
    errors.invalid(path.child("leaseTransitions"), count.as_int(),
                   "must be greater than or equal to 0");
  }
}

}  // namespace

constinit const Resource kLeases = {
    .group = "coordination.k8s.io",
    .version = "v1",
    .kind = "Lease",
    .plural = "leases",
    .singular = "lease",
    .schema = &schema::coordination_v1::kLease,
    .columns = kColumns,
    .lazy = true,
    .unconditional_update = false,
    .create_on_update = true,
    .prepare_create = &prepare_create,
    .prepare_update = &prepare_update,
    .validate = &validate,
};

}  // namespace wherry::api
