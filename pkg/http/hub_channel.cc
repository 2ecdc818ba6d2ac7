// The handle's side of the hub: what any thread does to a watch connection.

#include <sys/eventfd.h>
#include <unistd.h>

#include "http/hub_thread.h"

namespace wherry::http {

void EventSource::deadline(HubConnection& connection) { connection.close(); }

HubInbox::~HubInbox() {
  if (event_fd >= 0) close(event_fd);
}

void HubInbox::announce(std::shared_ptr<HubChannel> channel) {
  bool first = false;
  {
    MutexLock lock(mutex);
    if (stopped) return;
    first = ready.empty();
    ready.push_back(std::move(channel));
  }
  if (first) eventfd_write(event_fd, 1);
}

size_t HubChannel::Piece::framed_size() const {
  if (kind == Kind::kLastChunk) return 5;
  if (kind == Kind::kRaw) return bytes->size();
  return fmt::formatted_size("{:x}", bytes->size()) + bytes->size() + 4;
}

bool HubChannel::needs_announcing() {
  if (!attached_ || announced_) return false;
  announced_ = true;
  return true;
}

bool HubChannel::add(std::shared_ptr<const std::string> bytes, bool limited) {
  if (bytes == nullptr || bytes->empty()) return !ended();
  bool announce = false;
  bool accepted = true;
  {
    MutexLock lock(mutex_);
    if (ended_ || closing_ || cut_) return false;
    if (limited && unsent_bytes_ + bytes->size() > options_.queue_bytes_max) {
      cut_ = HubEnd::kOverflow;
      posted_.clear();
      accepted = false;
    } else {
      unsent_bytes_ += bytes->size();
      posted_.push_back({std::move(bytes), Piece::Kind::kChunk});
    }
    announce = needs_announcing();
  }
  if (announce) inbox_->announce(shared_from_this());
  return accepted;
}

bool HubChannel::post(std::shared_ptr<const std::string> bytes) {
  return add(std::move(bytes), true);
}

bool HubChannel::post_unlimited(std::shared_ptr<const std::string> bytes) {
  return add(std::move(bytes), false);
}

void HubChannel::close() { close(nullptr); }

void HubChannel::close(std::shared_ptr<const std::string> last) {
  bool announce = false;
  {
    MutexLock lock(mutex_);
    if (ended_ || closing_ || cut_) return;
    closing_ = true;
    if (last != nullptr && !last->empty()) {
      unsent_bytes_ += last->size();
      posted_.push_back({std::move(last), Piece::Kind::kChunk});
    }
    posted_.push_back({nullptr, Piece::Kind::kLastChunk});
    announce = needs_announcing();
  }
  if (announce) inbox_->announce(shared_from_this());
}

void HubChannel::abort() {
  bool announce = false;
  {
    MutexLock lock(mutex_);
    if (ended_ || cut_) return;
    cut_ = HubEnd::kClosed;
    posted_.clear();
    announce = needs_announcing();
  }
  if (announce) inbox_->announce(shared_from_this());
}

void HubChannel::keep(std::shared_ptr<const void> what) {
  MutexLock lock(mutex_);
  kept_ = std::move(what);
}

bool HubChannel::ended() const {
  MutexLock lock(mutex_);
  return ended_ || closing_ || cut_.has_value();
}

}  // namespace wherry::http
