#include <algorithm>
#include <cstdlib>

#include "api/conversion.h"
#include "api/table.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

// Members of metadata that a list passes on.
void copy_list_meta(json::Node target, json::Value list_meta) {
  for (auto [key, value] : list_meta.members()) target.set(key, value);
}

void add_columns(json::Node columns, std::span<const Column> all) {
  for (const Column& column : all) {
    json::Node out = columns.push_object();
    out.set("name", column.name);
    out.set("type", column.type);
    out.set("format", column.format);
    out.set("description", column.description);
    out.set("priority", column.priority);
  }
}

void add_cells(json::Node row, const Resource& stored, json::Value item, Time now) {
  json::Node cells = row.set_array("cells");
  for (const Column& column : stored.columns) column.cell(item, now, cells);
  if (stored.row_conditions != nullptr) stored.row_conditions(item, row);
}

// How long the ages printed on this thread since it was set stay what they are.
thread_local Duration ages_good_for{};

// The steps in which an age is shown.
std::chrono::seconds age_step(int64_t seconds) {
  if (seconds < 60 * 10) return std::chrono::seconds(1);
  if (seconds < 3600 * 8) return std::chrono::minutes(1);
  if (seconds < 86400 * 8) return std::chrono::hours(1);
  return std::chrono::hours(24);
}

void note_age(Duration age) {
  Duration step = age_step(std::chrono::duration_cast<std::chrono::seconds>(age).count());
  Duration into = age % step;
  Duration left = into < Duration::zero() ? -into : step - into;
  ages_good_for = std::min(ages_good_for, left);
}

// What PartialObjectMetadata consists of.
void set_metadata(json::Node target, json::Value object, std::string_view version) {
  target.set("kind", "PartialObjectMetadata");
  target.set("apiVersion", "meta.k8s.io/" + std::string(version));
  target.set("metadata", object["metadata"]);
}

std::string two_units(int64_t major, const char* major_unit, int64_t minor,
                      const char* minor_unit) {
  std::string out = std::to_string(major) + major_unit;
  if (minor != 0) out += std::to_string(minor) + minor_unit;
  return out;
}

}  // namespace

json::Draft make_table(const Resource& resource, std::span<const json::Value> items,
                       const TableOptions& options, Time now, json::Value list_meta) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("kind", "Table");
  root.set("apiVersion", "meta.k8s.io/" + options.version);
  copy_list_meta(root.set_object("metadata"), list_meta);
  const Resource& stored = stored_rules(resource);
  if (options.headers) {
    add_columns(root.set_array("columnDefinitions"), stored.columns);
  } else {
    root.set_null("columnDefinitions");
  }
  json::Node rows = root.set_array("rows");
  for (json::Value item : items) {
    json::Node row = rows.push_object();
    add_cells(row, stored, item, now);
    json::Document converted;
    if (!is_stored_form(resource) && options.include_object != IncludeObject::kNone) {
      converted = from_stored(resource, item).freeze();
      item = converted.root();
    }
    if (options.include_object == IncludeObject::kObject) {
      row.set("object", item);
    } else if (options.include_object == IncludeObject::kMetadata) {
      set_metadata(row.set_object("object"), item, options.version);
    } else {
      row.set_null("object");
    }
  }
  return draft;
}

RowText row_text(const Resource& resource, json::Value stored, Time now) {
  ages_good_for = Duration::max();
  json::Draft row;
  add_cells(row.root(), stored_rules(resource), stored, now);
  std::string text = row.dump();
  return {text.substr(1, text.size() - 2), ages_good_for};
}

std::string columns_text(const Resource& resource) {
  json::Draft columns = json::Draft::array();
  add_columns(columns.root(), stored_rules(resource).columns);
  return columns.dump();
}

json::Draft partial_metadata(json::Value object, std::string_view version) {
  json::Draft draft;
  set_metadata(draft.root(), object, version);
  return draft;
}

// Two units where the larger one is still small, one where it says enough.
std::string human_duration(Duration age) {
  note_age(age);
  int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 60 * 2) return std::to_string(seconds) + "s";
  int64_t minutes = seconds / 60;
  if (minutes < 10) return two_units(minutes, "m", seconds % 60, "s");
  if (minutes < 60 * 3) return std::to_string(minutes) + "m";
  int64_t hours = minutes / 60;
  if (hours < 8) return two_units(hours, "h", minutes % 60, "m");
  if (hours < 48) return std::to_string(hours) + "h";
  int64_t days = hours / 24;
  if (hours < 24 * 8) return two_units(days, "d", hours % 24, "h");
  if (hours < 24 * 365 * 2) return std::to_string(days) + "d";
  if (hours < 24 * 365 * 8) return two_units(days / 365, "y", days % 365, "d");
  return std::to_string(days / 365) + "y";
}

std::string human_age(std::string_view timestamp, Time now) {
  std::optional<Time> then = timestamp.empty() ? std::nullopt : parse_time(timestamp);
  if (!then) return "<unknown>";
  return human_duration(now - *then);
}

}  // namespace wherry::api
