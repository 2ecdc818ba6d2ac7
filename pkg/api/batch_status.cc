// How a Job may change: its spec, and the status that a controller writes. Rules from the
// Kubernetes API reference, JobSpec and JobStatus.

#include <algorithm>
#include <set>

#include "api/batch_rules.h"
#include "api/go_pod.h"
#include "api/go_text.h"
#include "api/pod_rules.h"
#include "api/schema_batch_v1.h"
#include "api/schema_core_v1.h"
#include "api/workload_rules.h"
#include "base/clock.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

bool is_true(json::Value status, std::string_view type) {
  for (json::Value condition : status["conditions"].items()) {
    if (condition["type"].as_string() == type) return condition["status"].as_string() == "True";
  }
  return false;
}

bool is_finished(json::Value status) {
  return is_true(status, "Complete") || is_true(status, "Failed");
}

// A fault of the whole, without a value to show.
void refuse(const Path& path, std::string_view why, FieldErrors& errors) {
  errors.copy({"FieldValueInvalid", "Invalid value: " + std::string(why), path.text()});
}

void validate_uncounted(json::Value uncounted, const Path& path, FieldErrors& errors) {
  std::set<std::string_view> seen;
  for (const char* list : {"succeeded", "failed"}) {
    size_t at = 0;
    for (json::Value uid : uncounted[list].items()) {
      Path item = path.child(list).index(at++);
      if (uid.as_string().empty()) {
        errors.invalid(item, "", "must not be empty");
      } else if (!seen.insert(uid.as_string()).second) {
        errors.duplicate(item, uid.as_string());
      }
    }
  }
}

// Two conditions that exclude each other.
void validate_apart(json::Value status, const char* one, const char* other, const Path& path,
                    FieldErrors& errors) {
  if (is_true(status, one) && is_true(status, other))
    refuse(path.child("conditions"),
           fmt::format("cannot set {}=True and {}=true conditions", one, other), errors);
}

// A condition that another one has to come before.
void validate_after(json::Value status, const char* condition, const char* first, const Path& path,
                    FieldErrors& errors) {
  if (is_true(status, condition) && !is_true(status, first))
    refuse(
        path.child("conditions"),
        fmt::format("cannot set {}=True condition without the {}=true condition", condition, first),
        errors);
}

void validate_finished(json::Value status, const Path& path, FieldErrors& errors) {
  if (!is_finished(status)) return;
  for (const char* count : {"active", "terminating"}) {
    int64_t number = status[count].as_int();
    if (number > 0)
      errors.invalid(path.child(count), number,
                     fmt::format("{}>0 is invalid for finished job", count));
  }
  json::Value uncounted = status["uncountedTerminatedPods"];
  if (!uncounted["succeeded"].empty() || !uncounted["failed"].empty()) {
    json::Document shown = go_struct(schema::batch_v1::kUncountedTerminatedPods, uncounted);
    errors.invalid(path.child("uncountedTerminatedPods"), shown.root(),
                   "must be empty for finished job");
  }
}

void validate_completion(json::Value status, const Path& path, FieldErrors& errors) {
  json::Value completed = status["completionTime"];
  Path at = path.child("completionTime");
  bool complete = is_true(status, "Complete");
  if (complete && !completed) {
    errors.required(at, "completionTime is required for Complete jobs");
  } else if (!complete && completed) {
    errors.invalid(at, completed,
                   "cannot set completionTime when there is no Complete=True condition");
  }
}

