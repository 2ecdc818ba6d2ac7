// PersistentVolume and PersistentVolumeClaim, core/v1. Rules from the Kubernetes API reference.

#include <algorithm>

#include "api/cells.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/pod_warnings.h"
#include "api/quantity.h"
#include "api/quota.h"
#include "api/rows.h"
#include "api/schema_core_v1.h"
#include "api/storage_rules.h"
#include "api/text_diff.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kClaimShortNames[] = {"pvc"};
constexpr std::string_view kVolumeShortNames[] = {"pv"};
constexpr Subresource kClaimSubresources[] = {status_of("PersistentVolumeClaim")};
constexpr Subresource kVolumeSubresources[] = {status_of("PersistentVolume")};
constexpr std::string_view kModes[] = {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce",
                                       "ReadWriteOncePod"};
constexpr std::string_view kVolumeModes[] = {"Block", "Filesystem"};
constexpr std::string_view kClassAnnotation = "volume.beta.kubernetes.io/storage-class";
constexpr std::string_view kOptionsAnnotation = "volume.beta.kubernetes.io/mount-options";

std::string modes_text(json::Value modes) {
  struct Short {
    const char* mode;
    const char* text;
  };
  std::vector<const char*> out;
  for (const Short& known : {Short{"ReadWriteOnce", "RWO"}, Short{"ReadOnlyMany", "ROX"},
                             Short{"ReadWriteMany", "RWX"}, Short{"ReadWriteOncePod", "RWOP"}}) {
    for (json::Value mode : modes.items()) {
      if (mode.as_string() != known.mode) continue;
      out.push_back(known.text);
      break;
    }
  }
  return join(out, ",");
}

std::string class_of(json::Value object) {
  std::string_view old = object["metadata"]["annotations"][kClassAnnotation].as_string();
  return std::string(old.empty() ? object["spec"]["storageClassName"].as_string() : old);
}

std::string storage_text(json::Value resources) {
  return resources["storage"] ? Quantity::from(resources["storage"]).text() : "0";
}

void class_cell(json::Value object, Time, json::Node cells) { cells.push(class_of(object)); }
void attributes_cell(json::Value object, Time, json::Node cells) {
  cells.push(text_or(object["spec"]["volumeAttributesClassName"], "<unset>"));
}
void mode_cell(json::Value object, Time, json::Node cells) {
  cells.push(text_or(object["spec"]["volumeMode"], "<unset>"));
}

// ---- Claims

bool bound(json::Value claim) { return !claim["spec"]["volumeName"].as_string().empty(); }
void claim_status_cell(json::Value claim, Time, json::Node cells) {
  bool deleting = static_cast<bool>(claim["metadata"]["deletionTimestamp"]);
  cells.push(deleting ? std::string_view("Terminating") : claim["status"]["phase"].as_string());
}
void claim_volume_cell(json::Value claim, Time, json::Node cells) {
  cells.push(claim["spec"]["volumeName"].as_string());
}
void claim_capacity_cell(json::Value claim, Time, json::Node cells) {
  cells.push(bound(claim) ? storage_text(claim["status"]["capacity"]) : "");
}
void claim_modes_cell(json::Value claim, Time, json::Node cells) {
  cells.push(bound(claim) ? modes_text(claim["status"]["accessModes"]) : "");
}

constexpr Column kClaimColumns[] = {
    kNameColumn,
    {.name = "Status", .description = "Whether it has its volume.", .cell = &claim_status_cell},
    {.name = "Volume", .description = "Volume it is bound to.", .cell = &claim_volume_cell},
    {.name = "Capacity", .description = "Size of that volume.", .cell = &claim_capacity_cell},
    {.name = "Access Modes", .description = "How it can be mounted.", .cell = &claim_modes_cell},
    {.name = "StorageClass", .description = "Class it asks for.", .cell = &class_cell},
    {.name = "VolumeAttributesClass",
     .description = "Attributes it asks for.",
     .cell = &attributes_cell},
    kAgeColumn,
    {.name = "VolumeMode",
     .description = "Filesystem or block device.",
     .priority = 1,
     .cell = &mode_cell},
};

