#include "api/workload_rules.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/names.h"
#include "api/pod_rules.h"
#include "api/selector.h"
#include "base/strings.h"

namespace wherry::api {

void default_template(json::Node object) { default_pod_spec(object["spec"]["template"]["spec"]); }

void prepare_template(json::Node object, Time) {
  drop_disabled_pod_fields(object["spec"]["template"]["spec"]);
}
void prepare_template_update(json::Value, json::Node after, Time) {
  drop_disabled_pod_fields(after["spec"]["template"]["spec"]);
}

std::vector<std::string> hostname_warnings(json::Value meta, std::string_view use) {
  constexpr size_t kLabelBytesMax = 63;
  // Only the server gives an object its first resourceVersion: with one it has its name already.
  if (!meta["resourceVersion"].as_string().empty()) return {};
  std::vector<std::string_view> problems;
  std::string_view name = meta["name"].as_string();
  if (name.size() > kLabelBytesMax) problems.emplace_back("must be no more than 63 characters");
  if (name.find('.') != std::string_view::npos) problems.emplace_back("must not contain dots");
  if (problems.empty()) return {};
  return {fmt::format(
      "metadata.name: this is used in {}, which can result in surprising behavior; a DNS label is "
      "recommended: [{}]",
      use, join(problems, " "))};
}

std::vector<std::string> replicated_warnings(json::Value object) {
  std::vector<std::string> out = hostname_warnings(object["metadata"], kPodNames);
  for (std::string& text : workload_warnings(object)) out.push_back(std::move(text));
  return out;
}

std::vector<std::string> workload_warnings(json::Value object) {
  return template_warnings(object["spec"]["template"], Path("spec").child("template"));
}

void validate_selector_and_labels(json::Value spec, const Path& path, std::string_view empty_text,
                                  UnsoundSelector unsound_said, FieldErrors& errors) {
  json::Value selector = spec["selector"];
  Path at = path.child("selector");
  json::Value labels = spec["template"]["metadata"]["labels"];
  if (!selector || selector.is_null()) {
    errors.required(at, "");
  } else {
    validate_label_selector(selector, at, errors);
    if (selector["matchLabels"].empty() && selector["matchExpressions"].empty()) {
      errors.invalid(at, selector, empty_text);
    }
  }
  Result<Selector> parsed = Selector::from_label_selector(selector);
  FieldErrors unsound;
  validate_label_selector(selector, at, unsound);
  if (!parsed.ok() || !unsound.empty()) {
    if (unsound_said == UnsoundSelector::kNamed)
      errors.invalid(at, selector, "invalid label selector");
    if (unsound_said == UnsoundSelector::kShown) errors.invalid(at, selector, "");
    return;
  }
  if (!parsed->everything() && !parsed->matches_labels(labels)) {
    errors.invalid(path.child("template").child("metadata").child("labels"), labels,
                   "`selector` does not match template `labels`");
  }
}

void validate_workload_template(json::Value pod_template, std::string_view kind, const Path& at,
                                FieldErrors& errors) {
  static constexpr std::string_view kAlways[] = {"Always"};
  json::Value pod = pod_template["spec"];
  validate_pod_template(pod_template, at, errors);
  std::string_view restart = pod["restartPolicy"].as_string();
  if (!restart.empty() && restart != "Always") {
    errors.not_supported(at.child("spec").child("restartPolicy"), restart, kAlways);
  }
  if (pod["activeDeadlineSeconds"]) {
    errors.forbidden(at.child("spec").child("activeDeadlineSeconds"),
                     fmt::format("activeDeadlineSeconds in {} is not Supported", kind));
  }
}

void validate_counts(json::Value spec, const Path& path, std::span<const char* const> fields,
                     FieldErrors& errors) {
  for (const char* field : fields) check_not_negative(spec[field], path.child(field), errors);
}

void validate_immutable(json::Value before, json::Value after, const Path& path,
                        FieldErrors& errors) {
  if (!json::equal(before, after)) errors.invalid(path, after, "field is immutable");
}

void validate_int_or_percent(json::Value value, Percent limit, const Path& path,
                             FieldErrors& errors) {
  if (!value) return;
  if (!value.is_string()) {
    check_not_negative(value, path, errors);
    return;
  }
  std::string_view text = value.as_string();
  std::string_view digits =
      text.ends_with('%') ? text.substr(0, text.size() - 1) : std::string_view();
  bool numeric = !digits.empty() && std::all_of(digits.begin(), digits.end(),
                                                [](char c) { return c >= '0' && c <= '9'; });
  if (!numeric) {
    errors.invalid(
        path, text,
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  "
        "or '93%', regex used for validation is '[0-9]+%')");
  } else if (limit == Percent::kAtMostWhole && parse_int(digits).value_or(INT64_MAX) > 100) {
    errors.invalid(path, text, "must not be greater than 100%");
  }
}

bool is_zero_count(json::Value value) {
  if (!value.is_string()) return value.as_int() == 0;
  std::string_view text = value.as_string();
  // What is no percentage counts for nothing.
  return !text.ends_with('%') || parse_int(text.substr(0, text.size() - 1)).value_or(0) == 0;
}

int64_t count_at(json::Value object, std::string_view part, std::string_view field) {
  return object[part][field].as_int();
}

}  // namespace wherry::api
