#include "http/hub_thread.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/log.h"
#include "base/thread.h"

namespace wherry::http {
namespace {

constexpr size_t kScratchBytes = 16 << 10;  // One TLS record.
constexpr size_t kTurnBytes = 512 << 10;    // Sent to one connection before the next has its turn.
constexpr std::chrono::seconds kStallLimit{30};  // Closing or draining without any progress.
constexpr uint64_t kInboxId = 0;

std::shared_ptr<HubChannel> channel_of(const std::shared_ptr<HubConnection>& handle) {
  return std::static_pointer_cast<HubChannel>(handle);  // The only implementation there is.
}

}  // namespace

Result<void> Hub::start() {
  inbox_ = std::make_shared<HubInbox>();
  inbox_->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (inbox_->event_fd < 0 || epoll_ < 0) return Error::from_errno(errno, "epoll");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kInboxId;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, inbox_->event_fd, &event);
  scratch_.reserve(kScratchBytes);
  thread_ = start_thread("http-hub", [this](const std::stop_token& stop) { run(stop); });
  return {};
}

void Hub::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  eventfd_write(inbox_->event_fd, 1);
  thread_.join();
  close(epoll_);
}

std::shared_ptr<HubConnection> Hub::create(std::shared_ptr<EventSource> source,
                                           HubOptions options) {
  CHECK(source != nullptr);
  return std::make_shared<HubChannel>(inbox_, std::move(source), options);
}

void Hub::discard(const std::shared_ptr<HubConnection>& handle) {
  std::shared_ptr<HubChannel> channel = channel_of(handle);
  std::shared_ptr<const void> kept;  // Let go of without the lock.
  MutexLock lock(channel->mutex_);
  channel->ended_ = true;
  channel->posted_.clear();
  kept = std::move(channel->kept_);
}

void Hub::attach(const std::shared_ptr<HubConnection>& handle,
                 std::unique_ptr<Connection> connection, std::string head, bool keep_alive) {
  std::shared_ptr<HubChannel> channel = channel_of(handle);
  channel->connection_ = std::move(connection);
  channel->keep_alive_ = keep_alive;
  channel->sending_.push_back(
      {std::make_shared<const std::string>(std::move(head)), HubChannel::Piece::Kind::kRaw});
  hand_over(channel);
}

// The last touch of the channel's hub-owned half by another thread; the inbox's lock publishes it.
void Hub::hand_over(const std::shared_ptr<HubChannel>& channel) {
  channel->id_ = next_id_.fetch_add(1);
  {
    MutexLock lock(channel->mutex_);
    channel->attached_ = true;
    channel->announced_ = true;
  }
  inbox_->announce(channel);
}

int Hub::timeout_ms() const {
  if (timers_.empty()) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first -
                                                           std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 3'600'000));
}

void Hub::run(const std::stop_token& stop) {
  std::vector<epoll_event> events(256);
  while (!stop.stop_requested()) {
    int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms());
    if (count < 0 && errno != EINTR) {
      log::error("http hub: epoll_wait failed, errno {}", errno);
      break;
    }
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 == kInboxId) {
        take_inbox();
      } else {
        on_event(events[i].data.u64, events[i].events);
      }
    }
    fire_timers();
  }
  end_all();
}

void Hub::take_inbox() {
  eventfd_t ignored = 0;
  eventfd_read(inbox_->event_fd, &ignored);
  std::vector<std::shared_ptr<HubChannel>> ready;
  {
    MutexLock lock(inbox_->mutex);
    ready.swap(inbox_->ready);
  }
  for (const std::shared_ptr<HubChannel>& channel : ready) {
    if (channels_.find(channel->id_) == channels_.end()) adopt(channel);
    service(channel);
  }
}

