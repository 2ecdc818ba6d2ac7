#pragma once
// Views: typed, zero-copy reading of JSON objects. schemac makes one class a struct
// (gen/api/views_core_v1.h: core_v1::PodView(value).spec().containers()); this is what they stand
// on. A view is as big as a json::Value, null-safe like it, and valid while its Document lives.
// Text kinds (times, quantities, base64) read as their text. Any thread.

#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>
#include <type_traits>

#include "json/json.h"

namespace wherry::api {

class View {
 public:
  View() = default;
  explicit View(json::Value value) : value_(value) {}
  json::Value json() const { return value_; }
  explicit operator bool() const { return value_ && !value_.is_null(); }  // Present.

 private:
  json::Value value_;
};

template <typename T>
T view_cast(json::Value value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value.as_bool();
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return value.as_int();
  } else if constexpr (std::is_same_v<T, double>) {
    return value.as_double();
  } else if constexpr (std::is_same_v<T, std::string_view>) {
    return value.as_string();
  } else {
    return T(value);
  }
}

// Of a Go pointer: empty when absent.
template <typename T>
std::optional<T> view_optional(json::Value value) {
  if (!value || value.is_null()) return std::nullopt;
  return view_cast<T>(value);
}

// A list whose items are views or scalars: for (ContainerView container : spec.containers()).
template <typename T>
class ListOf {
 public:
  class Iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(json::Value::ItemRange::Iterator at) : at_(at) {}
    T operator*() const { return view_cast<T>(*at_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) {
      Iterator old = *this;
      ++*this;
      return old;
    }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    json::Value::ItemRange::Iterator at_;
  };

  ListOf() = default;
  explicit ListOf(json::Value value) : value_(value) {}
  Iterator begin() const { return Iterator(value_.items().begin()); }
  Iterator end() const { return Iterator(value_.items().end()); }
  size_t size() const { return value_.is_array() ? value_.size() : 0; }
  bool empty() const { return size() == 0; }
  T operator[](size_t index) const { return view_cast<T>(value_.at(index)); }
  json::Value json() const { return value_; }

 private:
  json::Value value_;
};

}  // namespace wherry::api
