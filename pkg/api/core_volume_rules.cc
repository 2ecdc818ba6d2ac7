// The spec of a PersistentVolume, of its own or within a VolumeAttachment. Rules from the
// Kubernetes API reference, core/v1 PersistentVolumeSpec.

#include <algorithm>

#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "api/storage_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kModes[] = {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce",
                                       "ReadWriteOncePod"};
constexpr std::string_view kReclaimPolicies[] = {"Delete", "Recycle", "Retain"};
constexpr std::string_view kVolumeModes[] = {"Block", "Filesystem"};
constexpr std::string_view kHostPathTypes[] = {
    "",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
    "File", "FileOrCreate", "Socket"};
constexpr const char* kInline = "may not be specified in the context of inline volumes";

void validate_capacity(json::Value capacity, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kStorage[] = {"storage"};
  if (capacity.empty()) errors.required(path, "");
  if (!capacity["storage"] || capacity.size() > 1) errors.not_supported(path, capacity, kStorage);
  for (auto [name, amount] : capacity.members()) {
    Quantity quantity = Quantity::from(amount);
    if (quantity.sign() < 0)
      errors.invalid(path.key(name), quantity.value(), "must be a valid resource quantity");
    if (quantity.sign() <= 0)
      errors.invalid(path.key(name), quantity.text(), "must be greater than zero");
  }
}

void validate_host_path(json::Value source, const Path& path, FieldErrors& errors) {
  std::string_view text = source["path"].as_string();
  if (text.empty()) {
    errors.required(path.child("path"), "");
    return;
  }
  validate_no_backsteps(text, path.child("path"), errors);
  if (json::Value type = source["type"])
    check_enum(type.as_string(), kHostPathTypes, path.child("type"), errors);
}

void validate_local(json::Value spec, const Path& path, FieldErrors& errors) {
  std::string_view text = spec["local"]["path"].as_string();
  Path at = path.child("local").child("path");
  if (text.empty()) {
    errors.required(at, "");
  } else {
    validate_no_backsteps(text, at, errors);
  }
  if (!spec["nodeAffinity"])
    errors.required(path.child("nodeAffinity"), "Local volume requires node affinity");
}

void validate_nfs(json::Value source, const Path& path, FieldErrors& errors) {
  std::string_view target = source["path"].as_string();
  if (source["server"].as_string().empty()) errors.required(path.child("server"), "");
  if (target.empty()) errors.required(path.child("path"), "");
  if (!target.starts_with('/'))
    errors.invalid(path.child("path"), target, "must be an absolute path");
}

void validate_secret_reference(json::Value secret, const Path& path, FieldErrors& errors) {
  if (!secret) return;
  std::string_view name = secret["name"].as_string();
  std::string_view ns = secret["namespace"].as_string();
  if (name.empty()) {
    errors.required(path.child("name"), "");
  } else {
    report(dns_subdomain_problems(name), path.child("name"), name, errors);
  }
  if (ns.empty()) {
    errors.required(path.child("namespace"), "");
  } else {
    report(dns_label_problems(ns), path.child("namespace"), ns, errors);
  }
}

void validate_csi(json::Value source, const Path& path, FieldErrors& errors) {
  validate_csi_driver_name(source["driver"].as_string(), path.child("driver"), errors);
  if (source["volumeHandle"].as_string().empty()) errors.required(path.child("volumeHandle"), "");
  // Upstream does not look at nodeStageSecretRef.
  for (const char* field : {"controllerPublishSecretRef", "controllerExpandSecretRef",
                            "nodePublishSecretRef", "nodeExpandSecretRef"})
    validate_secret_reference(source[field], path.child(field), errors);
}

