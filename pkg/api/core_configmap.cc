// ConfigMap and Secret, core/v1: named data, held as text or bytes. Rules from the Kubernetes API
// reference.

#include "api/cells.h"
#include "api/decode.h"
#include "api/names.h"
#include "api/quota.h"
#include "api/rows.h"
#include "api/schema_core_v1.h"
#include "api/secret_tls.h"
#include "base/encoding.h"

namespace wherry::api {
namespace {

constexpr size_t kDataBytesMax = 1024 * 1024;

constexpr std::string_view kConfigMapShortNames[] = {"cm"};
constexpr SelectableField kSecretFields[] = {{.path = "type"}};

void config_map_data_cell(json::Value object, Time, json::Node cells) {
  cells.push(static_cast<int64_t>(object["data"].size() + object["binaryData"].size()));
}
void secret_data_cell(json::Value object, Time, json::Node cells) {
  cells.push(static_cast<int64_t>(object["data"].size()));
}
void secret_type_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["type"].as_string());
}

constexpr Column kConfigMapColumns[] = {
    kNameColumn,
    {.name = "Data", .description = "How many entries it holds.", .cell = &config_map_data_cell},
    kAgeColumn,
};
constexpr Column kSecretColumns[] = {
    kNameColumn,
    {.name = "Type", .description = "What the data is for.", .cell = &secret_type_cell},
    {.name = "Data", .description = "How many entries it holds.", .cell = &secret_data_cell},
    kAgeColumn,
};

void validate_keys(json::Value data, const Path& path, FieldErrors& errors) {
  for (auto [key, value] : data.members()) {
    for (const std::string& problem : config_key_problems(key)) {
      errors.invalid(path.key(key), key, problem);
    }
  }
}

// Bytes that base64 text stands for.
size_t decoded_size(json::Value text) {
  std::string_view base64 = text.as_string();
  size_t padding = base64.ends_with("==") ? 2 : base64.ends_with("=") ? 1 : 0;
  return base64.size() / 4 * 3 - std::min(padding, base64.size() / 4 * 3);
}

void validate_config_map(json::Value object, FieldErrors& errors) {
  size_t bytes = 0;
  for (auto [key, value] : object["data"].members()) {
    Path path = Path("data").key(key);
    for (const std::string& problem : config_key_problems(key)) errors.invalid(path, key, problem);
    if (object["binaryData"][key])
      errors.invalid(path, key, "duplicate of key present in binaryData");
    bytes += value.as_string().size();
  }
  validate_keys(object["binaryData"], Path("binaryData"), errors);
  for (auto [key, value] : object["binaryData"].members()) bytes += decoded_size(value);
  if (bytes > kDataBytesMax) errors.too_long(Path("[]"), kDataBytesMax);
}

struct SecretRule {
  std::string_view type;
  std::string_view key;  // Must be there.
  std::string_view second = {};
  bool either = false;  // One of the two is enough.
};

constexpr std::string_view kSshAuth = "kubernetes.io/ssh-auth";
constexpr SecretRule kSecretRules[] = {
    {.type = "kubernetes.io/dockercfg", .key = ".dockercfg"},
    {.type = "kubernetes.io/dockerconfigjson", .key = ".dockerconfigjson"},
    {.type = kSshAuth, .key = "ssh-privatekey"},
    {.type = "kubernetes.io/tls", .key = "tls.crt", .second = "tls.key"},
    {.type = "kubernetes.io/basic-auth", .key = "username", .second = "password", .either = true},
};

void validate_docker_config(json::Value object, std::string_view key, FieldErrors& errors) {
  json::Value text = object["data"][key];
  if (!text) return;
  std::optional<std::string> bytes = base64_decode(text.as_string());
  std::string problem = go_json_error(bytes.value_or(std::string()));
  if (!problem.empty())
    errors.invalid(Path("data").key(key), "<secret contents redacted>", problem);
}

