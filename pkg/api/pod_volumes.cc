// Volumes of a pod: one source each, with what that source needs.

#include <set>

#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kPullPolicies[] = {"Always", "IfNotPresent", "Never"};
constexpr std::string_view kHostPathTypes[] = {
    "",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
    "File", "FileOrCreate", "Socket"};
constexpr std::string_view kDownwardPaths[] = {"metadata.annotations", "metadata.labels",
                                               "metadata.name", "metadata.namespace",
                                               "metadata.uid"};
constexpr const char* kModeRange = "must be a number between 0 and 0777 (octal), both inclusive";
constexpr int64_t kTokenSecondsMin = 10 * 60;
constexpr int64_t kTokenSecondsMax = int64_t{1} << 32;

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
      validate_field_reference(field, kDownwardPaths, path.child("fieldRef"), errors);
      if (resource)
        errors.invalid(path, "resource",
                       "fieldRef and resourceFieldRef can not be specified simultaneously");
    } else if (resource) {
      validate_resource_field(resource, ContainerName::kNeeded, path.child("resourceFieldRef"),
                              errors);
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

// The files of all sources lie in one directory.
class ProjectedFiles {
 public:
  ProjectedFiles(const Path& path, FieldErrors& errors) : path_(path), errors_(errors) {}
  // `shown` is what the message names.
  void add(std::string_view file, std::string_view shown) {
    if (!file.empty() && !files_.insert(file).second)
      errors_.invalid(path_, shown, "conflicting duplicate paths");
  }
  void add_items(json::Value items, std::string_view shown) {
    for (json::Value item : items.items()) add(item["path"].as_string(), shown);
  }

 private:
  const Path& path_;
  FieldErrors& errors_;
  std::set<std::string_view> files_;
};

void validate_projected_data(json::Value source, const Path& path, FieldErrors& errors) {
  if (source["name"].as_string().empty()) errors.required(path.child("name"), "");
  validate_items(source["items"], path.child("items"), errors);
}

void validate_projected(json::Value projected, const Path& path, FieldErrors& errors) {
  validate_mode(projected["defaultMode"], path.child("defaultMode"), errors);
  ProjectedFiles files(path, errors);
  size_t at = 0;
  for (json::Value source : projected["sources"].items()) {
    Path item = path.child("sources").index(at++);
    int kinds = 0;
    auto has = [&](const char* kind) {
      if (!source[kind]) return false;
      ++kinds;
      return true;
    };
    for (const char* kind : {"secret", "configMap"}) {
      if (!has(kind)) continue;
      validate_projected_data(source[kind], item.child(kind), errors);
      files.add_items(source[kind]["items"], source[kind]["name"].as_string());
    }
    if (has("downwardAPI")) {
      validate_downward_items(source["downwardAPI"], item.child("downwardAPI"), errors);
      for (json::Value file : source["downwardAPI"]["items"].items())
        files.add(file["path"].as_string(), file["path"].as_string());
    }
    if (has("serviceAccountToken")) {
      validate_token(source["serviceAccountToken"], item, path, errors);
      std::string_view file = source["serviceAccountToken"]["path"].as_string();
      files.add(file, file);
    }
    if (kinds > 1) {
      errors.forbidden(item, "may not specify more than 1 volume type per source");
    }
  }
}

void validate_host_path(json::Value source, const Path& path, FieldErrors& errors) {
  std::string_view text = source["path"].as_string();
  if (text.empty()) {
    errors.required(path.child("path"), "");
    return;
  }
  validate_no_backsteps(text, path.child("path"), errors);
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
  if (target.empty()) errors.required(path.child("path"), "");
  if (!target.starts_with('/')) {
    errors.invalid(path.child("path"), target, "must be an absolute path");
  }
}

void validate_image(json::Value source, const Path& path, FieldErrors& errors) {
  if (source["reference"].as_string().empty()) errors.required(path.child("reference"), "");
  if (std::string_view policy = source["pullPolicy"].as_string(); !policy.empty())
    check_enum(policy, kPullPolicies, path.child("pullPolicy"), errors);
}

void validate_ephemeral(json::Value source, const Path& path, FieldErrors& errors) {
  static constexpr const char* kUnset[] = {"name",
                                           "generateName",
                                           "namespace",
                                           "selfLink",
                                           "uid",
                                           "resourceVersion",
                                           "generation",
                                           "creationTimestamp",
                                           "deletionTimestamp",
                                           "deletionGracePeriodSeconds",
                                           "ownerReferences",
                                           "finalizers",
                                           "managedFields"};
  json::Value claim = source["volumeClaimTemplate"];
  Path at = path.child("volumeClaimTemplate");
  if (!claim) {
    errors.required(at, "");
    return;
  }
  json::Value meta = claim["metadata"];
  Path inner = at.child("metadata");
  validate_labels(meta["labels"], inner.child("labels"), errors);
  validate_annotations(meta["annotations"], inner.child("annotations"), errors);
  // The claim is named after the pod, so that only labels and annotations are the user's.
  for (std::string_view field : kUnset) {
    json::Value value = meta[field];
    if (!value || value.is_null() || (value.is_array() && value.empty())) continue;
    if (value.is_string() && value.as_string().empty()) continue;
    errors.forbidden(inner.child(field == "uid" ? "uID" : field), "cannot be set");
  }
  validate_claim_spec(claim["spec"], at.child("spec"), errors);
}

// Of a pod's volume it is also said how such a name begins.
void validate_pod_iscsi(json::Value source, const Path& path, FieldErrors& errors) {
  FieldErrors found;
  validate_outside_source("iscsi", source, path, found);
  for (Cause cause : found.causes()) {
    bool target = cause.field.ends_with(".iqn");
    std::string_view name = source[target ? "iqn" : "initiatorName"].as_string();
    if (cause.message.ends_with("must be valid format") && !has_initiator_prefix(name))
      cause.message += " starting with iqn, eui, or naa";
    errors.copy(cause);
  }
}

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
  if (kind == "ephemeral") validate_ephemeral(source, path, errors);
  if (kind == "image") validate_image(source, path, errors);
  if (kind == "iscsi") {
    validate_pod_iscsi(source, path, errors);
  } else {
    validate_outside_source(kind, source, path, errors);
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

bool has_backsteps(std::string_view text) {
  for (std::string_view part : split(text, '/')) {
    if (part == "..") return true;
  }
  return false;
}

void validate_no_backsteps(std::string_view text, const Path& path, FieldErrors& errors) {
  if (has_backsteps(text)) errors.invalid(path, text, "must not contain '..'");
}

void validate_local_descending_path(std::string_view text, const Path& path, FieldErrors& errors) {
  if (text.starts_with('/')) errors.invalid(path, text, "must be a relative path");
  validate_no_backsteps(text, path, errors);
}

void validate_local_path(std::string_view text, const Path& path, FieldErrors& errors) {
  validate_local_descending_path(text, path, errors);
  if (text.starts_with("..") && !has_backsteps(text))
    errors.invalid(path, text, "must not start with '..'");
}

// An initiator of its own names the portal after the volume, in so many bytes.
static void validate_initiator_volume(json::Value volume, const Path& path, FieldErrors& errors) {
  constexpr size_t kBytesMax = 64;
  json::Value source = volume["iscsi"];
  std::string_view name = volume["name"].as_string();
  if (!source["initiatorName"] ||
      name.size() + source["targetPortal"].as_string().size() + 1 <= kBytesMax)
    return;
  errors.invalid(path.child("name"), name,
                 "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters "
                 "if iscsi.initiatorName is specified.");
}

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
    if (volume["iscsi"]) validate_initiator_volume(volume, item, errors);
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
