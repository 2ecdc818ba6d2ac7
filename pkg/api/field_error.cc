#include "api/field_error.h"

#include <unordered_set>

#include "api/status.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

// Strings quoted, the rest as its JSON text.
std::string shown(json::Value value) {
  if (!value || value.is_null()) return "null";
  if (value.is_string()) return quote(value.as_string());
  return value.dump();
}

std::string with_detail(std::string text, std::string_view detail) {
  if (!detail.empty()) text.append(": ").append(detail);
  return text;
}

std::string invalid_text(std::string_view shown_value, std::string_view detail) {
  return with_detail("Invalid value: " + std::string(shown_value), detail);
}

std::string unsupported_text(std::string_view shown_value,
                             std::span<const std::string_view> supported) {
  std::vector<std::string> names;
  for (std::string_view name : supported) names.push_back(quote(name));
  std::string text = "Unsupported value: " + std::string(shown_value);
  if (!names.empty()) text += ": supported values: " + join(names, ", ");
  return text;
}

}  // namespace

void FieldErrors::add(std::string_view reason, const Path& path, std::string message) {
  causes_.push_back({std::string(reason), std::move(message), path.text()});
}

void FieldErrors::required(const Path& path, std::string_view detail) {
  add("FieldValueRequired", path, with_detail("Required value", detail));
}

void FieldErrors::invalid(const Path& path, std::string_view value, std::string_view detail) {
  add("FieldValueInvalid", path, invalid_text(quote(value), detail));
}
void FieldErrors::invalid(const Path& path, int64_t value, std::string_view detail) {
  add("FieldValueInvalid", path, invalid_text(std::to_string(value), detail));
}
void FieldErrors::invalid(const Path& path, json::Value value, std::string_view detail) {
  add("FieldValueInvalid", path, invalid_text(shown(value), detail));
}

void FieldErrors::not_supported(const Path& path, std::string_view value,
                                std::span<const std::string_view> supported) {
  add("FieldValueNotSupported", path, unsupported_text(quote(value), supported));
}
void FieldErrors::not_supported(const Path& path, json::Value value,
                                std::span<const std::string_view> supported) {
  add("FieldValueNotSupported", path, unsupported_text(shown(value), supported));
}

void FieldErrors::duplicate(const Path& path, std::string_view value) {
  add("FieldValueDuplicate", path, "Duplicate value: " + quote(value));
}
void FieldErrors::duplicate(const Path& path, json::Value value) {
  add("FieldValueDuplicate", path, "Duplicate value: " + shown(value));
}

void FieldErrors::forbidden(const Path& path, std::string_view detail) {
  add("FieldValueForbidden", path, with_detail("Forbidden", detail));
}

void FieldErrors::not_found(const Path& path, std::string_view value) {
  add("FieldValueNotFound", path, "Not found: " + quote(value));
}

void FieldErrors::too_long(const Path& path, size_t bytes_max) {
  add("FieldValueTooLong", path, fmt::format("Too long: may not be more than {} bytes", bytes_max));
}

void FieldErrors::too_many(const Path& path, size_t actual, size_t items_max) {
  add("FieldValueTooMany", path,
      fmt::format("Too many: {}: must have at most {} items", actual, items_max));
}

void FieldErrors::type_invalid(const Path& path, json::Value value, std::string_view detail) {
  add("FieldValueTypeInvalid", path, invalid_text(shown(value), detail));
}

Error FieldErrors::to_error(std::string_view group, std::string_view kind,
                            std::string_view name) const {
  // The summary names each fault once; the causes keep repetitions.
  std::vector<std::string> lines;
  std::unordered_set<std::string> told;
  for (const Cause& cause : causes_) {
    std::string line =
        cause.field.empty() ? "<nil>: " + cause.message : cause.field + ": " + cause.message;
    if (told.insert(line).second) lines.push_back(std::move(line));
  }
  std::string summary = lines.size() == 1 ? lines[0] : "[" + join(lines, ", ") + "]";
  std::string qualified(kind);
  if (!group.empty()) qualified += "." + std::string(group);
  Error error = Error::invalid("{} {} is invalid: {}", qualified, quote(name), summary);
  error.details() = {std::string(name), std::string(group), std::string(kind), {}, causes_, 0};
  return error;
}

}  // namespace wherry::api