void claim_defaults(json::Node claim) {
  json::Node spec = claim.ensure_object("spec");
  if (!spec["volumeMode"]) spec.set("volumeMode", "Filesystem");
}

// dataSource can say less than dataSourceRef, and each stands for the other. References to other
// namespaces are not supported, nor are contents of any kind in dataSource.
void settle_data_source(json::Node spec) {
  json::Node source = spec["dataSource"];
  if (source.is_object()) {
    std::string_view kind = source["kind"].as_string();
    std::string_view group = source["apiGroup"].as_string();
    bool known = (group.empty() && kind == "PersistentVolumeClaim") ||
                 (group == "snapshot.storage.k8s.io" && kind == "VolumeSnapshot");
    if (!known) spec.remove("dataSource");
  }
  if (json::Node reference = spec["dataSourceRef"];
      reference.is_object() && !reference["namespace"].as_string().empty()) {
    spec.remove("dataSourceRef");
  }
  bool has_source = spec["dataSource"].is_object();
  bool has_reference = spec["dataSourceRef"].is_object();
  if (has_source && !has_reference) spec.set("dataSourceRef", spec["dataSource"]);
  if (has_reference && !has_source) spec.set("dataSource", spec["dataSourceRef"]);
}

void claim_prepare_create(json::Node claim, Time) {
  claim.set_object("status").set("phase", "Pending");
  settle_data_source(claim["spec"]);
}

void validate_modes(json::Value modes, const Path& path, FieldErrors& errors) {
  bool single = false;
  bool known = true;
  for (json::Value mode : modes.items()) {
    known = check_enum(mode.as_string(), kModes, path, errors) && known;
    single = single || mode.as_string() == "ReadWriteOncePod";
  }
  if (known && single && modes.size() > 1) {
    errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
  }
}

