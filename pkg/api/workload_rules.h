#pragma once
// Rules that kinds with a replica count, a selector and a pod template share. Pure.

#include <string_view>

#include "api/field_error.h"
#include "api/resource.h"
#include "api/schema_autoscaling_v1.h"
#include "json/json.h"

namespace wherry::api {

// spec.template of a workload.
void default_template(json::Node object);

// What changes of a template before it is stored: fields of features that are off go.
void prepare_template(json::Node object, Time now);
void prepare_template_update(json::Value before, json::Node after, Time now);
// A new object's name is also that of hosts: in its `use`.
inline constexpr std::string_view kPodNames = "Pod names and hostnames";
std::vector<std::string> hostname_warnings(json::Value meta, std::string_view use);
// Both, of a kind whose pods are named after it.
std::vector<std::string> replicated_warnings(json::Value object);
// Warnings on spec.template.
std::vector<std::string> workload_warnings(json::Value object);

// What is said of a selector that is unsound, beside its faults.
enum class UnsoundSelector { kNamed, kShown, kNothing };
// spec.selector is there, is sound, and picks the template's pods; `empty_text` says what an empty
// one is.
void validate_selector_and_labels(json::Value spec, const Path& path, std::string_view empty_text,
                                  UnsoundSelector unsound_said, FieldErrors& errors);
// The template's own rules, and that its pods restart for ever, as the pods of a `kind` do.
void validate_workload_template(json::Value pod_template, std::string_view kind, const Path& path,
                                FieldErrors& errors);
void validate_counts(json::Value spec, const Path& path, std::span<const char* const> fields,
                     FieldErrors& errors);
void validate_immutable(json::Value before, json::Value after, const Path& path,
                        FieldErrors& errors);

// "25%" or a number that is not negative; a percentage is at most 100 when `at_most_whole`.
enum class Percent { kAny, kAtMostWhole };
void validate_int_or_percent(json::Value value, Percent limit, const Path& path,
                             FieldErrors& errors);
// 0 and "0%".
bool is_zero_count(json::Value value);

// Cells: a whole number at a place, 0 when absent.
int64_t count_at(json::Value object, std::string_view part, std::string_view field);

// The scale subresource of every workload, and the row of the form it has.
extern const Resource kScaleForm;
inline constexpr std::string_view kScaleVerbs[] = {"get", "patch", "update"};
inline constexpr Subresource kScale = {.name = "scale",
                                       .kind = "Scale",
                                       .group = "autoscaling",
                                       .version = "v1",
                                       .verbs = kScaleVerbs,
                                       .schema = &schema::autoscaling_v1::kScale,
                                       .form = &kScaleForm};

}  // namespace wherry::api
