// storage.k8s.io/v1. Rules from the Kubernetes API reference.

#include "api/cells.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/rows.h"
#include "api/schema_storage_v1.h"
#include "api/storage_rules.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kGroup = "storage.k8s.io";
constexpr std::string_view kClassShortNames[] = {"sc"};
constexpr std::string_view kAttributesShortNames[] = {"vac"};
constexpr Subresource kAttachmentSubresources[] = {status_of("VolumeAttachment")};

// ---- StorageClass

// Classes that are the default say so behind their name.
void class_name_cell(json::Value object, Time, json::Node cells) {
  std::string name(object["metadata"]["name"].as_string());
  json::Value notes = object["metadata"]["annotations"];
  bool chosen = notes["storageclass.kubernetes.io/is-default-class"].as_string() == "true" ||
                notes["storageclass.beta.kubernetes.io/is-default-class"].as_string() == "true";
  cells.push(chosen ? name + " (default)" : name);
}
void provisioner_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["provisioner"].as_string());
}
void reclaim_cell(json::Value object, Time, json::Node cells) {
  cells.push(text_or(object["reclaimPolicy"], "Delete"));
}
void binding_cell(json::Value object, Time, json::Node cells) {
  cells.push(text_or(object["volumeBindingMode"], "Immediate"));
}
void expansion_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["allowVolumeExpansion"].as_bool());
}

constexpr Column kClassColumns[] = {
    {.name = "Name",
     .format = "name",
     .description = "Name, unique among the kind in its namespace.",
     .cell = &class_name_cell},
    {.name = "Provisioner", .description = "Who makes its volumes.", .cell = &provisioner_cell},
    {.name = "ReclaimPolicy",
     .description = "What becomes of released volumes.",
     .cell = &reclaim_cell},
    {.name = "VolumeBindingMode", .description = "When volumes are bound.", .cell = &binding_cell},
    {.name = "AllowVolumeExpansion",
     .description = "Whether its volumes can grow.",
     .cell = &expansion_cell},
    kAgeColumn,
};

void class_defaults(json::Node object) {
  if (!object["reclaimPolicy"]) object.set("reclaimPolicy", "Delete");
  if (!object["volumeBindingMode"]) object.set("volumeBindingMode", "Immediate");
}

// ---- VolumeAttributesClass

void driver_name_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["driverName"].as_string());
}
constexpr Column kAttributesColumns[] = {
    kNameColumn,
    {.name = "DriverName", .description = "Driver it is for.", .cell = &driver_name_cell},
    kAgeColumn,
};
void validate_attributes_update(json::Value before, json::Value after, FieldErrors& errors) {
  for (const char* field : {"driverName", "parameters"}) {
    if (!json::equal(before[field], after[field])) {
      errors.forbidden(Path(field), fmt::format("updates to {} are forbidden.", field));
    }
  }
}

// ---- VolumeAttachment

void attacher_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["spec"]["attacher"].as_string());
}
void attached_volume_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["spec"]["source"]["persistentVolumeName"].as_string());
}
void attached_node_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["spec"]["nodeName"].as_string());
}
void attached_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["status"]["attached"].as_bool());
}
constexpr Column kAttachmentColumns[] = {
    kNameColumn,
    {.name = "Attacher",
     .format = "name",
     .description = "Driver that attaches.",
     .cell = &attacher_cell},
    {.name = "PV", .description = "Volume.", .cell = &attached_volume_cell},
    {.name = "Node", .description = "Node it is attached to.", .cell = &attached_node_cell},
    {.name = "Attached",
     .type = "boolean",
     .description = "Whether it is.",
     .cell = &attached_cell},
    kAgeColumn,
};

// ---- CSI

void driver_bool(json::Value object, const char* field, bool fallback, json::Node cells) {
  cells.push(object["spec"][field].as_bool(fallback));
}
void attach_required_cell(json::Value object, Time, json::Node cells) {
  driver_bool(object, "attachRequired", true, cells);
}
void pod_info_cell(json::Value object, Time, json::Node cells) {
  driver_bool(object, "podInfoOnMount", false, cells);
}
void capacity_cell(json::Value object, Time, json::Node cells) {
  driver_bool(object, "storageCapacity", false, cells);
}
void republish_cell(json::Value object, Time, json::Node cells) {
  driver_bool(object, "requiresRepublish", false, cells);
}
void token_requests_cell(json::Value object, Time, json::Node cells) {
  std::vector<std::string_view> audiences;
  for (json::Value request : object["spec"]["tokenRequests"].items()) {
    audiences.push_back(request["audience"].as_string());
  }
  cells.push(audiences.empty() ? std::string("<unset>") : join(audiences, ","));
}
void modes_cell(json::Value object, Time, json::Node cells) {
  cells.push(joined(object["spec"]["volumeLifecycleModes"], ""));
}
void drivers_cell(json::Value object, Time, json::Node cells) {
  cells.push(static_cast<int64_t>(object["spec"]["drivers"].size()));
}

