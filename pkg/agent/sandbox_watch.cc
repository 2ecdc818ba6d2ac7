#include "agent/sandbox_watch.h"

#include "base/log.h"
#include "base/thread.h"

namespace wherry::agent {

Result<std::unique_ptr<SandboxWatch>> SandboxWatch::open() {
  os::Epoll epoll = TRY(os::Epoll::open());
  os::EventFd stopped = TRY(os::EventFd::open());
  TRY(epoll.add(stopped.fd(), EPOLLIN, 0));
  return std::unique_ptr<SandboxWatch>(new SandboxWatch(std::move(epoll), std::move(stopped)));
}

void SandboxWatch::start(std::function<void(const std::string& uid)> wake) {
  wake_ = std::move(wake);
  thread_ = start_thread("reaper", [this](const std::stop_token& stop) { loop(stop); });
}

void SandboxWatch::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  stopped_.signal();
  thread_.join();
}

void SandboxWatch::watch(const std::string& uid, std::shared_ptr<container::Sandbox> sandbox) {
  int fd = sandbox->event_fd();
  uint64_t tag = 0;
  {
    MutexLock lock(mutex_);
    tag = next_tag_++;
    watched_[tag] = {uid, std::move(sandbox)};
  }
  // Edge-triggered: the pod reads in its own time, and must not be woken again for the same news.
  Result<void> added = epoll_.add(fd, EPOLLIN | EPOLLET, tag);
  if (!added.ok()) log::error("pod {}: exits cannot be watched: {}", uid, added.error().message());
}

void SandboxWatch::unwatch(const std::string& uid) {
  MutexLock lock(mutex_);
  for (auto it = watched_.begin(); it != watched_.end();) {
    if (it->second.uid != uid) {
      ++it;
      continue;
    }
    epoll_.remove(it->second.sandbox->event_fd());
    it = watched_.erase(it);
  }
}

void SandboxWatch::loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Result<std::vector<os::Epoll::Event>> events = epoll_.wait(std::nullopt);
    if (!events.ok()) {
      log::error("reaper: {}", events.error().message());
      return;
    }
    for (const os::Epoll::Event& event : *events) {
      std::string uid;
      {
        MutexLock lock(mutex_);
        auto found = watched_.find(event.tag);
        if (found != watched_.end()) uid = found->second.uid;
      }
      if (!uid.empty()) wake_(uid);
    }
  }
}

}  // namespace wherry::agent
