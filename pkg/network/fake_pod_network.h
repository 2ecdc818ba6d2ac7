#pragma once
// FakePodNetwork: hands out 10.42.0.2, .3, ... and remembers; for tests of whatever attaches pods.
// Any thread.

#include <map>
#include <string>

#include "base/mutex.h"
#include "network/address.h"
#include "network/pod_network.h"

namespace wherry::network {

class FakePodNetwork final : public PodNetwork {
 public:
  Result<PodAddress> attach(const AttachRequest& request) override {
    MutexLock lock(mutex_);
    if (fail_next_attach_) {
      Error error = *fail_next_attach_;
      fail_next_attach_.reset();
      return error;
    }
    PodAddress address{request.uid, next_.text(), "wv" + std::to_string(next_.bits),
                       request.host_ports};
    ++next_.bits;
    pods_[request.uid] = address;
    return address;
  }
  Result<void> detach(std::string_view uid) override {
    MutexLock lock(mutex_);
    pods_.erase(std::string(uid));
    return {};
  }
  std::vector<PodAddress> addresses() const override {
    MutexLock lock(mutex_);
    std::vector<PodAddress> all;
    for (const auto& [uid, address] : pods_) all.push_back(address);
    return all;
  }
  std::optional<PodAddress> find(std::string_view uid) const override {
    MutexLock lock(mutex_);
    auto found = pods_.find(std::string(uid));
    if (found == pods_.end()) return std::nullopt;
    return found->second;
  }
  Result<void> set_peers(const std::vector<PeerNode>& peers) override {
    MutexLock lock(mutex_);
    peers_ = peers;
    return {};
  }
  std::vector<PeerNode> peers() const {
    MutexLock lock(mutex_);
    return peers_;
  }
  // The next attach returns this error.
  void fail_next_attach(Error error) {
    MutexLock lock(mutex_);
    fail_next_attach_ = std::move(error);
  }

 private:
  mutable Mutex mutex_;
  Ipv4 next_ GUARDED_BY(mutex_){0x0a2a0002};
  std::map<std::string, PodAddress> pods_ GUARDED_BY(mutex_);
  std::vector<PeerNode> peers_ GUARDED_BY(mutex_);
  std::optional<Error> fail_next_attach_ GUARDED_BY(mutex_);
};

}  // namespace wherry::network