constexpr Column kDriverColumns[] = {
    kNameColumn,
    {.name = "AttachRequired",
     .type = "boolean",
     .description = "Whether volumes are attached first.",
     .cell = &attach_required_cell},
    {.name = "PodInfoOnMount",
     .type = "boolean",
     .description = "Whether it is told about the pod.",
     .cell = &pod_info_cell},
    {.name = "StorageCapacity",
     .type = "boolean",
     .description = "Whether it states free space.",
     .cell = &capacity_cell},
    {.name = "TokenRequests",
     .description = "Audiences of tokens it gets.",
     .cell = &token_requests_cell},
    {.name = "RequiresRepublish",
     .type = "boolean",
     .description = "Whether it wants to be called again.",
     .cell = &republish_cell},
    {.name = "Modes", .description = "Sorts of volumes it serves.", .cell = &modes_cell},
    kAgeColumn,
};
constexpr Column kNodeColumns[] = {
    kNameColumn,
    {.name = "Drivers",
     .type = "integer",
     .description = "Drivers on the node.",
     .cell = &drivers_cell},
    kAgeColumn,
};
constexpr Column kCapacityColumns[] = {kNameColumn, kCreatedColumn};

void driver_defaults(json::Node object) {
  json::Node spec = object.ensure_object("spec");
  if (!spec["attachRequired"]) spec.set("attachRequired", true);
  for (const char* field :
       {"podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"}) {
    if (!spec[field]) spec.set(field, false);
  }
  if (!spec["fsGroupPolicy"]) spec.set("fsGroupPolicy", "ReadWriteOnceWithFSType");
  if (spec["volumeLifecycleModes"].empty())
    spec.set_array("volumeLifecycleModes").push("Persistent");
}
// Counts changes only: a new one has no generation.
void driver_prepare_update(json::Value before, json::Node after, Time) {
  json::Draft old(before["spec"]);
  if (json::equal(old.root(), after["spec"])) return;
  after["metadata"].set("generation", before["metadata"]["generation"].as_int() + 1);
}

}  // namespace

constinit const Resource kStorageClasses = {
    .group = kGroup,
    .version = "v1",
    .kind = "StorageClass",
    .plural = "storageclasses",
    .singular = "storageclass",
    .short_names = kClassShortNames,
    .scope = Scope::kCluster,
    .schema = &schema::storage_v1::kStorageClass,
    .columns = kClassColumns,
    .delete_gives_object = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &class_defaults,
    .validate = &validate_storage_class,
    .validate_update = &validate_storage_class_update,
    .warnings = &storage_class_warnings,
};

constinit const Resource kVolumeAttributesClasses = {
    .group = kGroup,
    .version = "v1",
    .kind = "VolumeAttributesClass",
    .plural = "volumeattributesclasses",
    .singular = "volumeattributesclass",
    .short_names = kAttributesShortNames,
    .scope = Scope::kCluster,
    .schema = &schema::storage_v1::kVolumeAttributesClass,
    .columns = kAttributesColumns,
    .delete_gives_object = true,
    .update_rules = UpdateRules::kChangeFirst,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .validate = &validate_volume_attributes,
    .validate_update = &validate_attributes_update,
};

constinit const Resource kVolumeAttachments = {
    .group = kGroup,
    .version = "v1",
    .kind = "VolumeAttachment",
    .plural = "volumeattachments",
    .singular = "volumeattachment",
    .scope = Scope::kCluster,
    .schema = &schema::storage_v1::kVolumeAttachment,
    .columns = kAttachmentColumns,
    .subresources = kAttachmentSubresources,
    .status_subresource = true,
    .unconditional_update = false,
    .delete_gives_object = true,
    .validate = &validate_attachment,
    .validate_update = &validate_attachment_update,
    .validate_status_update = &validate_attachment_status,
};

constinit const Resource kCsiDrivers = {
    .group = kGroup,
    .version = "v1",
    .kind = "CSIDriver",
    .plural = "csidrivers",
    .singular = "csidriver",
    .scope = Scope::kCluster,
    .schema = &schema::storage_v1::kCSIDriver,
    .columns = kDriverColumns,
    .unconditional_update = false,
    .delete_gives_object = true,
    .apply_defaults = &driver_defaults,
    .prepare_update = &driver_prepare_update,
    .validate = &validate_csi_driver,
    .validate_update = &validate_csi_driver_update,
    .warnings = &csi_driver_warnings,
};

constinit const Resource kCsiNodes = {
    .group = kGroup,
    .version = "v1",
    .kind = "CSINode",
    .plural = "csinodes",
    .singular = "csinode",
    .scope = Scope::kCluster,
    .schema = &schema::storage_v1::kCSINode,
    .columns = kNodeColumns,
    .unconditional_update = false,
    .delete_gives_object = true,
    .validate = &validate_csi_node,
    .validate_update = &validate_csi_node_update,
};

constinit const Resource kCsiStorageCapacities = {
    .group = kGroup,
    .version = "v1",
    .kind = "CSIStorageCapacity",
    .plural = "csistoragecapacities",
    .singular = "csistoragecapacity",
    .schema = &schema::storage_v1::kCSIStorageCapacity,
    .columns = kCapacityColumns,
    .unconditional_update = false,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .validate = &validate_csi_capacity,
    .validate_update = &validate_csi_capacity_update,
};

}  // namespace wherry::api
