#include "api/batch_rules.h"

#include <algorithm>
#include <set>

#include "api/go_text.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/schema_batch_v1.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kModes[] = {"NonIndexed", "Indexed"};
constexpr std::string_view kActions[] = {"Count", "FailIndex", "FailJob", "Ignore"};
constexpr std::string_view kOperators[] = {"In", "NotIn"};
constexpr std::string_view kStates[] = {"False", "True", "Unknown"};
constexpr int64_t kParallelismMax = 100'000;   // Of indexed jobs.
constexpr int64_t kManyCompletions = 100'000;  // Beyond, failed indexes are bounded.
constexpr int64_t kManyParallelismMax = 10'000;
constexpr size_t kRulesMax = 20;
constexpr size_t kExitCodesMax = 255;
constexpr size_t kConditionsMax = 20;
constexpr size_t kManagerBytesMax = 63;

bool indexed(json::Value spec) { return spec["completionMode"].as_string() == "Indexed"; }

void validate_indexes(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value failed = spec["maxFailedIndexes"];
  json::Value per_index = spec["backoffLimitPerIndex"];
  int64_t completions = spec["completions"].as_int();
  int64_t parallelism = spec["parallelism"].as_int();
  if (!indexed(spec)) {
    if (failed && !per_index) {
      errors.required(path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    for (const char* field : {"backoffLimitPerIndex", "maxFailedIndexes"}) {
      if (spec[field]) {
        errors.invalid(path.child(field), spec[field].as_int(), "requires indexed completion mode");
      }
    }
    return;
  }
  if (!spec["completions"])
    errors.required(path.child("completions"), "when completion mode is Indexed");
  if (parallelism > kParallelismMax) {
    errors.invalid(path.child("parallelism"), parallelism,
                   fmt::format("must be less than or equal to {} when completion mode is Indexed",
                               kParallelismMax));
  }
  Path at = path.child("maxFailedIndexes");
  if (failed && !per_index)
    errors.required(path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
  if (failed && spec["completions"] && failed.as_int() > completions)
    errors.invalid(at, failed.as_int(), "must be less than or equal to completions");
  if (failed && failed.as_int() > kManyCompletions) {
    errors.invalid(at, failed.as_int(),
                   fmt::format("must be less than or equal to {}", kManyCompletions));
  }
  if (!per_index || completions <= kManyCompletions) return;
  if (!failed) {
    errors.required(
        at, fmt::format("must be specified when completions is above {}", kManyCompletions));
  }
  auto bounded = [&](int64_t number, const Path& where) {
    if (number <= kManyParallelismMax) return;
    errors.invalid(where, number,
                   fmt::format("must be less than or equal to {} when completions are above {} and "
                               "used with backoff limit per index",
                               kManyParallelismMax, kManyCompletions));
  };
  bounded(parallelism, path.child("parallelism"));
  bounded(failed.as_int(), at);
}

void validate_exit_codes(json::Value codes, json::Value pod, const Path& path,
                         FieldErrors& errors) {
  std::string_view op = codes["operator"].as_string();
  if (op.empty()) {
    errors.required(path.child("operator"), "");
  } else {
    check_enum(op, kOperators, path.child("operator"), errors);
  }
  if (json::Value name = codes["containerName"]) {
    bool known = false;
    for (const char* list : {"containers", "initContainers"}) {
      for (json::Value container : pod[list].items())
        known = known || container["name"].as_string() == name.as_string();
    }
    if (!known) {
      errors.invalid(path.child("containerName"), name.as_string(),
                     "must be one of the container or initContainer names in the pod template");
    }
  }
  json::Value values = codes["values"];
  Path at = path.child("values");
  if (values.empty()) {
    errors.invalid(at, values, "at least one value is required");
  } else if (values.size() > kExitCodesMax) {
    errors.too_many(at, values.size(), kExitCodesMax);
  }
  std::set<int64_t> seen;
  bool ordered = true;
  int64_t last = INT64_MIN;
  size_t index = 0;
  for (json::Value value : values.items()) {
    Path item = at.index(index++);
    int64_t code = value.as_int();
    if (!seen.insert(code).second)
      errors.duplicate(item, value);
    else if (op == "In" && code == 0)
      errors.invalid(item, code, "must not be 0 for the In operator");
    ordered = ordered && code >= last;
    last = code;
  }
  if (!ordered) errors.invalid(at, values, "must be ordered");
}

// A fault of the whole, without a value to show.
void refuse_rule(const Path& path, std::string_view why, FieldErrors& errors) {
  errors.copy({"FieldValueInvalid", "Invalid value: " + std::string(why), path.text()});
}

void validate_failure_rule(json::Value rule, json::Value spec, const Path& path,
                           FieldErrors& errors) {
  std::string_view action = rule["action"].as_string();
  if (action.empty()) {
    errors.required(path.child("action"),
                    "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]");
  } else if (action == "FailIndex" && !spec["backoffLimitPerIndex"]) {
    errors.invalid(path.child("action"), action, "requires the backoffLimitPerIndex to be set");
  } else {
    check_enum(action, kActions, path.child("action"), errors);
  }
  bool codes = static_cast<bool>(rule["onExitCodes"]);
  bool conditions = !rule["onPodConditions"].empty();
  if (codes) {
    validate_exit_codes(rule["onExitCodes"], spec["template"]["spec"], path.child("onExitCodes"),
                        errors);
  }
  Path at = path.child("onPodConditions");
  if (rule["onPodConditions"].size() > kConditionsMax)
    errors.too_many(at, rule["onPodConditions"].size(), kConditionsMax);
  size_t index = 0;
  for (json::Value condition : rule["onPodConditions"].items()) {
    Path item = at.index(index++);
    std::string_view type = condition["type"].as_string();
    report(qualified_name_problems(type), item.child("type"), type, errors);
    std::string_view status = condition["status"].as_string();
    if (status.empty()) {
      errors.required(item.child("status"), "");
    } else {
      check_enum(status, kStates, item.child("status"), errors);
    }
  }
  if (codes && conditions) {
    refuse_rule(path, "specifying both OnExitCodes and OnPodConditions is not supported", errors);
  } else if (!codes && !conditions) {
    refuse_rule(path, "specifying one of OnExitCodes and OnPodConditions is required", errors);
  }
}

void validate_failure_policy(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value policy = spec["podFailurePolicy"];
  Path rules = path.child("podFailurePolicy").child("rules");
  if (policy["rules"].size() > kRulesMax) {
    errors.too_many(rules, policy["rules"].size(), kRulesMax);
  }
  size_t at = 0;
  for (json::Value rule : policy["rules"].items())
    validate_failure_rule(rule, spec, rules.index(at++), errors);
}

void validate_success_rule(json::Value rule, int64_t completions, const Path& path,
                           FieldErrors& errors) {
  json::Value indexes = rule["succeededIndexes"];
  json::Value count = rule["succeededCount"];
  if (!indexes && !count) {
    errors.required(path, "at least one of succeededCount or succeededIndexes must be specified");
  }
  IndexCount named;
  if (indexes) {
    named = count_indexes(indexes.as_string(), completions);
    if (!named.problem.empty()) {
      errors.invalid(path.child("succeededIndexes"), indexes.as_string(),
                     "error parsing succeededIndexes: " + named.problem);
    }
  }
  if (!count) return;
  Path at = path.child("succeededCount");
  check_not_negative(count, at, errors);
  if (count.as_int() > completions) {
    errors.invalid(at, count.as_int(),
                   fmt::format("must be less than or equal to {} (the number of specified "
                               "completions)",
                               completions));
  }
  if (indexes && named.problem.empty() && count.as_int() > named.count) {
    errors.invalid(at, count.as_int(),
                   fmt::format("must be less than or equal to {} (the number of indexes in the "
                               "specified succeededIndexes field)",
                               named.count));
  }
}

void validate_success_policy(json::Value spec, const Path& path, FieldErrors& errors) {
  json::Value policy = spec["successPolicy"];
  Path at = path.child("successPolicy");
  if (!indexed(spec)) {
    json::Document shown = go_struct(schema::batch_v1::kSuccessPolicy, policy);
    errors.invalid(at, shown.root(), "requires indexed completion mode");
    return;
  }
  json::Value rules = policy["rules"];
  if (rules.empty()) {
    errors.required(at.child("rules"),
                    "at least one rules must be specified when the successPolicy is specified");
  }
  if (rules.size() > kRulesMax) errors.too_many(at.child("rules"), rules.size(), kRulesMax);
  size_t index = 0;
  for (json::Value rule : rules.items()) {
    validate_success_rule(rule, spec["completions"].as_int(), at.child("rules").index(index++),
                          errors);
  }
}

void validate_manager(json::Value manager, const Path& path, FieldErrors& errors) {
  if (!manager) return;
  std::string_view name = manager.as_string();
  if (name.empty()) {
    errors.required(path, "");
    return;
  }
  auto parts = split_once(name, "/");
  if (!parts || parts->first.empty() || parts->second.empty()) {
    errors.invalid(path, name, "must be a domain-prefixed path (such as \"acme.io/foo\")");
  } else {
    report(dns_subdomain_problems(parts->first), path, parts->first, errors);
    static constexpr std::string_view kOthers = "/-._~%!$&'()*+,;=:";
    bool sound = std::all_of(parts->second.begin(), parts->second.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             kOthers.find(c) != std::string_view::npos;
    });
    if (!sound) {
      errors.invalid(path, parts->second,
                     "Invalid path (regex used for validation is "
                     "'[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')");
    }
  }
  if (name.size() > kManagerBytesMax) errors.too_long(path, kManagerBytesMax);
}

void validate_replacement(json::Value spec, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kPolicies[] = {"Failed", "TerminatingOrFailed"};
  json::Value policy = spec["podReplacementPolicy"];
  if (!policy) return;
  std::span<const std::string_view> known = kPolicies;
  if (spec["podFailurePolicy"]) known = known.first(1);
  check_enum(policy.as_string(), known, path.child("podReplacementPolicy"), errors);
}

}  // namespace

IndexCount count_indexes(std::string_view text, int64_t completions) {
  IndexCount out;
  int64_t last = -1;
  auto read = [&](std::string_view number) -> int64_t {
    std::optional<int64_t> value = parse_int(number);
    if (!value) {
      out.problem = "cannot convert string to integer for index: " + quote(number);
    } else if (*value >= completions) {
      out.problem = "too large index: " + quote(number);
    } else if (*value <= last) {
      out.problem = fmt::format("non-increasing order, previous: {}, current: {}", last, *value);
    }
    return value.value_or(0);
  };
  for (std::string_view part : split(text, ',')) {
    auto range = split_once(part, "-");
    int64_t first = read(range ? range->first : part);
    if (!out.problem.empty()) return out;
    last = first;
    if (range) {
      last = read(range->second);
      if (!out.problem.empty()) return out;
    }
    out.count += last - first + 1;
    out.ranges.emplace_back(first, last);
  }
  return out;
}

void validate_job_spec(json::Value spec, const Path& path, FieldErrors& errors) {
  static constexpr const char* kCounts[] = {"parallelism",
                                            "completions",
                                            "activeDeadlineSeconds",
                                            "backoffLimit",
                                            "ttlSecondsAfterFinished",
                                            "backoffLimitPerIndex",
                                            "maxFailedIndexes"};
  static constexpr std::string_view kEnding[] = {"OnFailure", "Never"};
  validate_counts(spec, path, kCounts, errors);
  validate_manager(spec["managedBy"], path.child("managedBy"), errors);
  if (json::Value mode = spec["completionMode"])
    check_enum(mode.as_string(), kModes, path.child("completionMode"), errors);
  validate_indexes(spec, path, errors);
  if (spec["podFailurePolicy"]) validate_failure_policy(spec, path, errors);
  if (spec["successPolicy"]) validate_success_policy(spec, path, errors);
  validate_replacement(spec, path, errors);
  validate_pod_template(spec["template"], path.child("template"), errors);
  std::string_view restart = spec["template"]["spec"]["restartPolicy"].as_string();
  Path at = path.child("template").child("spec").child("restartPolicy");
  if (restart.empty() || restart == "Always") {
    errors.required(at, "valid values: \"OnFailure\", \"Never\"");
  } else if (restart != "Never" && restart != "OnFailure") {
    errors.not_supported(at, restart, kEnding);
  } else if (spec["podFailurePolicy"] && restart != "Never") {
    errors.invalid(at, restart, "only \"Never\" is supported when podFailurePolicy is specified");
  }
}

}  // namespace wherry::api