void validate_source(std::string_view kind, json::Value spec, const Path& path,
                     FieldErrors& errors) {
  json::Value source = spec[kind];
  Path at = path.child(kind == "gcePersistentDisk" ? "persistentDisk" : kind);
  if (kind == "hostPath") return validate_host_path(source, at, errors);
  if (kind == "local") return validate_local(spec, path, errors);
  if (kind == "nfs") return validate_nfs(source, at, errors);
  if (kind == "csi") return validate_csi(source, at, errors);
  validate_outside_source(kind, source, at, errors);
  bool names_secret = kind == "storageos" || kind == "cinder";
  if (names_secret && source["secretRef"] && source["secretRef"]["namespace"].as_string().empty()) {
    errors.required(at.child("secretRef").child("namespace"), "");
  }
  if (json::Value ns = source["secretNamespace"];
      kind == "azureFile" && ns.is_string() && ns.as_string().empty()) {
    errors.required(at.child("secretNamespace"), "");
  }
  if (kind == "glusterfs" && source["endpointsNamespace"] &&
      !is_dns_label(source["endpointsNamespace"].as_string())) {
    errors.invalid(at.child("endpointsNamespace"), source["endpointsNamespace"],
                   "if the endpointnamespace is set, it must be a valid namespace name");
  }
}

// The end of a spec: what volumes of every source may say.
void validate_rest(json::Value spec, const Path& path, FieldErrors& errors) {
  bool recycled = spec["persistentVolumeReclaimPolicy"].as_string() == "Recycle";
  if (recycled && spec["hostPath"]["path"].as_string() == "/") {
    errors.forbidden(path.child("persistentVolumeReclaimPolicy"),
                     "may not be 'recycle' for a hostPath mount of '/'");
  }
  if (std::string_view name = spec["storageClassName"].as_string(); !name.empty())
    report(dns_subdomain_problems(name), path.child("storageClassName"), name, errors);
  if (json::Value mode = spec["volumeMode"])
    check_enum(mode.as_string(), kVolumeModes, path.child("volumeMode"), errors);
  if (json::Value attributes = spec["volumeAttributesClassName"]) {
    Path at = path.child("volumeAttributesClassName");
    std::string_view name = attributes.as_string();
    if (name.empty()) {
      errors.required(at, "an empty string is disallowed");
    } else {
      report(dns_subdomain_problems(name), at, name, errors);
    }
    if (!spec["csi"]) {
      errors.required(path.child("csi"),
                      "has to be specified when using volumeAttributesClassName");
    }
  }
}

void validate_spec(json::Value spec, bool inline_volume, const Path& path, FieldErrors& errors) {
  if (inline_volume) {
    if (spec["claimRef"]) errors.forbidden(path.child("claimRef"), kInline);
    if (!spec["capacity"].empty()) errors.forbidden(path.child("capacity"), kInline);
    if (!spec["csi"]) {
      errors.required(path.child("csi"), "has to be specified in the context of inline volumes");
    }
  }
  Path modes = path.child("accessModes");
  if (spec["accessModes"].empty()) errors.required(modes, "");
  bool single = false;
  for (json::Value mode : spec["accessModes"].items()) {
    check_enum(mode.as_string(), kModes, modes, errors);
    single = single || mode.as_string() == "ReadWriteOncePod";
  }
  if (single && spec["accessModes"].size() > 1)
    errors.forbidden(modes, "may not use ReadWriteOncePod with other access modes");
  if (!inline_volume) {
    validate_capacity(spec["capacity"], path.child("capacity"), errors);
    std::string_view policy = spec["persistentVolumeReclaimPolicy"].as_string();
    if (!policy.empty())
      check_enum(policy, kReclaimPolicies, path.child("persistentVolumeReclaimPolicy"), errors);
  }
  if (json::Value affinity = spec["nodeAffinity"]) {
    Path required = path.child("nodeAffinity").child("required");
    if (!affinity["required"]) {
      errors.required(required, "must specify required node constraints");
    } else {
      validate_node_selector(affinity["required"], required, errors);
    }
  }
  int sources = 0;
  for (std::string_view kind : kVolumeSources) {
    if (!spec[kind]) continue;
    if (sources++ == 0) {
      validate_source(kind, spec, path, errors);
    } else {
      errors.forbidden(path.child(kind), "may not specify more than 1 volume type");
    }
  }
  if (sources == 0) errors.required(path, "must specify a volume type");
  validate_rest(spec, path, errors);
}

}  // namespace

void validate_volume_spec(json::Value spec, const Path& path, FieldErrors& errors) {
  validate_spec(spec, false, path, errors);
}
void validate_inline_volume_spec(json::Value spec, const Path& path, FieldErrors& errors) {
  validate_spec(spec, true, path, errors);
}

}  // namespace wherry::api
