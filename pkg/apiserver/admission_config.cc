#include "apiserver/admission_config.h"

#include <algorithm>
#include <span>

#include "api/decode.h"
#include "api/field_error.h"
#include "api/names.h"
#include "api/quota.h"
#include "api/schema_apiserver_v1.h"
#include "api/schema_podsecurity_v1.h"
#include "apiserver/bookkeeping.h"
#include "base/strings.h"
#include "json/yaml.h"
#include "os/fd.h"

namespace wherry::apiserver {
namespace {

// A kind of configuration, in the versions it is read in, which do not differ.
struct Form {
  std::string_view kind;
  std::span<const std::string_view> api_versions;
  const api::Struct& schema;
};

constexpr std::string_view kConfigVersions[] = {"apiserver.config.k8s.io/v1",
                                                "apiserver.k8s.io/v1alpha1"};
constexpr std::string_view kQuotaVersions[] = {"apiserver.config.k8s.io/v1"};
constexpr std::string_view kPodVersions[] = {"pod-security.admission.config.k8s.io/v1",
                                             "pod-security.admission.config.k8s.io/v1beta1",
                                             "pod-security.admission.config.k8s.io/v1alpha1"};

const Form kConfigForm = {"AdmissionConfiguration", kConfigVersions,
                          api::schema::apiserver_v1::kAdmissionConfiguration};
const Form kQuotaForm = {"ResourceQuotaConfiguration", kQuotaVersions,
                         api::schema::apiserver_v1::kResourceQuotaConfiguration};
const Form kPodForm = {"PodSecurityConfiguration", kPodVersions,
                       api::schema::podsecurity_v1::kPodSecurityConfiguration};

// A document as it was read, with what is to be said of keys that stand in it twice.
struct Source {
  json::Document document;
  std::string text;
  std::vector<std::string> repeated;
};

Result<Source> parse(std::string text) {
  Source out;
  out.document = TRY(json::parse_yaml(text, &out.repeated));
  out.text = std::move(text);
  return out;
}

// Strictly: a setting that is misspelt must not be one that is missing.
Result<json::Document> decode(const Source& source, const Form& form) {
  json::Value in = source.document.root();
  std::string_view kind = in["kind"].as_string(), api_version = in["apiVersion"].as_string();
  if (kind.empty()) return Error::invalid("Object 'Kind' is missing in '{}'", source.text);
  if (api_version.empty()) {
    return Error::invalid("Object 'apiVersion' is missing in '{}'", source.text);
  }
  if (kind != form.kind ||
      std::ranges::find(form.api_versions, api_version) == form.api_versions.end()) {
    return Error::invalid("{}", unregistered(api_version, kind));
  }
  if (!source.repeated.empty()) {
    return Error::invalid("strict decoding error: yaml: unmarshal errors:\n  {}",
                          join(source.repeated, "\n  "));
  }
  api::DecodeOptions how{.field_validation = FieldValidation::kStrict, .version = "v1"};
  how.kind = form.kind;
  std::vector<std::string> none;
  Result<json::Draft> decoded = api::decode(form.schema, in, how, none);
  if (decoded.ok()) return decoded->freeze();
  std::string lead = fmt::format("{} in version \"v1\" cannot be handled as a {}: ", kind, kind);
  const std::string& said = decoded.error().message();
  return Error::invalid("{}", said.starts_with(lead) ? said.substr(lead.size()) : said);
}

Error refused(std::string_view stage, std::string_view plugin, std::string_view why) {
  return Error::invalid("failed to apply admission: {} admission plugin {}: {}", stage,
                        quote(plugin), why);
}

// ---- PodSecurity

struct ModePolicy {
  std::string_view mode;
  api::PodPolicy& policy;
};

Result<PodPolicies> policies(json::Value defaults) {
  PodPolicies out;
  std::vector<std::string> faults;
  for (const ModePolicy& one :
       {ModePolicy{"enforce", out.enforce}, {"audit", out.audit}, {"warn", out.warn}}) {
    std::string_view level = defaults[one.mode].as_string();
    std::string_view version = defaults[fmt::format("{}-version", one.mode)].as_string();
    auto parsed = api::parse_pod_level(level.empty() ? "privileged" : level);
    auto minor = api::parse_pod_policy_version(version.empty() ? "latest" : version);
    if (!parsed) {
      faults.push_back(
          fmt::format("{}: must be one of privileged, baseline, restricted", one.mode));
    }
    if (!minor) {
      faults.push_back(fmt::format("{}-version: must be \"latest\" or \"v1.x\"", one.mode));
    }
    if (parsed) one.policy.level = *parsed;
    if (minor) one.policy.minor = *minor;
  }
  if (faults.empty()) return out;
  return Error::invalid("PodSecurity configuration error: {}", all_faults(faults));
}

using Judge = api::Problems (*)(std::string_view name);

api::Problems user_problems(std::string_view name) {
  return name.empty() ? api::Problems{"username must not be empty"} : api::Problems();
}

PodSecuritySettings::Names exempt(json::Value exemptions, std::string_view list, Judge judge,
                                  api::FieldErrors& errors) {
  PodSecuritySettings::Names out;
  api::Path path = api::Path("exemptions").child(list);
  size_t at = 0;
  for (const std::string& name : exemptions[list].strings()) {
    api::Path here = path.index(at++);
    api::Problems problems = judge(name);
    for (const std::string& problem : problems) errors.invalid(here, name, problem);
    if (problems.empty() && !out.insert(name).second) errors.duplicate(here, name);
  }
  return out;
}

std::string text_of(const api::FieldErrors& errors) {
  std::vector<std::string> faults;
  for (const Cause& cause : errors.causes()) {
    faults.push_back(fmt::format("{}: {}", cause.field, cause.message));
  }
  return all_faults(faults);
}

Result<void> read_pod_security(const Source& source, AdmissionSettings& settings) {
  constexpr std::string_view kName = "PodSecurity";
  Result<json::Document> config = decode(source, kPodForm);
  if (!config.ok()) return refused("couldn't init", kName, config.error().message());
  PodSecuritySettings out;
  Result<PodPolicies> defaults = policies(config->root()["defaults"]);
  if (!defaults.ok()) return refused("failed to initialize", kName, defaults.error().message());
  out.defaults = *defaults;
  json::Value exemptions = config->root()["exemptions"];
  api::FieldErrors errors;
  out.namespaces = exempt(exemptions, "namespaces", &api::dns_label_problems, errors);
  out.runtime_classes = exempt(exemptions, "runtimeClasses", &api::dns_subdomain_problems, errors);
  out.users = exempt(exemptions, "usernames", &user_problems, errors);
  if (!errors.empty()) {
    return refused("failed to initialize", kName,
                   fmt::format("PodSecurity invalid: {}", text_of(errors)));
  }
  settings.pod_security = std::move(out);
  return {};
}

// ---- ResourceQuota

// DEVIATION: upstream takes conditions that mean nothing, and then limits nothing at all.
Result<void> read_quota(const Source& source, AdmissionSettings& settings) {
  constexpr std::string_view kName = "ResourceQuota";
  Result<json::Document> config = decode(source, kQuotaForm);
  if (!config.ok()) return refused("couldn't init", kName, config.error().message());
  api::FieldErrors errors;
  std::vector<LimitedResource> out;
  size_t at = 0;
  for (json::Value one : config->root()["limitedResources"].items()) {
    api::Path path = api::Path("limitedResources").index(at++);
    std::string_view resource = one["resource"].as_string();
    if (resource.empty()) errors.required(path.child("resource"), "");
    LimitedResource limited{.group = std::string(one["apiGroup"].as_string()),
                            .resource = std::string(resource),
                            .contains = one["matchContains"].strings(),
                            .scopes = {}};
    size_t at_scope = 0;
    for (json::Value scope : one["matchScopes"].items()) {
      api::validate_quota_scope(scope, path.child("matchScopes").index(at_scope++), errors);
    }
    if (one["matchScopes"]) limited.scopes = json::Draft(one["matchScopes"]).freeze();
    out.push_back(std::move(limited));
  }
  if (!errors.empty()) return refused("couldn't init", kName, text_of(errors));
  settings.limited_resources = std::move(out);
  return {};
}

struct Configured {
  std::string_view plugin;
  Result<void> (*read)(const Source&, AdmissionSettings&);
};
constexpr Configured kConfigured[] = {{"PodSecurity", &read_pod_security},
                                      {"ResourceQuota", &read_quota}};

std::string beside(const std::string& file, std::string_view path) {
  size_t slash = file.rfind('/');
  if (path.starts_with("/") || slash == std::string::npos) return std::string(path);
  return file.substr(0, slash + 1) + std::string(path);
}

// DEVIATION: upstream passes over what it does not know, and over what it has no use for; a rule
// that is not in force because its name is misspelt is found out too late.
Result<void> read_plugin(const std::string& file, json::Value plugin, AdmissionSettings& settings) {
  std::string_view name = plugin["name"].as_string();
  json::Value inline_config = plugin["configuration"];
  if (inline_config.is_null()) inline_config = {};
  std::string_view path = plugin["path"].as_string();
  const auto* found = std::ranges::find(kConfigured, name, &Configured::plugin);
  if (found == std::end(kConfigured)) {
    PluginKnown known = find_plugin(name);
    bool silent = path.empty() && !inline_config;
    if (known == PluginKnown::kBuilt && silent) return {};
    return Error::invalid("failed to apply admission: plugin {} {}", quote(name),
                          known == PluginKnown::kUnknown    ? "is unknown"
                          : known == PluginKnown::kNotBuilt ? "is not built"
                                                            : "takes no configuration");
  }
  if (inline_config) {
    return found->read({json::Draft(inline_config).freeze(), inline_config.dump(), {}}, settings);
  }
  if (path.empty()) return {};
  std::string there = beside(file, path);
  Result<std::string> text = os::read_file(there);
  if (!text.ok()) {
    return Error::invalid("Couldn't open admission plugin configuration {}: {}", there,
                          text.error().message());
  }
  Result<Source> source = parse(std::move(text).value());
  if (!source.ok()) return refused("couldn't init", name, source.error().message());
  return found->read(*source, settings);
}

Result<json::Document> read_file(const std::string& path) {
  Result<std::string> text = os::read_file(path);
  if (!text.ok()) {
    return Error::invalid("unable to read admission control configuration from {} [{}]",
                          quote(path), text.error().message());
  }
  return decode(TRY(parse(std::move(text).value())), kConfigForm);
}

}  // namespace

Result<void> read_admission_config(const std::string& path, AdmissionSettings& settings) {
  Result<json::Document> config = read_file(path);
  if (!config.ok()) {
    return std::move(config).error().with_prefix(
        "failed to apply admission: failed to read plugin config");
  }
  std::vector<std::string_view> seen;  // Of one that stands there twice the first counts.
  for (json::Value plugin : config->root()["plugins"].items()) {
    std::string_view name = plugin["name"].as_string();
    if (std::ranges::find(seen, name) != seen.end()) continue;
    seen.push_back(name);
    TRY(read_plugin(path, plugin, settings));
  }
  return {};
}

}  // namespace wherry::apiserver