void validate_indexes(json::Value spec, json::Value status, const Path& path, FieldErrors& errors) {
  std::string_view completed = status["completedIndexes"].as_string();
  json::Value failed = status["failedIndexes"];
  bool indexed = spec["completionMode"].as_string() == "Indexed";
  IndexCount done, lost;
  if (!completed.empty()) {
    Path at = path.child("completedIndexes");
    if (indexed) done = count_indexes(completed, spec["completions"].as_int());
    if (!indexed) {
      errors.invalid(at, completed,
                     "cannot set non-empty completedIndexes when non-indexed completion mode");
    } else if (!done.problem.empty()) {
      errors.invalid(at, completed, "error parsing completedIndexes: " + done.problem);
    }
  }
  if (!failed) return;
  Path at = path.child("failedIndexes");
  if (!spec["backoffLimitPerIndex"]) {
    errors.invalid(at, failed.as_string(),
                   "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
    return;
  }
  if (failed.as_string().empty()) return;
  lost = count_indexes(failed.as_string(), spec["completions"].as_int());
  if (!lost.problem.empty()) {
    errors.invalid(at, failed.as_string(), "error parsing failedIndexes: " + lost.problem);
    return;
  }
  for (auto [first, last] : lost.ranges) {
    for (auto [from, to] : done.ranges) {
      if (first > to || from > last) continue;
      errors.invalid(at, failed.as_string(),
                     fmt::format("failedIndexes and completedIndexes overlap at index: {}",
                                 std::max(first, from)));
      return;
    }
  }
}

void validate_times(json::Value before, json::Value after, const Path& path, FieldErrors& errors) {
  json::Value started = after["status"]["startTime"];
  json::Value completed = after["status"]["completionTime"];
  std::optional<Time> start = parse_time(started.as_string());
  std::optional<Time> end = parse_time(completed.as_string());
  if (start && end && *end < *start) {
    errors.invalid(path.child("completionTime"), completed,
                   "must be equal to or after `startTime`");
  }
  if (is_finished(after["status"]) && !started)
    errors.required(path.child("startTime"), "startTime is required for finished job");
  json::Value old = before["status"]["startTime"];
  if (old && !after["spec"]["suspend"].as_bool() && !json::equal(old, started)) {
    errors.invalid(path.child("startTime"), started,
                   "field is immutable for unsuspended job once set");
  }
}

void validate_counters(json::Value before, json::Value after, const Path& path,
                       FieldErrors& errors) {
  for (const char* count : {"failed", "succeeded"}) {
    int64_t now = after[count].as_int();
    if (now < before[count].as_int())
      errors.invalid(path.child(count), now, fmt::format("cannot decrease the {} counter", count));
  }
}

// The template without what may still be changed before a Job first runs: where its pods go, and
// what they use.
json::Document without_directives(json::Value pod_template) {
  json::Draft draft(pod_template);
  json::Node spec = draft.root()["spec"];
  for (const char* field : {"nodeSelector", "tolerations", "affinity", "schedulingGates"})
    spec.remove(field);
  for (const char* list : {"containers", "initContainers"}) {
    for (json::Node container : spec[list].items()) container.remove("resources");
  }
  for (const char* field : {"labels", "annotations"}) draft.root()["metadata"].remove(field);
  return draft.freeze();
}

void validate_template_update(json::Value before, json::Value after, FieldErrors& errors) {
  Path path = Path("spec").child("template");
  json::Value old = before["spec"]["template"];
  json::Value now = after["spec"]["template"];
  // A suspended job that never started may still change where and how its pods run.
  if (!before["spec"]["suspend"].as_bool() || before["status"]["startTime"]) {
    json::Document shown = go_pod_template(now);
    if (!json::equal(old, now)) errors.invalid(path, shown.root(), "field is immutable");
  } else if (json::Document kept = without_directives(old), left = without_directives(now);
             !json::equal(kept.root()["spec"], left.root()["spec"])) {
    json::Document shown = go_pod_spec(now["spec"]);
    errors.invalid(path.child("spec"), shown.root(), "field is immutable");
  }
}

}  // namespace

void validate_job_update(json::Value before, json::Value after, FieldErrors& errors) {
  Path path("spec");
  json::Value old = before["spec"];
  json::Value now = after["spec"];
  auto fixed = [&](const char* field, json::Value shown) {
    if (!json::equal(old[field], now[field]))
      errors.invalid(path.child(field), shown, "field is immutable");
  };
  auto structure = [&](const char* field, const Struct& type) {
    json::Document shown = go_struct(type, now[field]);
    fixed(field, now[field] ? shown.root() : now[field]);
  };
  bool indexed = now["completionMode"].as_string() == "Indexed";
  if (!indexed) fixed("completions", now["completions"]);
  fixed("selector", now["selector"]);
  validate_template_update(before, after, errors);
  fixed("completionMode", now["completionMode"]);
  structure("podFailurePolicy", schema::batch_v1::kPodFailurePolicy);
  fixed("backoffLimitPerIndex", now["backoffLimitPerIndex"]);
  fixed("managedBy", now["managedBy"]);
  structure("successPolicy", schema::batch_v1::kSuccessPolicy);
}

void validate_job_status(json::Value before, json::Value after, FieldErrors& errors) {
  static constexpr const char* kCounts[] = {"active", "succeeded", "failed", "ready",
                                            "terminating"};
  Path path("status");
  json::Value status = after["status"];
  validate_counts(status, path, kCounts, errors);
  validate_uncounted(status["uncountedTerminatedPods"], path.child("uncountedTerminatedPods"),
                     errors);
  validate_apart(status, "Complete", "Failed", path, errors);
  validate_apart(status, "Complete", "FailureTarget", path, errors);
  validate_completion(status, path, errors);
  validate_finished(status, path, errors);
  validate_apart(status, "SuccessCriteriaMet", "FailureTarget", path, errors);
  validate_after(status, "Failed", "FailureTarget", path, errors);
  validate_after(status, "Complete", "SuccessCriteriaMet", path, errors);
  validate_indexes(after["spec"], status, path, errors);
  validate_times(before, after, path, errors);
  if (status["ready"].as_int() > status["active"].as_int()) {
    errors.invalid(path.child("ready"), status["ready"].as_int(),
                   "cannot set more ready pods than active");
  }
  validate_counters(before["status"], status, path, errors);
}

}  // namespace wherry::api
