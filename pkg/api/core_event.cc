// Event, core/v1 and events.k8s.io/v1: one store, two forms. Rules from the Kubernetes API
// reference.

#include "api/cells.h"
#include "api/go_text.h"
#include "api/names.h"
#include "api/rows.h"
#include "api/schema_core_v1.h"
#include "api/schema_events_v1.h"
#include "api/table.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kShortNames[] = {"ev"};

std::string source_component(json::Value event) {
  std::string_view component = event["source"]["component"].as_string();
  return std::string(component.empty() ? event["reportingComponent"].as_string() : component);
}
constexpr SelectableField kFields[] = {
    {.path = "involvedObject.kind"},
    {.path = "involvedObject.namespace"},
    {.path = "involvedObject.name"},
    {.path = "involvedObject.uid"},
    {.path = "involvedObject.apiVersion"},
    {.path = "involvedObject.resourceVersion"},
    {.path = "involvedObject.fieldPath"},
    {.path = "reason"},
    {.path = "reportingComponent"},
    {.path = "source", .value = &source_component},
    {.path = "type"},
};

// The same fields under their newer names; the stored form is what they are read from.
std::string regarding(json::Value event, std::string_view field) {
  return std::string(event["involvedObject"][field].as_string());
}
std::string regarding_kind(json::Value event) { return regarding(event, "kind"); }
std::string regarding_namespace(json::Value event) { return regarding(event, "namespace"); }
std::string regarding_name(json::Value event) { return regarding(event, "name"); }
std::string regarding_uid(json::Value event) { return regarding(event, "uid"); }
std::string regarding_version(json::Value event) { return regarding(event, "apiVersion"); }
std::string regarding_revision(json::Value event) { return regarding(event, "resourceVersion"); }
std::string regarding_path(json::Value event) { return regarding(event, "fieldPath"); }
std::string controller_of(json::Value event) {
  return std::string(event["reportingComponent"].as_string());
}
constexpr SelectableField kNewFields[] = {
    {.path = "regarding.kind", .value = &regarding_kind},
    {.path = "regarding.namespace", .value = &regarding_namespace},
    {.path = "regarding.name", .value = &regarding_name},
    {.path = "regarding.uid", .value = &regarding_uid},
    {.path = "regarding.apiVersion", .value = &regarding_version},
    {.path = "regarding.resourceVersion", .value = &regarding_revision},
    {.path = "regarding.fieldPath", .value = &regarding_path},
    {.path = "reason"},
    {.path = "reportingController", .value = &controller_of},
    {.path = "type"},
};

// ---- Cells, on the stored (core/v1) form

std::string first_seen(json::Value event, Time now) {
  json::Value first = event["firstTimestamp"];
  return ago(first.as_string().empty() ? event["eventTime"] : first, now);
}

std::string last_seen(json::Value event, Time now) {
  if (json::Value series = event["series"]) return ago(series["lastObservedTime"], now);
  json::Value last = event["lastTimestamp"];
  return last.as_string().empty() ? first_seen(event, now) : ago(last, now);
}

void last_seen_cell(json::Value event, Time now, json::Node cells) {
  cells.push(last_seen(event, now));
}
void first_seen_cell(json::Value event, Time now, json::Node cells) {
  cells.push(first_seen(event, now));
}
void type_cell(json::Value event, Time, json::Node cells) { cells.push(event["type"].as_string()); }
void reason_cell(json::Value event, Time, json::Node cells) {
  cells.push(event["reason"].as_string());
}

void object_cell(json::Value event, Time, json::Node cells) {
  json::Value about = event["involvedObject"];
  std::string text = to_lower(about["kind"].as_string());
  if (std::string_view name = about["name"].as_string(); !name.empty())
    text += "/" + std::string(name);
  cells.push(text);
}
void subobject_cell(json::Value event, Time, json::Node cells) {
  cells.push(event["involvedObject"]["fieldPath"].as_string());
}

void source_cell(json::Value event, Time, json::Node cells) {
  std::string text = text_or(event["source"]["component"], event["reportingComponent"].as_string());
  std::string host = text_or(event["source"]["host"], event["reportingInstance"].as_string());
  if (!host.empty()) text += ", " + host;
  cells.push(text);
}
void message_cell(json::Value event, Time, json::Node cells) {
  cells.push(trim(event["message"].as_string()));
}

