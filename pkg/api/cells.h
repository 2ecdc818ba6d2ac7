#pragma once
// Cells that several kinds' tables share, and the common first and last columns. Pure.

#include <string>
#include <string_view>

#include "api/resource.h"
#include "json/json.h"

namespace wherry::api {

void name_cell(json::Value object, Time now, json::Node cells);
void age_cell(json::Value object, Time now, json::Node cells);
void created_cell(json::Value object, Time now, json::Node cells);

inline constexpr Column kNameColumn = {
    .name = "Name",
    .format = "name",
    .description = "Name, unique among the kind in its namespace.",
    .cell = &name_cell};
inline constexpr Column kAgeColumn = {
    .name = "Age", .description = "Time since the object was created.", .cell = &age_cell};
inline constexpr Column kCreatedColumn = {.name = "Created At",
                                          .type = "date",
                                          .description = "When the object was created.",
                                          .cell = &created_cell};

// What a pod template holds: names and images of its containers, comma-joined.
void template_containers_cell(json::Value object, Time now, json::Node cells);
void template_images_cell(json::Value object, Time now, json::Node cells);
// spec.selector, a LabelSelector.
void selector_cell(json::Value object, Time now, json::Node cells);

std::string container_names(json::Value pod_spec);
std::string container_images(json::Value pod_spec);
// "a=b,c=d" by key; "<none>" for an empty map.
std::string labels_text(json::Value map);
// A LabelSelector as a selector's text; "<none>" when it selects everything.
std::string label_selector_text(json::Value selector);
// The string at a place, or `fallback` when it is absent or empty.
std::string text_or(json::Value value, std::string_view fallback);
// Comma-joined strings of an array; `fallback` when there are none.
std::string joined(json::Value array, std::string_view fallback);
// How long ago a timestamp was, "<unknown>" when there is none.
std::string ago(json::Value timestamp, Time now);

}  // namespace wherry::api