void validate_secret(json::Value object, FieldErrors& errors) {
  json::Value data = object["data"];
  size_t bytes = 0;
  validate_keys(data, Path("data"), errors);
  for (auto [key, value] : data.members()) bytes += decoded_size(value);
  if (bytes > kDataBytesMax) errors.too_long(Path("data"), kDataBytesMax);

  std::string_view type = object["type"].as_string();
  if (type == "kubernetes.io/service-account-token") {
    constexpr std::string_view kAccount = "kubernetes.io/service-account.name";
    if (object["metadata"]["annotations"][kAccount].as_string().empty()) {
      errors.required(Path("metadata").child("annotations").key(kAccount), "");
    }
  }
  for (const SecretRule& rule : kSecretRules) {
    if (type != rule.type) continue;
    // A key to log in with has to say something; the others need only be there.
    bool empty = rule.type == kSshAuth && data[rule.key].as_string().empty();
    bool first = data[rule.key] && !empty;
    bool second = rule.second.empty() || data[rule.second];
    if (rule.either ? first || data[rule.second] : first && second) {
      if (rule.key.starts_with(".docker")) validate_docker_config(object, rule.key, errors);
      continue;
    }
    if (!first) errors.required(Path("data").key(rule.key), "");
    if (!rule.second.empty() && !data[rule.second]) {
      errors.required(Path("data").key(rule.second), "");
    }
  }
}

std::vector<std::string> secret_warnings(json::Value object) {
  if (object["type"].as_string() != "kubernetes.io/tls") return {};
  json::Value data = object["data"];
  auto bytes = [&](std::string_view key) {
    return base64_decode(data[key].as_string()).value_or(std::string());
  };
  std::string problem = key_pair_problem(bytes("tls.crt"), bytes("tls.key"));
  if (problem.empty()) return {};
  return {problem};
}

// Once `immutable` is set neither it nor the data may change.
void validate_frozen(json::Value before, json::Value after,
                     std::span<const std::string_view> fields, FieldErrors& errors) {
  if (!before["immutable"].as_bool()) return;
  constexpr const char* kText = "field is immutable when `immutable` is set";
  if (!after["immutable"].as_bool()) errors.forbidden(Path("immutable"), kText);
  for (std::string_view field : fields) {
    bool both_empty = before[field].empty() && after[field].empty();
    if (!both_empty && !json::equal(before[field], after[field]))
      errors.forbidden(Path(field), kText);
  }
}

void validate_config_map_update(json::Value before, json::Value after, FieldErrors& errors) {
  static constexpr std::string_view kFields[] = {"data", "binaryData"};
  validate_frozen(before, after, kFields, errors);
}

void validate_secret_update(json::Value before, json::Value after, FieldErrors& errors) {
  static constexpr std::string_view kFields[] = {"data"};
  std::string_view type = after["type"].as_string();
  if (before["type"].as_string() != type) errors.invalid(Path("type"), type, "field is immutable");
  validate_frozen(before, after, kFields, errors);
}

// stringData is written, never read: it becomes data.
void secret_defaults(json::Node object) {
  if (json::Node strings = object["stringData"]; strings.is_object()) {
    json::Node data = object.ensure_object("data");
    for (const json::Node::Member& member : strings.members()) {
      data.set(member.key, base64_encode(member.value.as_string()));
    }
    object.remove("stringData");
  }
  if (object["type"].as_string().empty()) object.set("type", "Opaque");
}

// An update that leaves the type out keeps it.
void secret_prepare_update(json::Value before, json::Node after, Time) {
  if (after["type"].as_string().empty()) after.set("type", before["type"]);
}

}  // namespace

constinit const Resource kConfigMaps = {
    .group = "",
    .version = "v1",
    .kind = "ConfigMap",
    .plural = "configmaps",
    .singular = "configmap",
    .short_names = kConfigMapShortNames,
    .schema = &schema::core_v1::kConfigMap,
    .columns = kConfigMapColumns,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .validate = &validate_config_map,
    .validate_update = &validate_config_map_update,
    .quota = &kQuotaByPlural,
};

constinit const Resource kSecrets = {
    .group = "",
    .version = "v1",
    .kind = "Secret",
    .plural = "secrets",
    .singular = "secret",
    .schema = &schema::core_v1::kSecret,
    .columns = kSecretColumns,
    .selectable_fields = kSecretFields,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &secret_defaults,
    .prepare_update = &secret_prepare_update,
    .validate = &validate_secret,
    .validate_update = &validate_secret_update,
    .warnings = &secret_warnings,
    .quota = &kQuotaByPlural,
};

}  // namespace wherry::api
