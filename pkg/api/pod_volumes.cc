// Volumes of a pod: one source each, with what that source needs.

#include <set>

#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kHostPathTypes[] = {
    "",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
    "File", "FileOrCreate", "Socket"};
constexpr std::string_view kDownwardPaths[] = {"metadata.annotations", "metadata.labels",
                                               "metadata.name", "metadata.namespace",
                                               "metadata.uid"};
constexpr const char* kModeRange = "must be a number between 0 and 0777 (octal), both inclusive";
constexpr int64_t kTokenSecondsMin = 10 * 60;
constexpr int64_t kTokenSecondsMax = int64_t{1} << 32;

bool has_parent_step(std::string_view text) {
  for (std::string_view part : split(text, '/')) {
    if (part == "..") return true;
  }
  return false;
}

// A relative path that stays inside of its volume.
void validate_local_path(std::string_view text, const Path& path, FieldErrors& errors) {
  if (text.starts_with('/')) errors.invalid(path, text, "must be a relative path");
  if (has_parent_step(text)) {
    errors.invalid(path, text, "must not contain '..'");
  } else if (text.starts_with("..")) {
    errors.invalid(path, text, "must not start with '..'");
  }
}

void validate_mode(json::Value mode, const Path& path, FieldErrors& errors) {
  if (!mode) return;
  int64_t value = mode.as_int();
  if (value < 0 || value > 0777) errors.invalid(path, value, kModeRange);
}

void validate_items(json::Value items, const Path& path, FieldErrors& errors) {
  size_t at = 0;
  for (json::Value item : items.items()) {
    Path here = path.index(at++);
    std::string_view target = item["path"].as_string();
    if (item["key"].as_string().empty()) errors.required(here.child("key"), "");
    if (target.empty()) {
      errors.required(here.child("path"), "");
    } else {
      validate_local_path(target, here.child("path"), errors);
    }
    validate_mode(item["mode"], here.child("mode"), errors);
  }
}

// ConfigMap and Secret sources: the name under `name_field`, then modes and items.
void validate_data_source(json::Value source, const char* name_field, const Path& path,
                          FieldErrors& errors) {
  if (source[name_field].as_string().empty()) errors.required(path.child(name_field), "");
  validate_mode(source["defaultMode"], path.child("defaultMode"), errors);
  validate_items(source["items"], path.child("items"), errors);
}

void validate_downward_items(json::Value source, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kResources[] = {
      "limits.cpu",   "limits.ephemeral-storage",   "limits.memory",
      "requests.cpu", "requests.ephemeral-storage", "requests.memory"};
  for (json::Value item : source["items"].items()) {
    std::string_view target = item["path"].as_string();
    if (target.empty()) {
      errors.required(path.child("path"), "");
    } else {
      validate_local_path(target, path.child("path"), errors);
    }
    json::Value field = item["fieldRef"];
    json::Value resource = item["resourceFieldRef"];
    if (field) {
      std::string_view text = field["fieldPath"].as_string();
      bool keyed =
          text.starts_with("metadata.annotations['") || text.starts_with("metadata.labels['");
      if (text.empty()) {
        errors.required(path.child("fieldRef").child("fieldPath"), "");
      } else if (!keyed) {
        check_enum(text, kDownwardPaths, path.child("fieldRef").child("fieldPath"), errors);
      }
      if (resource)
        errors.invalid(path, "resource",
                       "fieldRef and resourceFieldRef can not be specified simultaneously");
    } else if (resource) {
      Path at = path.child("resourceFieldRef");
      std::string_view text = resource["resource"].as_string();
      if (resource["containerName"].as_string().empty()) {
        errors.required(at.child("containerName"), "");
      } else if (text.empty()) {
        errors.required(at.child("resource"), "");
      } else if (text.find("hugepages-") == std::string_view::npos) {
        check_enum(text, kResources, at.child("resource"), errors);
      }
    } else {
      errors.required(path, "one of fieldRef and resourceFieldRef is required");
    }
    validate_mode(item["mode"], path.child("mode"), errors);
  }
}

void validate_token(json::Value token, const Path& source, const Path& projected,
                    FieldErrors& errors) {
  Path path = source.child("serviceAccountToken");
  int64_t seconds = token["expirationSeconds"].as_int(3600);
  if (seconds < kTokenSecondsMin) {
    errors.invalid(path.child("expirationSeconds"), seconds,
                   "may not specify a duration less than 10 minutes");
  } else if (seconds > kTokenSecondsMax) {
    errors.invalid(path.child("expirationSeconds"), seconds,
                   "may not specify a duration larger than 2^32 seconds");
  }
  std::string_view target = token["path"].as_string();
  if (target.empty()) {
    errors.required(projected.child("path"), "");
  } else {
    validate_local_path(target, projected.child("path"), errors);
  }
}

void validate_projected(json::Value projected, const Path& path, FieldErrors& errors) {
  validate_mode(projected["defaultMode"], path.child("defaultMode"), errors);
  size_t at = 0;
  for (json::Value source : projected["sources"].items()) {
    Path item = path.child("sources").index(at++);
    int kinds = 0;
    auto first = [&] {
      if (kinds++ == 0) return true;
      errors.forbidden(item, "may not specify more than 1 volume type per source");
      return false;
    };
    if (source["secret"] && first()) {
      validate_data_source(source["secret"], "name", item.child("secret"), errors);
    }
    if (source["configMap"] && first()) {
      validate_data_source(source["configMap"], "name", item.child("configMap"), errors);
    }
    if (source["downwardAPI"] && first()) {
      validate_downward_items(source["downwardAPI"], item.child("downwardAPI"), errors);
    }
    if (source["serviceAccountToken"] && first()) {
      validate_token(source["serviceAccountToken"], item, path, errors);
    }
    if (source["clusterTrustBundle"] && first() &&
        source["clusterTrustBundle"]["path"].as_string().empty()) {
      errors.required(item.child("clusterTrustBundle").child("path"), "");
    }
  }
}