void Hub::adopt(const std::shared_ptr<HubChannel>& channel) {
  if (channel->connection_ == nullptr) return;  // It ended already; a late post announced it again.
  channels_[channel->id_] = channel;
  count_.store(channels_.size(), std::memory_order_relaxed);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.u64 = channel->id_;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, channel->connection_->fd(), &event);
  if (channel->options_.deadline) set_timer(*channel, *channel->options_.deadline);
}

// Moves new posts to what is being sent. False when the channel was cut and has been ended.
bool Hub::collect(HubChannel& channel) {
  std::optional<HubEnd> cut;
  {
    MutexLock lock(channel.mutex_);
    channel.announced_ = false;
    cut = channel.cut_;
    if (!cut && channel.sending_.empty()) {
      channel.sending_ = std::exchange(channel.posted_, {});
    } else if (!cut) {
      std::move(channel.posted_.begin(), channel.posted_.end(),
                std::back_inserter(channel.sending_));
      channel.posted_ = {};
    }
    if (channel.closing_) channel.last_seen_ = true;
  }
  if (!cut) return true;
  end(channel.shared_from_this(), *cut);
  return false;
}

void Hub::service(const std::shared_ptr<HubChannel>& channel) {
  if (channel->connection_ == nullptr || !collect(*channel)) return;
  switch (send(*channel)) {
    case Sent::kBroken: end(channel, HubEnd::kPeerLeft); return;
    case Sent::kAll:
      if (channel->last_seen_) {
        end(channel, HubEnd::kClosed);
      } else {
        watch_output(*channel, false);
      }
      return;
    case Sent::kBlocked:
      watch_output(*channel, true);
      // Nobody waits any longer for a client that was told goodbye.
      if (channel->last_seen_ && !channel->has_timer_) {
        set_timer(*channel, std::chrono::steady_clock::now() + kStallLimit);
      }
      return;
  }
}

void Hub::on_event(uint64_t id, uint32_t events) {
  auto found = channels_.find(id);
  if (found == channels_.end()) return;
  std::shared_ptr<HubChannel> channel = found->second;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 && !peer_is_there(*channel)) {
    end(channel, HubEnd::kPeerLeft);
    return;
  }
  if ((events & EPOLLOUT) != 0) service(channel);
}

// A client has nothing to say while its answer runs, so what can be read is its farewell, TLS's own
// messages, or an early next request, which cannot be kept here.
bool Hub::peer_is_there(HubChannel& channel) {
  char scratch[512];
  return channel.connection_->read(scratch, sizeof(scratch)).state == IoState::kWouldBlock;
}

// The next bytes from the front of what is being sent, framed, into the scratch buffer. The same
// position gives the same bytes, which TLS demands of a repeated write.
size_t Hub::gather(const HubChannel& channel) {
  scratch_.clear();
  size_t skip = channel.sending_offset_;
  auto put = [&](std::string_view bytes) {
    size_t skipped = std::min(skip, bytes.size());
    skip -= skipped;
    bytes.remove_prefix(skipped);
    scratch_.append(bytes.substr(0, kScratchBytes - scratch_.size()));
  };
  for (size_t i = channel.sending_at_; i < channel.sending_.size(); ++i) {
    if (scratch_.size() == kScratchBytes) break;
    const HubChannel::Piece& piece = channel.sending_[i];
    if (piece.kind == HubChannel::Piece::Kind::kLastChunk) {
      put("0\r\n\r\n");
    } else if (piece.kind == HubChannel::Piece::Kind::kRaw) {
      put(*piece.bytes);
    } else {
      char size[20];
      char* end = std::to_chars(size, size + sizeof(size), piece.bytes->size(), 16).ptr;
      *end++ = '\r';
      *end++ = '\n';
      put({size, static_cast<size_t>(end - size)});
      put(*piece.bytes);
      put("\r\n");
    }
  }
  return scratch_.size();
}

