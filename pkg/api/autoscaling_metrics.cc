#include "api/autoscaling_metrics.h"

#include <span>
#include <string_view>

#include "api/quantity.h"

namespace wherry::api {
namespace {

// Where a value of the flat form stands in the other: a member, or one of a member.
struct Place {
  std::string_view flat;
  std::string_view outer;
  std::string_view inner = {};
};

// One type of metric: the member it stands under, and its values.
struct Metric {
  std::string_view member;
  std::span<const Place> places;
};

constexpr Place kObjectPlaces[] = {{"target", "describedObject"},
                                   {"metricName", "metric", "name"},
                                   {"targetValue", "target", "value"},
                                   {"selector", "metric", "selector"},
                                   {"averageValue", "target", "averageValue"}};
constexpr Place kPodsPlaces[] = {{"metricName", "metric", "name"},
                                 {"targetAverageValue", "target", "averageValue"},
                                 {"selector", "metric", "selector"}};
constexpr Place kResourcePlaces[] = {{"name", "name"},
                                     {"targetAverageUtilization", "target", "averageUtilization"},
                                     {"targetAverageValue", "target", "averageValue"},
                                     {"container", "container"}};
constexpr Place kExternalPlaces[] = {{"metricName", "metric", "name"},
                                     {"metricSelector", "metric", "selector"},
                                     {"targetValue", "target", "value"},
                                     {"targetAverageValue", "target", "averageValue"}};
constexpr Metric kMetrics[] = {{"object", kObjectPlaces},
                               {"pods", kPodsPlaces},
                               {"resource", kResourcePlaces},
                               {"containerResource", kResourcePlaces},
                               {"external", kExternalPlaces}};

constexpr Place kObjectNow[] = {{"target", "describedObject"},
                                {"metricName", "metric", "name"},
                                {"currentValue", "current", "value"},
                                {"selector", "metric", "selector"},
                                {"averageValue", "current", "averageValue"}};
constexpr Place kPodsNow[] = {{"metricName", "metric", "name"},
                              {"currentAverageValue", "current", "averageValue"},
                              {"selector", "metric", "selector"}};
constexpr Place kResourceNow[] = {{"name", "name"},
                                  {"currentAverageUtilization", "current", "averageUtilization"},
                                  {"currentAverageValue", "current", "averageValue"},
                                  {"container", "container"}};
constexpr Place kExternalNow[] = {{"metricName", "metric", "name"},
                                  {"metricSelector", "metric", "selector"},
                                  {"currentValue", "current", "value"},
                                  {"currentAverageValue", "current", "averageValue"}};
constexpr Metric kCurrent[] = {{"object", kObjectNow},
                               {"pods", kPodsNow},
                               {"resource", kResourceNow},
                               {"containerResource", kResourceNow},
                               {"external", kExternalNow}};

// The flat form has to state these, so nothing is written as 0.
constexpr std::string_view kStated[] = {"targetValue", "currentValue", "currentAverageValue"};

bool is_stated(const Place& place, std::string_view member) {
  // An external target may be either value or average.
  if (place.flat == "targetValue") return member == "object";
  for (std::string_view name : kStated) {
    if (place.flat == name) return !(place.flat == "currentAverageValue" && member == "external");
  }
  return false;
}

void flatten(json::Node metrics, std::span<const Metric> kinds) {
  for (json::Node metric : metrics.items()) {
    for (const Metric& kind : kinds) {
      json::Node part = metric[kind.member];
      if (!part.is_object()) continue;
      json::Draft flat;
      for (const Place& place : kind.places) {
        json::Node value = part[place.outer];
        if (!place.inner.empty()) value = value[place.inner];
        if (value && !value.is_null()) {
          flat.root().set(place.flat, value);
        } else if (is_stated(place, kind.member)) {
          flat.root().set(place.flat, "0");
        }
      }
      metric.set(kind.member, flat.root());
    }
  }
}

bool is_zero(json::Node value) {
  json::Draft copy(value);
  return Quantity::from(copy.freeze().root()).is_zero();
}

void set_target_type(json::Node part) {
  json::Node target = part["target"];
  if (!target) return;
  std::string_view type = "Value";
  if (target["averageUtilization"]) {
    type = "Utilization";
  } else if (target["averageValue"]) {
    type = "AverageValue";
  }
  json::Draft typed;
  typed.root().set("type", type);
  for (const auto& [key, value] : target.members()) typed.root().set(key, value);
  target.assign(typed.root());
}

void unflatten(json::Node metrics, std::span<const Metric> kinds) {
  for (json::Node metric : metrics.items()) {
    for (const Metric& kind : kinds) {
      json::Node part = metric[kind.member];
      if (!part.is_object()) continue;
      json::Draft deep;
      for (const Place& place : kind.places) {
        json::Node value = part[place.flat];
        if (!value || value.is_null()) continue;
        if (is_stated(place, kind.member) && is_zero(value)) continue;
        if (place.inner.empty()) {
          deep.root().set(place.outer, value);
        } else {
          deep.root().ensure_object(place.outer).set(place.inner, value);
        }
      }
      set_target_type(deep.root());
      metric.set(kind.member, deep.root());
    }
  }
}

}  // namespace

void flatten_metrics(json::Node metrics) { flatten(metrics, kMetrics); }
void unflatten_metrics(json::Node metrics) { unflatten(metrics, kMetrics); }
void flatten_current_metrics(json::Node metrics) { flatten(metrics, kCurrent); }
void unflatten_current_metrics(json::Node metrics) { unflatten(metrics, kCurrent); }

}  // namespace wherry::api
