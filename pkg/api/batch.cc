// Job and CronJob, batch/v1. Rules from the Kubernetes API reference.

#include "api/batch_rules.h"
#include "api/cells.h"
#include "api/cron.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/rows.h"
#include "api/schema_batch_v1.h"
#include "api/selector.h"
#include "api/table.h"
#include "api/workload_rules.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kCronShortNames[] = {"cj"};
constexpr std::string_view kOrphanWarning =
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background "
    "to "
    "remove them or set propagationPolicy=Orphan to suppress this warning";
constexpr Subresource kJobSubresources[] = {status_of("Job")};
constexpr Subresource kCronSubresources[] = {status_of("CronJob")};

std::string successful(json::Value job) {
  return std::to_string(count_at(job, "status", "succeeded"));
}
constexpr SelectableField kJobFields[] = {{.path = "status.successful", .value = &successful}};

bool has_condition(json::Value job, std::string_view type) {
  for (json::Value condition : job["status"]["conditions"].items()) {
    if (condition["type"].as_string() == type && condition["status"].as_string() == "True")
      return true;
  }
  return false;
}

void job_status_cell(json::Value job, Time, json::Node cells) {
  for (const char* type : {"Complete", "Failed"}) {
    if (has_condition(job, type)) {
      cells.push(type);
      return;
    }
  }
  if (job["metadata"]["deletionTimestamp"]) {
    cells.push("Terminating");
  } else if (has_condition(job, "Suspended")) {
    cells.push("Suspended");
  } else if (has_condition(job, "FailureTarget")) {
    cells.push("FailureTarget");
  } else if (has_condition(job, "SuccessCriteriaMet")) {
    cells.push("SuccessCriteriaMet");
  } else {
    cells.push("Running");
  }
}

void completions_cell(json::Value job, Time, json::Node cells) {
  int64_t done = count_at(job, "status", "succeeded");
  json::Value wanted = job["spec"]["completions"];
  int64_t parallel = job["spec"]["parallelism"].as_int();
  if (wanted) {
    cells.push(fmt::format("{}/{}", done, wanted.as_int()));
  } else if (parallel > 1) {
    cells.push(fmt::format("{}/1 of {}", done, parallel));
  } else {
    cells.push(fmt::format("{}/1", done));
  }
}

void duration_cell(json::Value job, Time now, json::Node cells) {
  std::optional<Time> start = parse_time(job["status"]["startTime"].as_string());
  std::optional<Time> end = parse_time(job["status"]["completionTime"].as_string());
  cells.push(start ? human_duration(end.value_or(now) - *start) : std::string());
}

constexpr Column kContainers = {.name = "Containers",
                                .description = "Containers of the template.",
                                .priority = 1,
                                .cell = &template_containers_cell};
constexpr Column kImages = {.name = "Images",
                            .description = "Images of the template.",
                            .priority = 1,
                            .cell = &template_images_cell};
constexpr Column kSelector = {.name = "Selector",
                              .description = "Which pods it manages.",
                              .priority = 1,
                              .cell = &selector_cell};
constexpr Column kJobColumns[] = {
    kNameColumn,
    {.name = "Status",
     .description = "Whether it runs, is done or failed.",
     .cell = &job_status_cell},
    {.name = "Completions",
     .description = "Pods that succeeded, of those wanted.",
     .cell = &completions_cell},
    {.name = "Duration", .description = "How long it has taken.", .cell = &duration_cell},
    kAgeColumn,
    kContainers,
    kImages,
    kSelector,
};

