#pragma once
// Result<T>: a value or an Error. TRY(x) unwraps a Result or returns its error from the function.
// TRY is a whole statement or the whole right side of an assignment, never inside braces.

#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error.h"

namespace wherry {

template <typename T>
class [[nodiscard]] Result {
 public:
  using Value = T;

  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT
  template <typename U>
  requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
           !std::is_same_v<std::remove_cvref_t<U>, Error> &&
           !std::is_same_v<std::remove_cvref_t<U>, Result<T>>) Result(U&& value)  // NOLINT
      : state_(std::in_place_index<0>, T(std::forward<U>(value))) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    CHECK(ok());
    return std::get<0>(state_);
  }
  const T& value() const& {
    CHECK(ok());
    return std::get<0>(state_);
  }
  T value() && {
    CHECK(ok());
    return std::move(std::get<0>(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  template <typename U>
  T value_or(U&& fallback) const& {
    return ok() ? std::get<0>(state_) : T(std::forward<U>(fallback));
  }

  const Error& error() const& {
    CHECK(!ok());
    return std::get<1>(state_);
  }
  Error error() && {
    CHECK(!ok());
    return std::move(std::get<1>(state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using Value = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const { CHECK(ok()); }

  const Error& error() const& {
    CHECK(!ok());
    return *error_;
  }
  Error error() && {
    CHECK(!ok());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

// Turns kNotFound into success: for deletes of what may be gone already.
template <typename T>
Result<void> ignore_not_found(Result<T> result) {
  if (result.ok() || result.error().is(Code::kNotFound)) return {};
  return std::move(result).error();
}

}  // namespace wherry

#define WHERRY_TRY_CONCAT_(a, b) a##b
#define WHERRY_TRY_NAME_(a, b) WHERRY_TRY_CONCAT_(a, b)
#define WHERRY_TRY_(name, expression)               \
  ({                                                \
    auto&& name = (expression);                     \
    if (!name.ok()) return std::move(name).error(); \
    std::move(name).value();                        \
  })
#define TRY(expression) WHERRY_TRY_(WHERRY_TRY_NAME_(try_result_, __COUNTER__), expression)
