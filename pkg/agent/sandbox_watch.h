#pragma once
// SandboxWatch: the reaper. One thread waits on the event descriptors of all sandboxes and wakes
// the pod that has something to read; the pod's own pass reads it. Any thread may watch and
// unwatch.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "agent/pod_context.h"
#include "base/mutex.h"
#include "os/poll.h"

namespace wherry::agent {

class SandboxWatch final : public SandboxWatcher {
 public:
  static Result<std::unique_ptr<SandboxWatch>> open();
  ~SandboxWatch() override { stop(); }

  void start(std::function<void(const std::string& uid)> wake);
  void stop();
  void watch(const std::string& uid, std::shared_ptr<container::Sandbox> sandbox) override
      EXCLUDES(mutex_);
  void unwatch(const std::string& uid) override EXCLUDES(mutex_);

 private:
  SandboxWatch(os::Epoll epoll, os::EventFd stopped)
      : epoll_(std::move(epoll)), stopped_(std::move(stopped)) {}
  void loop(const std::stop_token& stop) EXCLUDES(mutex_);

  os::Epoll epoll_;
  os::EventFd stopped_;
  std::function<void(const std::string&)> wake_;

  struct Watched {
    std::string uid;
    std::shared_ptr<container::Sandbox> sandbox;  // Keeps the descriptor open.
  };
  Mutex mutex_;
  uint64_t next_tag_ GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, Watched> watched_ GUARDED_BY(mutex_);

  std::jthread thread_;
};

}  // namespace wherry::agent