// Where a claim's content comes from: an object, of another group or a claim.
void validate_data_source(json::Value source, const Path& path, FieldErrors& errors) {
  std::string_view kind = source["kind"].as_string();
  std::string_view group = source["apiGroup"].as_string();
  if (source["name"].as_string().empty()) errors.required(path.child("name"), "");
  if (kind.empty()) errors.required(path.child("kind"), "");
  if (group.empty() && kind != "PersistentVolumeClaim") {
    errors.invalid(path, kind,
                   "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  }
  if (!group.empty()) report(dns_subdomain_problems(group), path.child("apiGroup"), group, errors);
}

void validate_claim(json::Value claim, FieldErrors& errors) {
  validate_claim_spec(claim["spec"], Path("spec"), errors);
}

// As Go prints its own structure.
std::string claim_text(json::Node spec) {
  constexpr std::string_view kFields[] = {
      "AccessModes", "Selector",         "Resources",
      "VolumeName",  "StorageClassName", "VolumeMode",
      "DataSource",  "DataSourceRef",    "VolumeAttributesClassName"};
  json::Draft copy(spec);
  json::Document frozen = copy.freeze();
  json::Document flat = go_struct(schema::core_v1::kPersistentVolumeClaimSpec, frozen.root());
  json::Draft out;
  for (std::string_view field : kFields) out.root().set(field, flat.root()[field]);
  // A type of the API itself, by the names that clients know.
  if (frozen.root()["selector"]) out.root().set("Selector", frozen.root()["selector"]);
  return out.dump_pretty();
}

void validate_claim_update(json::Value before, json::Value after, FieldErrors& errors) {
  json::Draft old_spec(before["spec"]);
  json::Draft new_spec(after["spec"]);
  json::Node old_root = old_spec.root();
  json::Node new_root = new_spec.root();
  // Binding gives a claim its volume; a bound claim may grow.
  if (old_root["volumeName"].as_string().empty())
    new_root.set("volumeName", old_root["volumeName"]);
  if (old_root["storageClassName"].is_null() || !old_root["storageClassName"]) {
    new_root.set("storageClassName", old_root["storageClassName"]);
  }
  if (before["status"]["phase"].as_string() == "Bound") {
    new_root.set("volumeAttributesClassName", old_root["volumeAttributesClassName"]);
    new_root.set("resources", old_root["resources"]);
  }
  if (!json::equal(old_root, new_root)) {
    std::string text =
        "spec is immutable after creation except resources.requests and "
        "volumeAttributesClassName for bound claims";
    std::string difference = unified_diff(claim_text(old_root), claim_text(new_root));
    if (!difference.empty()) text.append("\n").append(difference);
    errors.forbidden(Path("spec"), text);
  }
  Quantity old_size = Quantity::from(before["spec"]["resources"]["requests"]["storage"]);
  Quantity new_size = Quantity::from(after["spec"]["resources"]["requests"]["storage"]);
  Quantity have = Quantity::from(before["status"]["capacity"]["storage"]);
  if (new_size < old_size && new_size <= have) {
    errors.forbidden(Path("spec").child("resources").child("requests").child("storage"),
                     "field can not be less than status.capacity");
  }
  // Upstream's path.
  validate_immutable(before["spec"]["volumeMode"], after["spec"]["volumeMode"], Path("volumeMode"),
                     errors);
}

void validate_claim_status(json::Value, json::Value after, FieldErrors& errors) {
  static constexpr std::string_view kStorage[] = {"storage"};
  static constexpr std::string_view kResizes[] = {
      "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress",
      "NodeResizeInfeasible", "NodeResizePending"};
  json::Value status = after["status"];
  Path path("status");
  auto amount = [&](std::string_view name, json::Value value, const Path& at) {
    Quantity quantity = Quantity::from(value);
    if (quantity.sign() < 0)
      errors.invalid(at.key(name), quantity.value(), "must be a valid resource quantity");
  };
  for (auto [name, value] : status["capacity"].members())
    amount(name, value, path.child("capacity"));
  for (auto [name, state] : status["allocatedResourceStatuses"].members()) {
    Path at = path.child("allocatedResourceStatuses");
    if (name != "storage") errors.not_supported(at, name, kStorage);
    // It is the name that upstream shows.
    if (std::find(std::begin(kResizes), std::end(kResizes), state.as_string()) ==
        std::end(kResizes)) {
      errors.not_supported(at, name, kResizes);
    }
  }
  for (auto [name, value] : status["allocatedResources"].members()) {
    Path at = path.child("allocatedResources");
    if (name != "storage") {
      errors.not_supported(at, name, kStorage);
    } else {
      amount(name, value, at);
    }
  }
}

// ---- Volumes

void volume_capacity_cell(json::Value volume, Time, json::Node cells) {
  cells.push(storage_text(volume["spec"]["capacity"]));
}
void volume_modes_cell(json::Value volume, Time, json::Node cells) {
  cells.push(modes_text(volume["spec"]["accessModes"]));
}
void reclaim_cell(json::Value volume, Time, json::Node cells) {
  cells.push(volume["spec"]["persistentVolumeReclaimPolicy"].as_string());
}
void volume_status_cell(json::Value volume, Time, json::Node cells) {
  bool deleting = static_cast<bool>(volume["metadata"]["deletionTimestamp"]);
  cells.push(deleting ? std::string_view("Terminating") : volume["status"]["phase"].as_string());
}
void volume_claim_cell(json::Value volume, Time, json::Node cells) {
  json::Value claim = volume["spec"]["claimRef"];
  cells.push(claim ? fmt::format("{}/{}", claim["namespace"].as_string(), claim["name"].as_string())
                   : std::string());
}
void volume_reason_cell(json::Value volume, Time, json::Node cells) {
  cells.push(volume["status"]["reason"].as_string());
}

constexpr Column kVolumeColumns[] = {
    kNameColumn,
    {.name = "Capacity", .description = "Size of the volume.", .cell = &volume_capacity_cell},
    {.name = "Access Modes", .description = "How it can be mounted.", .cell = &volume_modes_cell},
    {.name = "Reclaim Policy",
     .description = "What becomes of it after its claim.",
     .cell = &reclaim_cell},
    {.name = "Status", .description = "Free, bound or released.", .cell = &volume_status_cell},
    {.name = "Claim", .description = "Claim it is bound to.", .cell = &volume_claim_cell},
    {.name = "StorageClass", .description = "Class it belongs to.", .cell = &class_cell},
    {.name = "VolumeAttributesClass", .description = "Its attributes.", .cell = &attributes_cell},
    {.name = "Reason", .description = "Why it is in that status.", .cell = &volume_reason_cell},
    kAgeColumn,
    {.name = "VolumeMode",
     .description = "Filesystem or block device.",
     .priority = 1,
     .cell = &mode_cell},
};

void volume_defaults(json::Node volume) {
  json::Node spec = volume.ensure_object("spec");
  if (spec["persistentVolumeReclaimPolicy"].as_string().empty()) {
    spec.set("persistentVolumeReclaimPolicy", "Retain");
  }
  if (!spec["volumeMode"]) spec.set("volumeMode", "Filesystem");
}
void volume_prepare_create(json::Node volume, Time now) {
  json::Node status = volume.set_object("status");
  status.set("phase", "Pending");
  status.set("lastPhaseTransitionTime", format_time(now));
}

// Sources that nothing serves any more, and what else is of old.
std::vector<std::string> volume_warnings(json::Value volume) {
  struct Gone {
    const char* source;
    const char* text;
  };
  std::vector<std::string> out;
  json::Value notes = volume["metadata"]["annotations"];
  json::Value spec = volume["spec"];
  if (notes[kClassAnnotation]) {
    out.push_back(
        fmt::format("metadata.annotations[{}]: deprecated since v1.8; use \"storageClassName\" "
                    "attribute instead",
                    kClassAnnotation));
  }
  if (notes[kOptionsAnnotation]) {
    out.push_back(fmt::format(
        "metadata.annotations[{}]: deprecated since v1.31; use \"mountOptions\" attribute instead",
        kOptionsAnnotation));
  }
  if (spec["persistentVolumeReclaimPolicy"].as_string() == "Recycle") {
    out.emplace_back(
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, "
        "the "
        "recommended approach is to use dynamic provisioning.");
  }
  Path terms = Path("spec").child("nodeAffinity").child("required").child("nodeSelectorTerms");
  warn_of_terms(spec["nodeAffinity"]["required"]["nodeSelectorTerms"], terms, nullptr, out);
  for (const Gone& gone :
       {Gone{"photonPersistentDisk",
             "photonPersistentDisk: deprecated in v1.11, non-functional in v1.16+"},
        Gone{"scaleIO", "scaleIO: deprecated in v1.16, non-functional in v1.22+"},
        Gone{"storageos", "storageOS: deprecated in v1.22, non-functional in v1.25+"},
        Gone{"glusterfs", "glusterfs: deprecated in v1.25, non-functional in v1.26+"},
        Gone{"rbd", "rbd: deprecated in v1.28, non-functional in v1.31+"},
        Gone{"cephfs", "cephfs: deprecated in v1.28, non-functional in v1.31+"}}) {
    if (spec[gone.source]) out.push_back(fmt::format("spec.{}", gone.text));
  }
  return out;
}

void validate_volume(json::Value volume, FieldErrors& errors) {
  validate_volume_spec(volume["spec"], Path("spec"), errors);
}

void validate_volume_update(json::Value before, json::Value after, FieldErrors& errors) {
  validate_volume(after, errors);  // Upstream checks it twice, and tells twice.
  json::Draft old_source, new_source;
  for (std::string_view source : kVolumeSources) {
    old_source.root().set(source, before["spec"][source]);
    new_source.root().set(source, after["spec"][source]);
  }
  if (!json::equal(old_source.root(), new_source.root())) {
    errors.forbidden(Path("spec").child("persistentvolumesource"),
                     "spec.persistentvolumesource is immutable after creation");
  }
  // Upstream's path.
  validate_immutable(before["spec"]["volumeMode"], after["spec"]["volumeMode"], Path("volumeMode"),
                     errors);
}

}  // namespace

void validate_claim_spec(json::Value spec, const Path& path, FieldErrors& errors) {
  if (spec["accessModes"].empty()) {
    errors.required(path.child("accessModes"), "at least 1 access mode is required");
  }
  if (spec["selector"]) validate_label_selector(spec["selector"], path.child("selector"), errors);
  validate_modes(spec["accessModes"], path.child("accessModes"), errors);
  json::Value storage = spec["resources"]["requests"]["storage"];
  Path at = path.child("resources").key("storage");
  if (!storage) {
    errors.required(at, "");
  } else if (Quantity::from(storage).sign() <= 0) {
    errors.invalid(at, Quantity::from(storage).text(), "must be greater than zero");
  }
  if (std::string_view name = spec["storageClassName"].as_string(); !name.empty()) {
    report(dns_subdomain_problems(name), path.child("storageClassName"), name, errors);
  }
  if (json::Value mode = spec["volumeMode"]) {
    check_enum(mode.as_string(), kVolumeModes, path.child("volumeMode"), errors);
  }
  json::Value source = spec["dataSource"];
  json::Value reference = spec["dataSourceRef"];
  if (source) validate_data_source(source, path.child("dataSource"), errors);
  if (reference) validate_data_source(reference, path.child("dataSourceRef"), errors);
  if (source && reference && !json::equal(source, reference)) {
    json::Document shown = json::Draft().freeze();  // Upstream shows a path here, which prints so.
    errors.invalid(path, shown.root(), "must match dataSourceRef");
  }
  if (std::string_view name = spec["volumeAttributesClassName"].as_string(); !name.empty()) {
    report(dns_subdomain_problems(name), path.child("volumeAttributesClassName"), name, errors);
  }
}

void validate_claim_template(json::Value claim, const Path& path, FieldErrors& errors) {
  json::Value meta = claim["metadata"];
  Path at = path.child("metadata");
  validate_labels(meta["labels"], at.child("labels"), errors);
  validate_annotations(meta["annotations"], at.child("annotations"), errors);
  validate_claim_spec(claim["spec"], path.child("spec"), errors);
}

static std::vector<std::string> claim_warnings(json::Value claim) {
  std::vector<std::string> out;
  json::Value storage = claim["spec"]["resources"]["requests"]["storage"];
  if (claim["metadata"]["annotations"][kClassAnnotation]) {
    out.emplace_back(
        "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "
        "\"storageClassName\" attribute instead");
  }
  if (storage && !Quantity::from(storage).is_whole()) {
    out.push_back(
        fmt::format("spec.resources.requests[storage]: fractional byte value {} is "
                    "invalid, must be an integer",
                    quote(Quantity::from(storage).text())));
  }
  return out;
}

constinit const Resource kPersistentVolumeClaims = {
    .group = "",
    .version = "v1",
    .kind = "PersistentVolumeClaim",
    .plural = "persistentvolumeclaims",
    .singular = "persistentvolumeclaim",
    .short_names = kClaimShortNames,
    .schema = &schema::core_v1::kPersistentVolumeClaim,
    .columns = kClaimColumns,
    .subresources = kClaimSubresources,
    .status_subresource = true,
    .delete_gives_object = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &claim_defaults,
    .prepare_create = &claim_prepare_create,
    .validate = &validate_claim,
    .validate_update = &validate_claim_update,
    .validate_status_update = &validate_claim_status,
    .warnings = &claim_warnings,
    .quota = &kClaimQuota,
};

constinit const Resource kPersistentVolumes = {
    .group = "",
    .version = "v1",
    .kind = "PersistentVolume",
    .plural = "persistentvolumes",
    .singular = "persistentvolume",
    .short_names = kVolumeShortNames,
    .scope = Scope::kCluster,
    .schema = &schema::core_v1::kPersistentVolume,
    .columns = kVolumeColumns,
    .subresources = kVolumeSubresources,
    .status_subresource = true,
    .delete_gives_object = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &volume_defaults,
    .prepare_create = &volume_prepare_create,
    .validate = &validate_volume,
    .validate_update = &validate_volume_update,
    .warnings = &volume_warnings,
};

}  // namespace wherry::api