void schedule_cell(json::Value job, Time, json::Node cells) {
  cells.push(job["spec"]["schedule"].as_string());
}
void zone_cell(json::Value job, Time, json::Node cells) {
  cells.push(text_or(job["spec"]["timeZone"], "<none>"));
}
void suspend_cell(json::Value job, Time, json::Node cells) {
  cells.push(std::string_view(job["spec"]["suspend"].as_bool() ? "True" : "False"));
}
void active_cell(json::Value job, Time, json::Node cells) {
  cells.push(static_cast<int64_t>(job["status"]["active"].size()));
}
void last_cell(json::Value job, Time now, json::Node cells) {
  json::Value last = job["status"]["lastScheduleTime"];
  cells.push(last ? ago(last, now) : std::string("<none>"));
}
json::Value job_template(json::Value job) { return job["spec"]["jobTemplate"]["spec"]; }
void cron_containers_cell(json::Value job, Time, json::Node cells) {
  cells.push(container_names(job_template(job)["template"]["spec"]));
}
void cron_images_cell(json::Value job, Time, json::Node cells) {
  cells.push(container_images(job_template(job)["template"]["spec"]));
}
void cron_selector_cell(json::Value job, Time, json::Node cells) {
  cells.push(label_selector_text(job_template(job)["selector"]));
}

constexpr Column kCronColumns[] = {
    kNameColumn,
    {.name = "Schedule", .description = "When it runs, as cron writes it.", .cell = &schedule_cell},
    {.name = "Timezone", .description = "Time zone of the schedule.", .cell = &zone_cell},
    {.name = "Suspend",
     .type = "boolean",
     .description = "Whether it rests.",
     .cell = &suspend_cell},
    {.name = "Active",
     .type = "integer",
     .description = "Jobs that run now.",
     .cell = &active_cell},
    {.name = "Last Schedule", .description = "When it last started a job.", .cell = &last_cell},
    kAgeColumn,
    {.name = "Containers",
     .description = "Containers of the template.",
     .priority = 1,
     .cell = &cron_containers_cell},
    {.name = "Images",
     .description = "Images of the template.",
     .priority = 1,
     .cell = &cron_images_cell},
    {.name = "Selector",
     .description = "Which pods its jobs manage.",
     .priority = 1,
     .cell = &cron_selector_cell},
};

void default_job_spec(json::Node spec) {
  if (!spec["completions"] && !spec["parallelism"]) {
    spec.set("completions", 1);
    spec.set("parallelism", 1);
  }
  if (!spec["parallelism"]) spec.set("parallelism", 1);
  if (!spec["backoffLimit"]) {
    bool per_index = static_cast<bool>(spec["backoffLimitPerIndex"]);
    spec.set("backoffLimit", per_index ? int64_t{INT32_MAX} : int64_t{6});
  }
  if (!spec["completionMode"]) spec.set("completionMode", "NonIndexed");
  if (!spec["suspend"]) spec.set("suspend", false);
  if (!spec["podReplacementPolicy"]) {
    spec.set("podReplacementPolicy", spec["podFailurePolicy"] ? "Failed" : "TerminatingOrFailed");
  }
  if (!spec["manualSelector"]) spec.set("manualSelector", false);
  default_pod_spec(spec["template"]["spec"]);
}

void job_defaults(json::Node job) { default_job_spec(job.ensure_object("spec")); }

// A job without labels of its own takes those of its pods.
void take_labels(json::Node job, bool unlabelled) {
  json::Node labels = job["spec"]["template"]["metadata"]["labels"];
  if (unlabelled && !labels.empty()) job["metadata"].set("labels", labels);
}

// A job's own pods are told from others by its UID, unless the user picked them.
void job_prepare_create(json::Node job, Time) {
  json::Node spec = job["spec"];
  std::string uid(job["metadata"]["uid"].as_string());
  std::string name(job["metadata"]["name"].as_string());
  json::Node labels =
      spec.ensure_object("template").ensure_object("metadata").ensure_object("labels");
  const bool unlabelled = job["metadata"]["labels"].empty();
  if (!spec["manualSelector"].as_bool() && !uid.empty()) {
    // What the user has set stays, to be refused.
    auto fill = [](json::Node map, const std::string& key, const std::string& value) {
      if (!map[key]) map.set(key, value);
    };
    for (const char* prefix : {"", "batch.kubernetes.io/"}) {
      fill(labels, std::string(prefix) + "controller-uid", uid);
      fill(labels, std::string(prefix) + "job-name", name);
    }
    fill(spec.ensure_object("selector").ensure_object("matchLabels"),
         "batch.kubernetes.io/controller-uid", uid);
  }
  take_labels(job, unlabelled);
}

