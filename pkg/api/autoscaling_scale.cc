// Scale, autoscaling/v1: the form of the scale subresource. Nothing is stored in it.

#include "api/cells.h"
#include "api/schema_autoscaling_v1.h"
#include "api/workload_rules.h"

namespace wherry::api {
namespace {

void desired_cell(json::Value scale, Time, json::Node cells) {
  cells.push(count_at(scale, "spec", "replicas"));
}
void available_cell(json::Value scale, Time, json::Node cells) {
  cells.push(count_at(scale, "status", "replicas"));
}

constexpr Column kColumns[] = {
    {.name = "Name", .description = "Name of what is scaled.", .cell = &name_cell},
    {.name = "Desired",
     .type = "integer",
     .description = "How many there are to be.",
     .cell = &desired_cell},
    {.name = "Available",
     .type = "integer",
     .description = "How many there are.",
     .cell = &available_cell},
    kAgeColumn,
};

void validate_scale(json::Value scale, FieldErrors& errors) {
  int64_t replicas = scale["spec"]["replicas"].as_int();
  if (replicas >= 0) return;
  errors.invalid(Path("spec").child("replicas"), replicas, "must be greater than or equal to 0");
}

}  // namespace

constinit const Resource kScaleForm = {
    .group = "autoscaling",
    .version = "v1",
    .kind = "Scale",
    .plural = "scales",
    .singular = "scale",
    .schema = &schema::autoscaling_v1::kScale,
    .columns = kColumns,
    .validate = &validate_scale,
};

}  // namespace wherry::api
