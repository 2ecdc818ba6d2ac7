#pragma once
// Hub: one thread of those behind hub.h. One epoll over all its connections; posts from other
// threads arrive through an inbox and an eventfd.
//
// A channel is guarded in two parts: what any thread may touch (posts, flags) by its mutex, what
// only the hub touches (the connection, what is being sent) by being the hub's. Lock order:
// channel, then inbox; no lock is held while an EventSource is called.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "http/connection.h"
#include "http/hub.h"

namespace wherry::http {

class HubChannel;

// Where posts announce themselves. Outlives the hub for handles that do.
struct HubInbox {
  ~HubInbox();
  int event_fd = -1;
  Mutex mutex;
  std::vector<std::shared_ptr<HubChannel>> ready GUARDED_BY(mutex);
  bool stopped GUARDED_BY(mutex) = false;

  void announce(std::shared_ptr<HubChannel> channel) EXCLUDES(mutex);
};

class HubChannel final : public HubConnection, public std::enable_shared_from_this<HubChannel> {
 public:
  struct Piece {
    enum class Kind : uint8_t { kRaw, kChunk, kLastChunk };
    std::shared_ptr<const std::string> bytes;  // Null for kLastChunk.
    Kind kind = Kind::kChunk;
    size_t framed_size() const;
  };

  HubChannel(std::shared_ptr<HubInbox> inbox, std::shared_ptr<EventSource> source,
             HubOptions options)
      : inbox_(std::move(inbox)), options_(options), source_(std::move(source)) {}

  bool post(std::shared_ptr<const std::string> bytes) override EXCLUDES(mutex_);
  bool post_unlimited(std::shared_ptr<const std::string> bytes) override EXCLUDES(mutex_);
  void close() override EXCLUDES(mutex_);
  void close(std::shared_ptr<const std::string> last) override EXCLUDES(mutex_);
  void abort() override EXCLUDES(mutex_);
  bool ended() const override EXCLUDES(mutex_);
  void keep(std::shared_ptr<const void> what) override EXCLUDES(mutex_);

 private:
  friend class Hub;
  bool add(std::shared_ptr<const std::string> bytes, bool limited) EXCLUDES(mutex_);
  bool needs_announcing() REQUIRES(mutex_);

  const std::shared_ptr<HubInbox> inbox_;
  const HubOptions options_;

  mutable Mutex mutex_;
  std::vector<Piece> posted_ GUARDED_BY(mutex_);
  size_t unsent_bytes_ GUARDED_BY(mutex_) = 0;
  bool attached_ GUARDED_BY(mutex_) = false;
  bool announced_ GUARDED_BY(mutex_) = false;
  bool closing_ GUARDED_BY(mutex_) = false;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::optional<HubEnd> cut_ GUARDED_BY(mutex_);  // To be ended without sending the rest.
  std::shared_ptr<const void> kept_ GUARDED_BY(mutex_);

  // The hub's own.
  uint64_t id_ = 0;
  std::shared_ptr<EventSource> source_;
  std::unique_ptr<Connection> connection_;
  bool keep_alive_ = false;
  std::vector<Piece> sending_;
  size_t sending_at_ = 0;      // Index of the piece in front.
  size_t sending_offset_ = 0;  // In its framed form.
  bool last_seen_ = false;     // The end of the body is in sending_.
  bool waits_for_output_ = false;
  bool progressed_ = false;  // Since the last look at stall_check.
  std::multimap<MonotonicTime, HubChannel*>::iterator timer_;
  bool has_timer_ = false;
};

class Hub {
 public:
  using GiveBack = std::function<void(std::unique_ptr<Connection>)>;

  // `give_back` takes connections that are free for their next request; it is called on the hub
  // thread.
  explicit Hub(GiveBack give_back) : give_back_(std::move(give_back)) {}
  ~Hub() { stop(); }
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  Result<void> start();
  // Ends every connection with kStopped after a last try to send what waits.
  void stop();

  // ---- Any thread.
  std::shared_ptr<HubConnection> create(std::shared_ptr<EventSource> source, HubOptions options);
  // Forgets a handle that was never attached; its posts go nowhere from now on.
  void discard(const std::shared_ptr<HubConnection>& handle);
  // The connection belongs to the hub from here on. `head` is the response's head.
  void attach(const std::shared_ptr<HubConnection>& handle, std::unique_ptr<Connection> connection,
              std::string head, bool keep_alive);
  size_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  void hand_over(const std::shared_ptr<HubChannel>& channel);
  void run(const std::stop_token& stop);
  int timeout_ms() const;
  void take_inbox();
  void adopt(const std::shared_ptr<HubChannel>& channel);
  void service(const std::shared_ptr<HubChannel>& channel);
  bool collect(HubChannel& channel);
  void on_event(uint64_t id, uint32_t events);
  bool peer_is_there(HubChannel& channel);
  enum class Sent { kAll, kBlocked, kBroken };
  Sent send(HubChannel& channel);
  size_t gather(const HubChannel& channel);
  void advance(HubChannel& channel, size_t bytes);
  void watch_output(HubChannel& channel, bool on);
  void fire_timers();
  void set_timer(HubChannel& channel, MonotonicTime at);
  void clear_timer(HubChannel& channel);
  void end(std::shared_ptr<HubChannel> channel, HubEnd reason);
  void end_all();

  const GiveBack give_back_;
  std::shared_ptr<HubInbox> inbox_;
  int epoll_ = -1;
  std::atomic<size_t> count_{0};
  std::atomic<uint64_t> next_id_{1};

  // The hub thread's own.
  std::unordered_map<uint64_t, std::shared_ptr<HubChannel>> channels_;
  std::multimap<MonotonicTime, HubChannel*> timers_;
  std::string scratch_;

  std::jthread thread_;
};

}  // namespace wherry::http
