// Volume sources of outside storage: what each needs, for volumes of pods and for
// PersistentVolumes. Rules from the Kubernetes API reference, core/v1 Volume.

#include <algorithm>

#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr int64_t kLunMax = 255;

void need(json::Value source, const char* field, const Path& path, FieldErrors& errors) {
  json::Value value = source[field];
  bool there = value.is_string() ? !value.as_string().empty() : !value.empty();
  if (!there) errors.required(path.child(field), "");
}

void validate_range(json::Value number, const Path& path, FieldErrors& errors) {
  int64_t value = number.as_int();
  if (value < 0 || value > kLunMax) {
    errors.invalid(path, value, fmt::format("must be between 0 and {}, inclusive", kLunMax));
  }
}

void validate_disk(json::Value source, const char* name, const Path& path, FieldErrors& errors) {
  need(source, name, path, errors);
  int64_t partition = source["partition"].as_int();
  if (partition < 0 || partition > kLunMax)
    errors.invalid(path.child("partition"), partition, "must be between 1 and 255, inclusive");
}

void validate_git_repo(json::Value source, const Path& path, FieldErrors& errors) {
  need(source, "repository", path, errors);
  validate_local_descending_path(source["directory"].as_string(), path.child("directory"), errors);
}

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// iqn.YYYY-MM.domain:name
bool is_qualified_initiator(std::string_view text) {
  constexpr std::string_view kForm = "iqn.dddd-dd.";
  if (text.size() < kForm.size()) return false;
  for (size_t i = 0; i < kForm.size(); ++i) {
    bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == 'd' && i > 3 ? !digit : text[i] != kForm[i]) return false;
  }
  auto parts = split_once(text.substr(kForm.size()), ":");
  if (!parts || parts->first.empty() || parts->second.empty()) return false;
  auto in_domain = [](char c) { return is_alnum(c) || c == '-' || c == '.'; };
  return std::all_of(parts->first.begin(), parts->first.end(), in_domain) &&
         parts->second.find_first_of(",;*&$| \t\r\n\f\v") == std::string_view::npos;
}

bool is_initiator(std::string_view text) {
  if (text.starts_with("iqn")) return is_qualified_initiator(text);
  if (!has_initiator_prefix(text)) return false;
  constexpr size_t kPrefix = 4;
  size_t digits = text.starts_with("eui") ? 16 : 32;
  return text.size() == kPrefix + digits &&
         std::all_of(text.begin() + kPrefix, text.end(), is_alnum);
}

void validate_iscsi(json::Value source, const Path& path, FieldErrors& errors) {
  std::string_view iqn = source["iqn"].as_string();
  need(source, "targetPortal", path, errors);
  if (iqn.empty()) {
    errors.required(path.child("iqn"), "");
  } else if (!is_initiator(iqn)) {
    errors.invalid(path.child("iqn"), iqn, "must be valid format");
  }
  validate_range(source["lun"], path.child("lun"), errors);
  bool chap = source["chapAuthDiscovery"].as_bool() || source["chapAuthSession"].as_bool();
  if (chap && !source["secretRef"]) errors.required(path.child("secretRef"), "");
  if (json::Value initiator = source["initiatorName"]) {
    if (!is_initiator(initiator.as_string()))
      errors.invalid(path.child("initiatorname"), initiator.as_string(), "must be valid format");
  }
}

void validate_fibre_channel(json::Value source, const Path& path, FieldErrors& errors) {
  constexpr const char* kEither = "must specify either targetWWNs or wwids, but not both";
  bool targets = !source["targetWWNs"].empty();
  bool ids = !source["wwids"].empty();
  if (!targets && !ids) errors.required(path.child("targetWWNs"), kEither);
  if (targets && ids) {
    errors.invalid(path.child("targetWWNs"), source["targetWWNs"],
                   "targetWWNs and wwids can not be specified simultaneously");
  }
  if (!targets) return;
  if (!source["lun"]) {
    errors.required(path.child("lun"), "lun is required if targetWWNs is specified");
  } else {
    validate_range(source["lun"], path.child("lun"), errors);
  }
}

void validate_flocker(json::Value source, const Path& path, FieldErrors& errors) {
  std::string_view name = source["datasetName"].as_string();
  std::string_view id = source["datasetUUID"].as_string();
  if (name.empty() && id.empty())
    errors.required(path, "one of datasetName and datasetUUID is required");
  if (!name.empty() && !id.empty()) {
    errors.invalid(path, "resource",
                   "datasetName and datasetUUID can not be specified simultaneously");
  }
  if (name.find('/') != std::string_view::npos)
    errors.invalid(path.child("datasetName"), name, "must not contain '/'");
}

void validate_cinder(json::Value source, const Path& path, FieldErrors& errors) {
  need(source, "volumeID", path, errors);
  if (source["secretRef"] && source["secretRef"]["name"].as_string().empty())
    errors.required(path.child("secretRef").child("name"), "");
}

void validate_quobyte(json::Value source, const Path& path, FieldErrors& errors) {
  std::string_view registry = source["registry"].as_string();
  constexpr const char* kText = "must be a host:port pair or multiple pairs separated by commas";
  if (registry.empty()) {
    errors.required(path.child("registry"), kText);
  } else if (source["tenant"].as_string().size() >= 65) {
    errors.required(path.child("tenant"),
                    "must be a UUID and may not exceed a length of 64 characters");
  } else {
    for (std::string_view pair : split(registry, ',')) {
      auto parts = split_once(pair, ":");
      if (!parts || parts->first.empty() || parts->second.empty())
        errors.invalid(path.child("registry"), registry, kText);
    }
  }
  need(source, "volume", path, errors);
}

