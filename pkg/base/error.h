#pragma once
// Error: what went wrong, for a client and for a controller that must choose between retry, wait
// and give up. The codes are the API's own reasons (meta/v1 StatusReason) and a few that carry the
// node's conditions; pkg/api/status.cc holds the one table from code to HTTP status.

#include <fmt/core.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wherry {

enum class Code {
  kBadRequest,
  kUnauthorized,
  kForbidden,
  kNotFound,
  kAlreadyExists,
  kConflict,
  kGone,
  kInvalid,
  kServerTimeout,
  kTimeout,
  kTooManyRequests,
  kMethodNotAllowed,
  kNotAcceptable,
  kRequestEntityTooLarge,
  kUnsupportedMediaType,
  kInternal,
  kExpired,
  kUnavailable,
  kStorageFull,  // 507: the disk under the store is full; nothing was written.
  kUnknown,      // 500 without a reason, as upstream has for errors it did not foresee.
  kUnsupported,  // 501: known to Kubernetes, not built here.
};

// One field that is at fault (meta/v1 StatusCause). `field` is a path such as "spec.ports[0].port".
struct Cause {
  std::string reason;  // "FieldValueInvalid", ...
  std::string message;
  std::string field;
};

// The object the error is about (meta/v1 StatusDetails); empty members are left out of the answer.
struct ErrorDetails {
  std::string name;
  std::string group;
  std::string kind;  // For most errors the resource ("pods"), for Invalid the kind ("Pod").
  std::string uid;
  std::vector<Cause> causes;
  int retry_after_seconds = 0;
};

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message)
      : rep_(std::make_unique<Rep>(Rep{code, std::move(message), {}})) {}
  Error(const Error& other) : rep_(std::make_unique<Rep>(*other.rep_)) {}
  Error& operator=(const Error& other) {
    if (this != &other) rep_ = std::make_unique<Rep>(*other.rep_);
    return *this;
  }
  Error(Error&&) noexcept = default;
  Error& operator=(Error&&) noexcept = default;
  ~Error() = default;

  Code code() const { return rep_->code; }
  const std::string& message() const { return rep_->message; }
  const ErrorDetails& details() const { return rep_->details; }
  ErrorDetails& details() { return rep_->details; }
  bool is(Code code) const { return rep_->code == code; }

  // The same error with "prefix: " before its message.
  Error with_prefix(std::string_view prefix) && {
    rep_->message = std::string(prefix) + ": " + rep_->message;
    return std::move(*this);
  }

  template <typename... Args>
  static Error make(Code code, fmt::format_string<Args...> format, Args&&... args) {
    return Error(code, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  static Error bad_request(fmt::format_string<Args...> format, Args&&... args) {
    return make(Code::kBadRequest, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  static Error not_found(fmt::format_string<Args...> format, Args&&... args) {
    return make(Code::kNotFound, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  static Error conflict(fmt::format_string<Args...> format, Args&&... args) {
    return make(Code::kConflict, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  static Error invalid(fmt::format_string<Args...> format, Args&&... args) {
    return make(Code::kInvalid, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  static Error internal(fmt::format_string<Args...> format, Args&&... args) {
    return make(Code::kInternal, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  static Error unavailable(fmt::format_string<Args...> format, Args&&... args) {
    return make(Code::kUnavailable, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  static Error timeout(fmt::format_string<Args...> format, Args&&... args) {
    return make(Code::kTimeout, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  static Error unsupported(fmt::format_string<Args...> format, Args&&... args) {
    return make(Code::kUnsupported, format, std::forward<Args>(args)...);
  }

  // `what` failed with errno value `number`: kStorageFull for ENOSPC and EDQUOT, kNotFound for
  // ENOENT, else kInternal. The message is "what: <text of the number>".
  static Error from_errno(int number, std::string_view what);

 private:
  struct Rep {
    Code code;
    std::string message;
    ErrorDetails details;
  };
  std::unique_ptr<Rep> rep_;
};

}  // namespace wherry
