#pragma once
// The pages operators and probes look at: /version, /livez, /readyz, /healthz and /metrics.
// Any thread.

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "http/message.h"
#include "store/store.h"

namespace wherry::apiserver {

struct Check {
  std::string name;
  std::function<bool()> passes;
};

// Requests answered, by verb, resource and code, with their time. Any thread.
class RequestMetrics {
 public:
  void count(std::string_view verb, std::string_view resource, std::string_view subresource,
             int code, Duration took) EXCLUDES(mutex_);
  std::string text() const EXCLUDES(mutex_);

 private:
  struct Key {
    std::string verb, resource, subresource;
    int code;
    auto operator<=>(const Key&) const = default;
  };
  struct Value {
    uint64_t requests = 0;
    double seconds = 0;
  };
  mutable Mutex mutex_;
  std::map<Key, Value> values_ GUARDED_BY(mutex_);
};

class StatusPages {
 public:
  StatusPages(const store::Store& store, std::vector<Check> checks)
      : store_(store), checks_(std::move(checks)) {}

  // False when the path is none of these pages.
  Result<bool> handle(const http::Request& request, http::Response& response,
                      const RequestMetrics& requests);

 private:
  void health(const http::Request& request, http::Response& response) const;
  std::string metrics(const RequestMetrics& requests) const;

  const store::Store& store_;
  const std::vector<Check> checks_;
};

// The versions we report: Kubernetes' own, with our name in the build part.
inline constexpr std::string_view kGitVersion = "v1.36.3+wherry";

}  // namespace wherry::apiserver
