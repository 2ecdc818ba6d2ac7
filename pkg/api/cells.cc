#include "api/cells.h"

#include <algorithm>

#include "api/selector.h"
#include "api/table.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

template <typename Part>
std::string join_containers(json::Value pod_spec, Part part) {
  std::vector<std::string_view> parts;
  for (json::Value container : pod_spec["containers"].items()) {
    parts.push_back(container[part].as_string());
  }
  return join(parts, ",");
}

}  // namespace

void name_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["metadata"]["name"].as_string());
}

void age_cell(json::Value object, Time now, json::Node cells) {
  cells.push(ago(object["metadata"]["creationTimestamp"], now));
}

void created_cell(json::Value object, Time, json::Node cells) {
  cells.push(object["metadata"]["creationTimestamp"].as_string());
}

void template_containers_cell(json::Value object, Time, json::Node cells) {
  cells.push(container_names(object["spec"]["template"]["spec"]));
}
void template_images_cell(json::Value object, Time, json::Node cells) {
  cells.push(container_images(object["spec"]["template"]["spec"]));
}
void selector_cell(json::Value object, Time, json::Node cells) {
  cells.push(label_selector_text(object["spec"]["selector"]));
}

std::string container_names(json::Value pod_spec) { return join_containers(pod_spec, "name"); }
std::string container_images(json::Value pod_spec) { return join_containers(pod_spec, "image"); }

std::string labels_text(json::Value map) {
  std::vector<std::string> parts;
  for (auto [key, value] : map.members()) {
    parts.push_back(std::string(key) + "=" + std::string(value.as_string()));
  }
  std::sort(parts.begin(), parts.end());
  return parts.empty() ? "<none>" : join(parts, ",");
}

std::string label_selector_text(json::Value selector) {
  if (!selector || selector.is_null()) return "<none>";
  Result<Selector> parsed = Selector::from_label_selector(selector);
  if (!parsed.ok()) return "<error>";
  std::string text = parsed->text();
  return text.empty() ? "<none>" : text;
}

std::string text_or(json::Value value, std::string_view fallback) {
  std::string_view text = value.as_string();
  return std::string(text.empty() ? fallback : text);
}

std::string joined(json::Value array, std::string_view fallback) {
  std::vector<std::string_view> parts;
  for (json::Value item : array.items()) parts.push_back(item.as_string());
  return parts.empty() ? std::string(fallback) : join(parts, ",");
}

std::string ago(json::Value timestamp, Time now) { return human_age(timestamp.as_string(), now); }

}  // namespace wherry::api