void job_prepare_update(json::Value, json::Node job, Time) {
  take_labels(job, job["metadata"]["labels"].empty());
}

bool is_sound(json::Value selector) {
  FieldErrors unsound;
  validate_label_selector(selector, Path(), unsound);
  return unsound.empty() && Selector::from_label_selector(selector).ok();
}

// The selector and labels that tell a job's pods from others are made by the server, unless the
// user picks them.
void validate_generated(json::Value job, FieldErrors& errors) {
  json::Value spec = job["spec"];
  Path path("spec");
  if (spec["manualSelector"].as_bool() || !spec["selector"]) return;
  std::string_view uid = job["metadata"]["uid"].as_string();
  json::Value labels = spec["template"]["metadata"]["labels"];
  Path at = path.child("template").child("metadata").child("labels");
  for (const auto& [key, want] : {std::pair{"controller-uid", uid},
                                  std::pair{"job-name", job["metadata"]["name"].as_string()}}) {
    std::string full = std::string("batch.kubernetes.io/") + key;
    json::Value have = labels[full];
    if (!have) {
      errors.required(at.key(full), fmt::format("must be '{}'", want));
    } else if (have.as_string() != want) {
      errors.invalid(at.key(full), labels, fmt::format("must be '{}'", want));
    }
  }
  json::Value selector = spec["selector"];
  bool made = selector["matchLabels"].size() == 1 && selector["matchExpressions"].empty();
  if (!made && is_sound(selector))
    errors.invalid(path.child("selector"), selector, "`selector` not auto-generated");
}

// Jobs of a schedule have to be told apart: none picks its pods by hand.
void validate_cron_selector(json::Value spec, const Path& path, FieldErrors& errors) {
  static constexpr std::string_view kFalse[] = {"nil", "false"};
  if (spec["selector"])
    errors.invalid(path.child("selector"), spec["selector"], "`selector` will be auto-generated");
  if (spec["manualSelector"].as_bool())
    errors.not_supported(path.child("manualSelector"), spec["manualSelector"], kFalse);
}

// A job's spec, with how it picks its pods.
void validate_selecting_spec(json::Value spec, FieldErrors& errors) {
  Path path("spec");
  json::Value selector = spec["selector"];
  validate_job_spec(spec, path, errors);
  if (!selector) {
    errors.required(path.child("selector"), "");
  } else {
    validate_label_selector(selector, path.child("selector"), errors);
  }
  json::Value labels = spec["template"]["metadata"]["labels"];
  Result<Selector> parsed = Selector::from_label_selector(selector);
  bool matches = selector && parsed.ok() && parsed->matches_labels(labels);
  if (!matches && (!selector || is_sound(selector))) {
    errors.invalid(path.child("template").child("metadata").child("labels"), labels,
                   "`selector` does not match template `labels`");
  }
}

void validate_job(json::Value job, FieldErrors& errors) {
  json::Value spec = job["spec"];
  validate_generated(job, errors);
  validate_selecting_spec(spec, errors);
  // Each pod of an indexed job is named after its index.
  if (spec["completionMode"].as_string() == "Indexed" && spec["completions"].as_int() > 0) {
    std::string_view name = job["metadata"]["name"].as_string();
    std::string last = fmt::format("{}-{}", name, spec["completions"].as_int() - 1);
    if (!is_dns_label(last)) {
      errors.invalid(Path("metadata").child("name"), name,
                     "will not able to create pod with invalid DNS label: " + last);
    }
  }
}

std::vector<std::string> job_warnings(json::Value job) {
  constexpr int64_t kManyCompletions = 100'000;
  constexpr int64_t kManyAtOnce = 10'000;
  std::vector<std::string> out = hostname_warnings(job["metadata"], kPodNames);
  json::Value spec = job["spec"];
  if (spec["completionMode"].as_string() == "Indexed" &&
      spec["completions"].as_int() > kManyCompletions &&
      spec["parallelism"].as_int() > kManyAtOnce) {
    out.emplace_back(
        "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism "
        "higher than 10^4, Kubernetes might not be able to track completedIndexes when a big "
        "number of indexes fail");
  }
  for (std::string& text : workload_warnings(job)) out.push_back(std::move(text));
  return out;
}