void Hub::advance(HubChannel& channel, size_t bytes) {
  channel.progressed_ = true;
  channel.sending_offset_ += bytes;
  size_t freed = 0;
  while (channel.sending_at_ < channel.sending_.size()) {
    HubChannel::Piece& piece = channel.sending_[channel.sending_at_];
    size_t size = piece.framed_size();
    if (channel.sending_offset_ < size) break;
    channel.sending_offset_ -= size;
    if (piece.kind == HubChannel::Piece::Kind::kChunk) freed += piece.bytes->size();
    piece.bytes.reset();
    ++channel.sending_at_;
  }
  if (channel.sending_at_ == channel.sending_.size()) {
    channel.sending_ = {};
    channel.sending_at_ = 0;
  }
  if (freed == 0) return;
  MutexLock lock(channel.mutex_);
  channel.unsent_bytes_ -= std::min(freed, channel.unsent_bytes_);
}

Hub::Sent Hub::send(HubChannel& channel) {
  size_t turn = 0;
  while (!channel.sending_.empty()) {
    if (turn >= kTurnBytes) return Sent::kBlocked;  // EPOLLOUT brings it back at once.
    gather(channel);
    Io io = channel.connection_->write(scratch_);
    if (io.state == IoState::kWouldBlock) return Sent::kBlocked;
    if (io.state != IoState::kDone) return Sent::kBroken;
    advance(channel, io.bytes);
    turn += io.bytes;
  }
  return Sent::kAll;
}

void Hub::watch_output(HubChannel& channel, bool on) {
  if (channel.waits_for_output_ == on) return;
  channel.waits_for_output_ = on;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | (on ? EPOLLOUT : 0U);
  event.data.u64 = channel.id_;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, channel.connection_->fd(), &event);
}

void Hub::set_timer(HubChannel& channel, MonotonicTime at) {
  clear_timer(channel);
  channel.timer_ = timers_.emplace(at, &channel);
  channel.has_timer_ = true;
}

void Hub::clear_timer(HubChannel& channel) {
  if (!std::exchange(channel.has_timer_, false)) return;
  timers_.erase(channel.timer_);
}

void Hub::fire_timers() {
  MonotonicTime now = std::chrono::steady_clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    std::shared_ptr<HubChannel> channel = timers_.begin()->second->shared_from_this();
    clear_timer(*channel);
    if (!channel->last_seen_) {
      channel->source_->deadline(*channel);
    } else if (std::exchange(channel->progressed_, false)) {
      set_timer(*channel, now + kStallLimit);
    } else {
      end(channel, HubEnd::kPeerLeft);
    }
  }
}

void Hub::end(std::shared_ptr<HubChannel> channel, HubEnd reason) {
  clear_timer(*channel);
  channels_.erase(channel->id_);
  count_.store(channels_.size(), std::memory_order_relaxed);
  std::unique_ptr<Connection> connection = std::move(channel->connection_);
  epoll_ctl(epoll_, EPOLL_CTL_DEL, connection->fd(), nullptr);
  channel->sending_ = {};
  std::shared_ptr<const void> kept;
  {
    MutexLock lock(channel->mutex_);
    kept = std::move(channel->kept_);
    if (channel->cut_ && reason == HubEnd::kClosed) channel->keep_alive_ = false;
    channel->ended_ = true;
    channel->posted_ = {};
  }
  bool reusable = reason == HubEnd::kClosed && channel->keep_alive_;
  if (reusable) {
    give_back_(std::move(connection));
  } else {
    connection.reset();
  }
  if (std::shared_ptr<EventSource> source = std::move(channel->source_)) source->ended(reason);
}

void Hub::end_all() {
  {
    MutexLock lock(inbox_->mutex);
    inbox_->stopped = true;
  }
  take_inbox();
  while (!channels_.empty()) {
    std::shared_ptr<HubChannel> channel = channels_.begin()->second;
    channel->close();
    if (collect(*channel)) {
      (void)send(*channel);
      end(channel, HubEnd::kStopped);
    }
  }
}

}  // namespace wherry::http