void validate_host_path(json::Value source, const Path& path, FieldErrors& errors) {
  std::string_view text = source["path"].as_string();
  if (text.empty()) {
    errors.required(path.child("path"), "");
  } else if (has_parent_step(text)) {
    errors.invalid(path.child("path"), text, "must not contain '..'");
  }
  if (source["type"])
    check_enum(source["type"].as_string(), kHostPathTypes, path.child("type"), errors);
}

void validate_empty_dir(json::Value source, const Path& path, FieldErrors& errors) {
  if (Quantity::from(source["sizeLimit"]).sign() < 0) {
    errors.forbidden(path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
  }
}

void validate_nfs(json::Value source, const Path& path, FieldErrors& errors) {
  std::string_view target = source["path"].as_string();
  if (source["server"].as_string().empty()) errors.required(path.child("server"), "");
  if (target.empty()) {
    errors.required(path.child("path"), "");
  } else if (!target.starts_with('/')) {
    errors.invalid(path.child("path"), target, "must be an absolute path");
  }
}

// Sources that need no more than that certain strings are there.
struct NeededField {
  const char* source;
  const char* field;
};
constexpr NeededField kNeeded[] = {
    {"persistentVolumeClaim", "claimName"},
    {"image", "reference"},
    {"csi", "driver"},
    {"ephemeral", "volumeClaimTemplate"},
    {"gcePersistentDisk", "pdName"},
    {"awsElasticBlockStore", "volumeID"},
    {"gitRepo", "repository"},
    {"iscsi", "targetPortal"},
    {"iscsi", "iqn"},
    {"glusterfs", "endpoints"},
    {"glusterfs", "path"},
    {"rbd", "monitors"},
    {"rbd", "image"},
    {"cephfs", "monitors"},
    {"flexVolume", "driver"},
    {"cinder", "volumeID"},
    {"azureFile", "secretName"},
    {"azureFile", "shareName"},
    {"azureDisk", "diskName"},
    {"azureDisk", "diskURI"},
    {"vsphereVolume", "volumePath"},
    {"quobyte", "registry"},
    {"quobyte", "volume"},
    {"portworxVolume", "volumeID"},
    {"scaleIO", "gateway"},
    {"scaleIO", "system"},
    {"scaleIO", "volumeName"},
};

void validate_source(std::string_view kind, json::Value source, const Path& path,
                     FieldErrors& errors) {
  if (kind == "emptyDir") validate_empty_dir(source, path, errors);
  if (kind == "hostPath") validate_host_path(source, path, errors);
  if (kind == "secret") validate_data_source(source, "secretName", path, errors);
  if (kind == "configMap") validate_data_source(source, "name", path, errors);
  if (kind == "projected") validate_projected(source, path, errors);
  if (kind == "nfs") validate_nfs(source, path, errors);
  if (kind == "downwardAPI") {
    validate_mode(source["defaultMode"], path.child("defaultMode"), errors);
    validate_downward_items(source, path, errors);
  }
  for (const NeededField& needed : kNeeded) {
    if (kind != needed.source) continue;
    json::Value value = source[needed.field];
    bool there = value.is_string() ? !value.as_string().empty() : static_cast<bool>(value);
    if (!there) errors.required(path.child(needed.field), "");
  }
}

// The order in which a second source is named as the one too many.
constexpr std::string_view kSourceOrder[] = {"emptyDir",
                                             "hostPath",
                                             "gitRepo",
                                             "gcePersistentDisk",
                                             "awsElasticBlockStore",
                                             "secret",
                                             "nfs",
                                             "iscsi",
                                             "glusterfs",
                                             "flocker",
                                             "persistentVolumeClaim",
                                             "rbd",
                                             "cinder",
                                             "cephfs",
                                             "quobyte",
                                             "downwardAPI",
                                             "fc",
                                             "flexVolume",
                                             "configMap",
                                             "azureFile",
                                             "vsphereVolume",
                                             "photonPersistentDisk",
                                             "portworxVolume",
                                             "azureDisk",
                                             "storageos",
                                             "projected",
                                             "scaleIO",
                                             "csi",
                                             "ephemeral",
                                             "image"};

}  // namespace

void validate_volumes(json::Value volumes, const Path& path, FieldErrors& errors) {
  std::set<std::string_view> names;
  size_t at = 0;
  for (json::Value volume : volumes.items()) {
    Path item = path.index(at++);
    int sources = 0;
    for (std::string_view kind : kSourceOrder) {
      json::Value source = volume[kind];
      if (!source) continue;
      if (sources++ == 0) {
        validate_source(kind, source, item.child(kind), errors);
      } else {
        errors.forbidden(item.child(kind), "may not specify more than 1 volume type");
      }
    }
    if (sources == 0) errors.required(item, "must specify a volume type");
    std::string_view name = volume["name"].as_string();
    if (name.empty()) {
      errors.required(item.child("name"), "");
    } else {
      Problems problems = dns_label_problems(name);
      report(problems, item.child("name"), name, errors);
      if (problems.empty() && !names.insert(name).second)
        errors.duplicate(item.child("name"), name);
    }
  }
}

}  // namespace wherry::api