void count_cell(json::Value event, Time, json::Node cells) {
  int64_t count = event["series"] ? event["series"]["count"].as_int() : event["count"].as_int();
  cells.push(count == 0 && !event["series"] ? int64_t{1} : count);
}

constexpr Column kColumns[] = {
    {.name = "Last Seen", .description = "When it last happened.", .cell = &last_seen_cell},
    {.name = "Type", .description = "Normal or Warning.", .cell = &type_cell},
    {.name = "Reason", .description = "Why, in a word.", .cell = &reason_cell},
    {.name = "Object", .description = "What it is about.", .cell = &object_cell},
    {.name = "Subobject",
     .description = "Which part of the object.",
     .priority = 1,
     .cell = &subobject_cell},
    {.name = "Source", .description = "Who reports it.", .priority = 1, .cell = &source_cell},
    {.name = "Message", .description = "What happened.", .cell = &message_cell},
    {.name = "First Seen",
     .description = "When it first happened.",
     .priority = 1,
     .cell = &first_seen_cell},
    {.name = "Count", .description = "How often it happened.", .priority = 1, .cell = &count_cell},
    {.name = "Name",
     .format = "name",
     .description = "Name of the event.",
     .priority = 1,
     .cell = &name_cell},
};

// ---- The two forms

struct Renamed {
  const char* stored;
  const char* served;
};
constexpr Renamed kRenamed[] = {
    {"involvedObject", "regarding"},
    {"message", "note"},
    {"reportingComponent", "reportingController"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
};

void rename(json::Node object, const char* from, const char* to) {
  if (json::Node value = object[from]) {
    object.set(to, value);
    object.remove(from);
  }
}

void to_stored(json::Node event) {
  for (const Renamed& field : kRenamed) rename(event, field.served, field.stored);
  // The old form states these always.
  event.ensure_object("involvedObject");
  event.ensure_object("source");
  if (!event["reportingComponent"]) event.set("reportingComponent", "");
  if (!event["reportingInstance"]) event.set("reportingInstance", "");
}

void from_stored(json::Node event) {
  for (const Renamed& field : kRenamed) rename(event, field.stored, field.served);
}

// An event on something outside of namespaces stands in "default", one of the newer kind also in
// "kube-system"; those may be about another namespace's object too.
void validate_namespace(json::Value event, FieldErrors& errors) {
  std::string_view ns = event["metadata"]["namespace"].as_string();
  std::string_view about = event["involvedObject"]["namespace"].as_string();
  bool newer = !event["eventTime"].as_string().empty();
  bool matches = newer || about == ns;
  if (about.empty()) matches = ns == "default" || (newer && ns == "kube-system");
  if (!matches) {
    errors.invalid(Path("involvedObject").child("namespace"), about,
                   "does not match event.namespace");
  }
}

constexpr size_t kNoteBytesMax = 1024;

// What the newer form insists on: who, what and when. `controller` is the field's name there.
void validate_reporter(json::Value event, const char* controller, FieldErrors& errors) {
  static constexpr size_t kNameBytesMax = 128;
  std::string_view reporter = event["reportingComponent"].as_string();
  if (reporter.empty()) errors.required(Path(controller), "");
  for (const std::string& problem : qualified_name_problems(reporter)) {
    errors.invalid(Path(controller), reporter, problem);
  }
  for (const char* field : {"reportingInstance", "action", "reason"}) {
    std::string_view text = event[field].as_string();
    if (text.empty()) errors.required(Path(field), "");
    if (text.size() > kNameBytesMax) {
      errors.invalid(Path(field), "", fmt::format("can have at most {} characters", kNameBytesMax));
    }
  }
}

void validate_note(json::Value event, FieldErrors& errors) {
  if (event["message"].as_string().size() > kNoteBytesMax) {
    errors.invalid(Path("message"), "",
                   fmt::format("can have at most {} characters", kNoteBytesMax));
  }
}

// The old form is free but for the namespace, unless it says it is a new one by its eventTime.
void validate(json::Value event, FieldErrors& errors) {
  validate_namespace(event, errors);
  if (event["eventTime"].as_string().empty()) return;
  validate_reporter(event, "reportingComponent", errors);
  validate_note(event, errors);
}

void validate_series(json::Value series, FieldErrors& errors) {
  if (!series.is_object()) return;
  if (series["count"].as_int() < 2) {
    errors.invalid(Path("series").child("count"), "", "should be at least 2");
  }
  if (series["lastObservedTime"].as_string().empty()) {
    errors.required(Path("series").child("lastObservedTime"), "");
  }
}

void validate_new_type(json::Value event, FieldErrors& errors) {
  std::string_view type = event["type"].as_string();
  if (type == "Normal" || type == "Warning") return;
  errors.invalid(Path("type"), "", fmt::format("has invalid value: {}", type));
}

void validate_new(json::Value event, FieldErrors& errors) {
  // What is stored already may have come in the old form; validate_new_update sees to the rest.
  if (event["metadata"]["resourceVersion"]) return;
  validate_namespace(event, errors);
  if (event["eventTime"].as_string().empty()) {
    errors.required(Path("eventTime"), "");
  } else {
    validate_reporter(event, "reportingController", errors);
  }
  validate_new_type(event, errors);
  validate_note(event, errors);
  validate_series(event["series"], errors);
  for (const char* field : {"firstTimestamp", "lastTimestamp", "count", "source"}) {
    json::Value value = event[field];
    bool unset = value.is_null() || (value.is_object() && value.empty()) || !value;
    if (!unset) errors.invalid(Path(field), "", "needs to be unset");
  }
}

// Only the series goes on once an event stands.
void validate_new_update(json::Value before, json::Value after, FieldErrors& errors) {
  struct Fixed {
    const char* field;
    const char* shown = nullptr;
  };
  static constexpr Fixed kFixed[] = {{"involvedObject"},
                                     {"reason"},
                                     {"message"},
                                     {"source"},
                                     {"firstTimestamp"},
                                     {"lastTimestamp"},
                                     {"count"},
                                     {"reason"},
                                     {"type"},
                                     {"eventTime"},
                                     {"action"},
                                     {"related"},
                                     {"reportingComponent", "reportingController"},
                                     {"reportingInstance"}};
  if (!json::equal(before["series"], after["series"])) validate_series(after["series"], errors);
  for (const Fixed& fixed : kFixed) {
    json::Value now = after[fixed.field];
    if (json::equal(before[fixed.field], now)) continue;
    Path path(fixed.shown != nullptr ? fixed.shown : fixed.field);
    const Field* field = schema::core_v1::kEvent.find(fixed.field);
    const Struct* structure = field->type.structure;
    if (structure != nullptr && now) {
      errors.invalid(path, go_struct(*structure, now).root(), "field is immutable");
    } else if (now) {
      errors.invalid(path, now, "field is immutable");
    } else {
      json::Draft nothing;
      nothing.root().assign_null();
      errors.invalid(path, nothing.freeze().root(), "field is immutable");
    }
  }
}

bool any_name(std::string_view, std::string*) { return true; }

}  // namespace

constinit const Resource kCoreEvents = {
    .group = "",
    .version = "v1",
    .kind = "Event",
    .plural = "events",
    .singular = "event",
    .short_names = kShortNames,
    .schema = &schema::core_v1::kEvent,
    .columns = kColumns,
    .selectable_fields = kFields,
    .lazy = true,
    .create_on_update = true,
    .meta_checks = MetaChecks::kNone,
    .validate = &validate,
    .valid_name = &any_name,
};

// Hooks and cells see the stored form, core/v1.
constinit const Resource kEvents = {
    .group = "events.k8s.io",
    .version = "v1",
    .kind = "Event",
    .plural = "events",
    .singular = "event",
    .short_names = kShortNames,
    .schema = &schema::events_v1::kEvent,
    .columns = kColumns,
    .selectable_fields = kNewFields,
    .lazy = true,
    .create_on_update = true,
    .meta_checks = MetaChecks::kNone,
    .validate = &validate_new,
    .validate_update = &validate_new_update,
    .valid_name = &valid_subdomain_name,
    .stored_as = &kCoreEvents,
    .to_stored = &to_stored,
    .from_stored = &from_stored,
};

}  // namespace wherry::api
