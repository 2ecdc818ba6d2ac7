// LimitRange, ResourceQuota and PodTemplate, core/v1. Rules from the Kubernetes API reference.

#include <algorithm>
#include <set>

#include "api/cells.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/quantity.h"
#include "api/quota.h"
#include "api/rows.h"
#include "api/schema_core_v1.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kLimitShortNames[] = {"limits"};
constexpr std::string_view kQuotaShortNames[] = {"quota"};
constexpr Subresource kQuotaSubresources[] = {status_of("ResourceQuota")};
constexpr Column kLimitColumns[] = {kNameColumn, kCreatedColumn};

// "requests.cpu: 1/4" for each resource, limits apart from the rest.
void quota_cell(json::Value quota, bool limits, json::Node cells) {
  std::vector<std::string> parts;
  for (auto [name, hard] : quota["status"]["hard"].members()) {
    if (name.starts_with("limits.") != limits) continue;
    json::Value used = quota["status"]["used"][name];
    parts.push_back(
        fmt::format("{}: {}/{}", name, Quantity::from(used).text(), Quantity::from(hard).text()));
  }
  std::sort(parts.begin(), parts.end());
  cells.push(join(parts, ", "));
}
void request_cell(json::Value quota, Time, json::Node cells) { quota_cell(quota, false, cells); }
void limit_cell(json::Value quota, Time, json::Node cells) { quota_cell(quota, true, cells); }

constexpr Column kQuotaColumns[] = {
    kNameColumn,
    {.name = "Request", .description = "Used, of what may be asked for.", .cell = &request_cell},
    {.name = "Limit", .description = "Used, of what may be the limit.", .cell = &limit_cell},
    kAgeColumn,
};

void template_names_cell(json::Value object, Time, json::Node cells) {
  cells.push(container_names(object["template"]["spec"]));
}
void template_pictures_cell(json::Value object, Time, json::Node cells) {
  cells.push(container_images(object["template"]["spec"]));
}
void template_labels_cell(json::Value object, Time, json::Node cells) {
  cells.push(labels_text(object["template"]["metadata"]["labels"]));
}
constexpr Column kTemplateColumns[] = {
    kNameColumn,
    {.name = "Containers",
     .description = "Containers of the template.",
     .cell = &template_names_cell},
    {.name = "Images", .description = "Images of the template.", .cell = &template_pictures_cell},
    {.name = "Pod Labels", .description = "Labels of the template.", .cell = &template_labels_cell},
};

// A limit is also the default limit, which is also the default request.
void limit_defaults(json::Node object) {
  for (json::Node item : object["spec"]["limits"].items()) {
    if (item["type"].as_string() != "Container") continue;
    json::Node defaults = item.ensure_object("default");
    for (const json::Node::Member& maximum : item["max"].members()) {
      if (!defaults[maximum.key]) defaults.set(maximum.key, maximum.value);
    }
    json::Node requests = item.ensure_object("defaultRequest");
    for (const json::Node::Member& limit : defaults.members()) {
      if (!requests[limit.key]) requests.set(limit.key, limit.value);
    }
    for (const json::Node::Member& minimum : item["min"].members()) {
      if (!requests[minimum.key]) requests.set(minimum.key, minimum.value);
    }
    if (defaults.empty()) item.remove("default");
    if (requests.empty()) item.remove("defaultRequest");
  }
}

// As upstream's messages name the bounds.
// What is wrong between two bounds: `field` and `shown` are where and with which amount upstream
// tells it.
struct BoundsRule {
  const char* low;
  const char* high;
  const char* field;
  const char* shown;
  const char* text;
};
constexpr BoundsRule kBoundsRules[] = {
    {"min", "max", "min", "min", "min value {} is greater than max value {}"},
    {"min", "defaultRequest", "defaultRequest", "defaultRequest",
     "min value {} is greater than default request value {}"},
    {"defaultRequest", "max", "defaultRequest", "defaultRequest",
     "default request value {} is greater than max value {}"},
    {"defaultRequest", "default", "defaultRequest", "defaultRequest",
     "default request value {} is greater than default limit value {}"},
    {"min", "default", "default", "min", "min value {} is greater than default value {}"},
    {"default", "max", "default", "max", "default value {} is greater than max value {}"},
};