void update_job(json::Value before, json::Value after, FieldErrors& errors) {
  // A Job's own rules are gone over once more, as upstream does.
  validate_selecting_spec(after["spec"], errors);
  validate_job_update(before, after, errors);
}

void cron_defaults(json::Node job) {
  json::Node spec = job.ensure_object("spec");
  if (spec["concurrencyPolicy"].as_string().empty()) spec.set("concurrencyPolicy", "Allow");
  if (!spec["suspend"]) spec.set("suspend", false);
  if (!spec["successfulJobsHistoryLimit"]) spec.set("successfulJobsHistoryLimit", 3);
  if (!spec["failedJobsHistoryLimit"]) spec.set("failedJobsHistoryLimit", 1);
  default_pod_spec(spec["jobTemplate"]["spec"]["template"]["spec"]);
}

std::vector<std::string> cron_warnings(json::Value job) {
  Path path = Path("spec").child("jobTemplate").child("spec").child("template");
  return template_warnings(job_template(job)["template"], path);
}

void validate_cron(json::Value job, FieldErrors& errors) {
  static constexpr std::string_view kPolicies[] = {"Allow", "Forbid", "Replace"};
  static constexpr const char* kLimits[] = {"startingDeadlineSeconds", "successfulJobsHistoryLimit",
                                            "failedJobsHistoryLimit"};
  json::Value spec = job["spec"];
  Path path("spec");
  std::string_view schedule = spec["schedule"].as_string();
  if (schedule.empty()) {
    errors.required(path.child("schedule"), "");
  } else {
    report(schedule_problems(schedule), path.child("schedule"), schedule, errors);
  }
  validate_counts(spec, path, kLimits, errors);
  std::string_view policy = spec["concurrencyPolicy"].as_string();
  if (policy.empty()) {
    errors.required(path.child("concurrencyPolicy"), "");
  } else {
    check_enum(policy, kPolicies, path.child("concurrencyPolicy"), errors);
  }
  if (json::Value zone = spec["timeZone"])
    report(time_zone_problems(zone.as_string()), path.child("timeZone"), zone.as_string(), errors);
  Path inner = path.child("jobTemplate").child("spec");
  validate_cron_selector(job_template(job), inner, errors);
  validate_job_spec(job_template(job), inner, errors);
  constexpr size_t kNameBytesMax = 52;  // What a job's suffix leaves.
  std::string_view name = job["metadata"]["name"].as_string();
  if (name.size() > kNameBytesMax) {
    errors.invalid(Path("metadata").child("name"), name, "must be no more than 52 characters");
  }
}

}  // namespace

constinit const Resource kJobs = {
    .group = "batch",
    .version = "v1",
    .kind = "Job",
    .plural = "jobs",
    .singular = "job",
    .categories = kAllCategory,
    .schema = &schema::batch_v1::kJob,
    .columns = kJobColumns,
    .subresources = kJobSubresources,
    .selectable_fields = kJobFields,
    .status_subresource = true,
    .generation = true,
    .orphans = true,
    .delete_warning = kOrphanWarning,
    .labels_of_template = true,
    .meta_checks = MetaChecks::kChangeAndWhole,
    .apply_defaults = &job_defaults,
    .prepare_create = &job_prepare_create,
    .prepare_update = &job_prepare_update,
    .validate = &validate_job,
    .validate_update = &update_job,
    .validate_status_update = &validate_job_status,
    .warnings = &job_warnings,
    .pod_template = "spec.template",
};

constinit const Resource kCronJobs = {
    .group = "batch",
    .version = "v1",
    .kind = "CronJob",
    .plural = "cronjobs",
    .singular = "cronjob",
    .short_names = kCronShortNames,
    .categories = kAllCategory,
    .schema = &schema::batch_v1::kCronJob,
    .columns = kCronColumns,
    .subresources = kCronSubresources,
    .status_subresource = true,
    .generation = true,
    .apply_defaults = &cron_defaults,
    .validate = &validate_cron,
    .warnings = &cron_warnings,
    .pod_template = "spec.jobTemplate.spec.template",
};

}  // namespace wherry::api
