#pragma once
// Identity: with which certificate, and trusting whom, a remote client speaks to the server. It may
// be replaced at any time (certificates are renewed); requests from then on use the new one. Any
// thread.

#include <memory>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "http/client.h"

namespace wherry::client {

class Identity {
 public:
  explicit Identity(http::ClientOptions options)
      : options_(std::make_shared<const http::ClientOptions>(std::move(options))) {}

  std::shared_ptr<const http::ClientOptions> get() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return options_;
  }
  void set(http::ClientOptions options) EXCLUDES(mutex_) {
    auto fresh = std::make_shared<const http::ClientOptions>(std::move(options));
    MutexLock lock(mutex_);
    options_ = std::move(fresh);
  }

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const http::ClientOptions> options_ GUARDED_BY(mutex_);
};

}  // namespace wherry::client