void validate_flex(json::Value source, const Path& path, FieldErrors& errors) {
  need(source, "driver", path, errors);
  for (auto [key, value] : source["options"].members()) {
    std::string_view host = std::string_view(key).substr(0, key.find('/'));
    std::string lower = to_lower(host);
    bool ours = lower == "kubernetes.io" || lower.ends_with(".kubernetes.io") ||
                lower == "k8s.io" || lower.ends_with(".k8s.io");
    if (key.find('/') != std::string_view::npos && ours)
      errors.invalid(path.child("options").key(key), key,
                     "kubernetes.io and k8s.io namespaces are reserved");
  }
}

void validate_azure_disk(json::Value source, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kCaching[] = {"None", "ReadOnly", "ReadWrite"};
  static constexpr std::string_view kKinds[] = {"Dedicated", "Managed", "Shared"};
  need(source, "diskName", path, errors);
  need(source, "diskURI", path, errors);
  if (json::Value mode = source["cachingMode"])
    check_enum(mode.as_string(), kCaching, path.child("cachingMode"), errors);
  if (json::Value kind = source["kind"])
    check_enum(kind.as_string(), kKinds, path.child("kind"), errors);
  std::string_view uri = source["diskURI"].as_string();
  std::string_view kind = source["kind"].as_string("Shared");
  static constexpr std::string_view kManagedUri[] = {
      "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/"
      "{disk-id}"};
  static constexpr std::string_view kBlobUri[] = {
      "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"};
  if (kind == "Managed" && !uri.starts_with("/subscriptions"))
    errors.not_supported(path.child("diskURI"), uri, kManagedUri);
  if (kind != "Managed" && !uri.starts_with("https://"))
    errors.not_supported(path.child("diskURI"), uri, kBlobUri);
}

void validate_csi(json::Value source, const Path& path, FieldErrors& errors) {
  validate_csi_driver_name(source["driver"].as_string(), path.child("driver"), errors);
  if (json::Value secret = source["nodePublishSecretRef"]) {
    std::string_view name = secret["name"].as_string();
    Path at = path.child("nodePublishSecretRef");
    if (name.empty())
      errors.required(at.child("name"), "");
    else
      report(dns_subdomain_problems(name), at.child("name"), name, errors);
  }
}

void validate_storage_os(json::Value source, const Path& path, FieldErrors& errors) {
  std::string_view name = source["volumeName"].as_string();
  if (name.empty()) {
    errors.required(path.child("volumeName"), "");
  } else {
    report(dns_label_problems(name), path.child("volumeName"), name, errors);
  }
  std::string_view ns = source["volumeNamespace"].as_string();
  if (!ns.empty()) report(dns_label_problems(ns), path.child("volumeNamespace"), ns, errors);
  if (source["secretRef"] && source["secretRef"]["name"].as_string().empty())
    errors.required(path.child("secretRef").child("name"), "");
}

// Sources that need no more than that certain strings are there.
struct Needed {
  std::string_view source;
  const char* field;
};
constexpr Needed kNeeded[] = {
    {"glusterfs", "endpoints"},
    {"glusterfs", "path"},
    {"rbd", "monitors"},
    {"rbd", "image"},
    {"cephfs", "monitors"},
    {"azureFile", "secretName"},
    {"azureFile", "shareName"},
    {"vsphereVolume", "volumePath"},
    {"photonPersistentDisk", "pdID"},
    {"portworxVolume", "volumeID"},
    {"scaleIO", "gateway"},
    {"scaleIO", "system"},
    {"scaleIO", "volumeName"},
    {"persistentVolumeClaim", "claimName"},
};

using Rule = void (*)(json::Value source, const Path& path, FieldErrors& errors);
struct SourceRule {
  std::string_view source;
  Rule rule;
};
constexpr SourceRule kRules[] = {
    {"gitRepo", &validate_git_repo},
    {"gcePersistentDisk",
     [](json::Value source, const Path& path, FieldErrors& errors) {
       validate_disk(source, "pdName", path, errors);
     }},
    {"awsElasticBlockStore",
     [](json::Value source, const Path& path, FieldErrors& errors) {
       validate_disk(source, "volumeID", path, errors);
     }},
    {"iscsi", &validate_iscsi},
    {"fc", &validate_fibre_channel},
    {"flocker", &validate_flocker},
    {"cinder", &validate_cinder},
    {"quobyte", &validate_quobyte},
    {"flexVolume", &validate_flex},
    {"azureDisk", &validate_azure_disk},
    {"csi", &validate_csi},
    {"storageos", &validate_storage_os},
};

}  // namespace

bool has_initiator_prefix(std::string_view text) {
  return text.starts_with("iqn") || text.starts_with("eui") || text.starts_with("naa");
}

void validate_csi_driver_name(std::string_view name, const Path& path, FieldErrors& errors) {
  constexpr size_t kNameBytesMax = 63;
  if (name.empty()) errors.required(path, "");
  if (name.size() > kNameBytesMax) errors.too_long(path, kNameBytesMax);
  if (!name.empty()) report(dns_subdomain_problems(to_lower(name)), path, name, errors);
}

void validate_outside_source(std::string_view kind, json::Value source, const Path& path,
                             FieldErrors& errors) {
  for (const Needed& needed : kNeeded) {
    if (needed.source == kind) need(source, needed.field, path, errors);
  }
  for (const SourceRule& row : kRules) {
    if (row.source == kind) row.rule(source, path, errors);
  }
}

}  // namespace wherry::api