void validate_limit_item(json::Value item, const Path& path, FieldErrors& errors) {
  for (const BoundsRule& rule : kBoundsRules) {
    for (auto [name, amount] : item[rule.low].members()) {
      json::Value upper = item[rule.high][name];
      if (!upper) continue;
      Quantity small = Quantity::from(amount);
      Quantity large = Quantity::from(upper);
      if (small <= large) continue;
      errors.invalid(path.child(rule.field).key(name),
                     Quantity::from(item[rule.shown][name]).text(),
                     fmt::format(fmt::runtime(rule.text), small.text(), large.text()));
    }
  }
  // What cannot be shared cannot be promised twice either.
  for (auto [name, amount] : item["defaultRequest"].members()) {
    json::Value limit = item["default"][name];
    bool shared = name.find('/') == std::string_view::npos && !name.starts_with("hugepages-");
    if (shared || !limit) continue;
    Quantity asked = Quantity::from(amount);
    Quantity most = Quantity::from(limit);
    if (asked == most) continue;
    errors.invalid(path.child("defaultRequest").key(name), asked.text(),
                   fmt::format("default value {} must equal to defaultRequest value {} in {}",
                               most.text(), asked.text(), name));
  }
}

// How far a limit may be above its request, within what the bounds allow at all.
void validate_ratios(json::Value item, const Path& path, FieldErrors& errors) {
  for (auto [name, amount] : item["maxLimitRequestRatio"].members()) {
    Quantity ratio = Quantity::from(amount);
    if (ratio < Quantity::of(1)) {
      errors.invalid(path.key(name), ratio.text(),
                     fmt::format("ratio {} is less than 1", ratio.text()));
    }
    json::Value low = item["min"][name];
    json::Value high = item["max"][name];
    if (!low || !high || Quantity::from(low).is_zero()) continue;
    double most = Quantity::from(high).as_double() / Quantity::from(low).as_double();
    if (ratio.as_double() > most) {
      errors.invalid(path.key(name), ratio.text(),
                     fmt::format("ratio {} is greater than max/min = {:.6f}", ratio.text(), most));
    }
  }
}

void validate_limit_names(json::Value item, const Path& path, FieldErrors& errors) {
  std::string_view type = item["type"].as_string();
  bool of_containers = type == "Container" || type == "Pod";
  for (const char* field : {"max", "min", "default", "defaultRequest", "maxLimitRequestRatio"}) {
    bool forbidden = type == "Pod" && std::string_view(field).starts_with("default");
    for (auto [name, amount] : item[field].members()) {
      if (forbidden) continue;
      if (of_containers) {
        validate_container_resource_name(name, path.child(field).key(name), errors);
      } else {
        validate_resource_name(name, path.child(field).key(name), errors);
      }
    }
  }
}

void validate_limit_type(std::string_view type, const Path& path, FieldErrors& errors) {
  Problems problems = qualified_name_problems(type);
  report(problems, path, type, errors);
  bool standard = type == "Container" || type == "Pod" || type == "PersistentVolumeClaim";
  if (problems.empty() && !standard && type.find('/') == std::string_view::npos) {
    errors.invalid(path, type, "must be a standard limit type or fully qualified");
  }
}

void validate_limits(json::Value object, FieldErrors& errors) {
  std::set<std::string_view> types;
  size_t at = 0;
  for (json::Value item : object["spec"]["limits"].items()) {
    Path path = Path("spec").child("limits").index(at++);
    std::string_view type = item["type"].as_string();
    validate_limit_type(type, path.child("type"), errors);
    if (!types.insert(type).second) errors.duplicate(path.child("type"), type);
    validate_limit_names(item, path, errors);
    for (const char* field : {"default", "defaultRequest"}) {
      if (type == "Pod" && !item[field].empty()) {
        errors.forbidden(path.child(field), "may not be specified when `type` is 'Pod'");
      }
    }
    if (type == "PersistentVolumeClaim" && !item["min"]["storage"] && !item["max"]["storage"]) {
      errors.required(path.child("limits"),
                      "either minimum or maximum storage value is required, but neither was "
                      "provided");
    }
    validate_limit_item(item, path, errors);
    validate_ratios(item, path.child("maxLimitRequestRatio"), errors);
  }
}

