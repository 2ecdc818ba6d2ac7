#pragma once
// FieldErrors: what is wrong with an object, collected, with the path and wording upstream uses
// (k8s.io/apimachinery field errors as clients see them in Status causes).

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

// A path such as spec.ports[0].port or metadata.labels[key]. Cheap to extend; holds text.
class Path {
 public:
  Path() = default;
  explicit Path(std::string_view root) : text_(root) {}
  Path child(std::string_view name) const {
    return Path(text_.empty() ? std::string(name) : text_ + "." + std::string(name), 0);
  }
  Path index(size_t i) const { return Path(text_ + "[" + std::to_string(i) + "]", 0); }
  Path key(std::string_view k) const { return Path(text_ + "[" + std::string(k) + "]", 0); }
  const std::string& text() const { return text_; }

 private:
  Path(std::string text, int) : text_(std::move(text)) {}
  std::string text_;
};

class FieldErrors {
 public:
  // Each renders the message upstream does, for example
  //   required:      "Required value: detail"           invalid: "Invalid value: <value>: detail"
  //   not_supported: "Unsupported value: \"x\": supported values: \"A\", \"B\""
  //   duplicate:     "Duplicate value: <value>"         forbidden: "Forbidden: detail"
  //   too_long:      "Too long: may not be more than N bytes"   too_many: "Too many: 5: must have
  //   at most 3 items" not_found:     "Not found: <value>"               type_invalid: "Invalid
  //   value: <value>: detail" (FieldValueTypeInvalid)
  // Values are shown as upstream shows them: strings quoted, numbers and booleans bare, objects as
  // JSON.
  void required(const Path& path, std::string_view detail);
  void invalid(const Path& path, std::string_view value, std::string_view detail);  // Quoted.
  void invalid(const Path& path, const char* value, std::string_view detail) {
    invalid(path, std::string_view(value), detail);
  }
  void invalid(const Path& path, int64_t value, std::string_view detail);
  void invalid(const Path& path, json::Value value, std::string_view detail);
  void not_supported(const Path& path, std::string_view value,
                     std::span<const std::string_view> supported);
  void not_supported(const Path& path, json::Value value,
                     std::span<const std::string_view> supported);
  void duplicate(const Path& path, std::string_view value);
  void duplicate(const Path& path, json::Value value);
  void forbidden(const Path& path, std::string_view detail);
  void not_found(const Path& path, std::string_view value);
  void too_long(const Path& path, size_t bytes_max);
  void too_many(const Path& path, size_t actual, size_t items_max);
  void type_invalid(const Path& path, json::Value value, std::string_view detail);

  void copy(const Cause& cause) { causes_.push_back(cause); }

  bool empty() const { return causes_.empty(); }
  const std::vector<Cause>& causes() const { return causes_; }

  // 422 Invalid: `Pod "web" is invalid: spec.x: Required value` or, with several causes,
  // `Pod "web" is invalid: [a: ..., b: ...]`, causes in details. `kind` and `group` as in the
  // object.
  Error to_error(std::string_view group, std::string_view kind, std::string_view name) const;

 private:
  void add(std::string_view reason, const Path& path, std::string message);
  std::vector<Cause> causes_;
};

}  // namespace wherry::api