void validate_quota_name(std::string_view name, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kNames[] = {"cpu",
                                                "memory",
                                                "ephemeral-storage",
                                                "requests.cpu",
                                                "requests.memory",
                                                "requests.storage",
                                                "requests.ephemeral-storage",
                                                "limits.cpu",
                                                "limits.memory",
                                                "limits.ephemeral-storage",
                                                "pods",
                                                "resourcequotas",
                                                "services",
                                                "replicationcontrollers",
                                                "secrets",
                                                "persistentvolumeclaims",
                                                "configmaps",
                                                "services.nodeports",
                                                "services.loadbalancers"};
  Problems problems = qualified_name_problems(name);
  report(problems, path, name, errors);
  bool qualified = name.find('/') != std::string_view::npos;
  bool known = std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
  if (qualified || known || name.find("hugepages-") != std::string_view::npos) return;
  if (problems.empty())
    errors.invalid(path, name, "must be a standard resource type or fully qualified");
  errors.invalid(path, name, "must be a standard resource for quota");
}

void validate_hard(json::Value hard, const Path& path, FieldErrors& errors) {
  for (auto [name, amount] : hard.members()) {
    validate_quota_name(name, path.key(name), errors);
    validate_resource_amount(name, amount, path.key(name), errors);
  }
}

void validate_quota(json::Value object, FieldErrors& errors) {
  json::Value spec = object["spec"];
  validate_hard(spec["hard"], Path("spec").child("hard"), errors);
  validate_quota_scopes(spec, Path("spec"), errors);
}

void validate_quota_update(json::Value before, json::Value after, FieldErrors& errors) {
  validate_immutable(before["spec"]["scopes"], after["spec"]["scopes"],
                     Path("spec").child("scopes"), errors);
}

void validate_quota_status(json::Value, json::Value after, FieldErrors& errors) {
  Path status("status");
  validate_hard(after["status"]["hard"], status.child("hard"), errors);
  validate_hard(after["status"]["used"], status.child("used"), errors);
}

// A request above its limit can never be used up.
std::vector<std::string> quota_warnings(json::Value object) {
  std::vector<std::string> out;
  json::Value hard = object["spec"]["hard"];
  for (std::string_view name : {"cpu", "memory", "ephemeral-storage"}) {
    std::string limit = fmt::format("limits.{}", name);
    std::string request = fmt::format("requests.{}", name);
    if (!hard[request]) request = name;
    if (!hard[request] || !hard[limit]) continue;
    Quantity asked = Quantity::from(hard[request]);
    Quantity most = Quantity::from(hard[limit]);
    if (asked <= most) continue;
    out.push_back(fmt::format("ResourceQuota {} ({}) should be less than {} ({})", request,
                              asked.text(), limit, most.text()));
  }
  return out;
}

void template_defaults(json::Node object) { default_pod_spec(object["template"]["spec"]); }
void validate_template(json::Value object, FieldErrors& errors) {
  validate_pod_template(object["template"], Path("template"), errors);
}

}  // namespace

constinit const Resource kLimitRanges = {
    .group = "",
    .version = "v1",
    .kind = "LimitRange",
    .plural = "limitranges",
    .singular = "limitrange",
    .short_names = kLimitShortNames,
    .schema = &schema::core_v1::kLimitRange,
    .columns = kLimitColumns,
    .create_on_update = true,
    .apply_defaults = &limit_defaults,
    .validate = &validate_limits,
};

constinit const Resource kResourceQuotas = {
    .group = "",
    .version = "v1",
    .kind = "ResourceQuota",
    .plural = "resourcequotas",
    .singular = "resourcequota",
    .short_names = kQuotaShortNames,
    .schema = &schema::core_v1::kResourceQuota,
    .columns = kQuotaColumns,
    .subresources = kQuotaSubresources,
    .status_subresource = true,
    .delete_gives_object = true,
    .validate = &validate_quota,
    .validate_update = &validate_quota_update,
    .validate_status_update = &validate_quota_status,
    .warnings = &quota_warnings,
    .quota = &kQuotaByPlural,
};

constinit const Resource kPodTemplates = {
    .group = "",
    .version = "v1",
    .kind = "PodTemplate",
    .plural = "podtemplates",
    .singular = "podtemplate",
    .schema = &schema::core_v1::kPodTemplate,
    .columns = kTemplateColumns,
    .generation = true,
    .delete_gives_object = true,
    .apply_defaults = &template_defaults,
    .validate = &validate_template,
    .pod_template = "template",
};

}  // namespace wherry::api
