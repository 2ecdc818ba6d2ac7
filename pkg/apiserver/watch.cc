#include "apiserver/watch.h"

#include <algorithm>
#include <atomic>

#include "api/conversion.h"
#include "api/status.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/thread.h"

namespace wherry::apiserver {
namespace {

constexpr size_t kEncodedBytesMax = 1 << 20;
constexpr std::chrono::seconds kBookmarkEvery{60};
constexpr int64_t kTimeoutSecondsMin =
    1800;  // Without timeoutSeconds: between this and twice this.

// `object` as it was, but of a later revision: how a watcher is told that it left the selection.
ObjectPtr restamped(const ObjectPtr& object, Revision revision) {
  constexpr std::string_view kMember = "\"resourceVersion\":\"";
  std::string json = object->json();
  size_t at = json.find(kMember);
  if (at == std::string::npos) return object;
  at += kMember.size();
  json.replace(at, json.find('"', at) - at, std::to_string(revision));
  Result<ObjectPtr> out = api::Object::parse(std::move(json));
  CHECK(out.ok());
  return std::move(out).value();
}

int form_key(const Wanted& wanted) {
  return static_cast<int>(wanted.media) * 8 + static_cast<int>(wanted.form) * 2 +
         (wanted.form_version == "v1" ? 0 : 1);
}

Result<void> check_options(const WatchOptions& options) {
  api::FieldErrors errors;
  const std::string& match = options.resource_version_match;
  api::Path path("resourceVersionMatch");
  static constexpr std::string_view kKnown[] = {"NotOlderThan"};
  if (options.continues) {
    errors.forbidden(path, "resourceVersionMatch is forbidden when continue is provided");
  }
  if (options.send_initial_events) {
    if (match != "NotOlderThan") {
      errors.forbidden(path,
                       "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
      if (!match.empty()) errors.not_supported(path, match, kKnown);
    }
  } else if (!match.empty()) {
    errors.forbidden(path,
                     "resourceVersionMatch is forbidden for watch unless sendInitialEvents is "
                     "provided");
    if (match != kKnown[0]) errors.not_supported(path, match, kKnown);
  }
  if (!errors.empty()) return errors.to_error("meta.k8s.io", "ListOptions", "");
  return {};
}

class Silence final : public store::Watcher {
 public:
  void on_events(std::span<const store::EventPtr>) override {}
};

}  // namespace

http::SharedBytes EventEncoder::encode(std::string_view type, const Resource& resource,
                                       const ObjectPtr& object, const WatchOptions& options) {
  Key key{object.get(), std::string(type), &resource, form_key(options.wanted),
          options.wanted.form == Form::kTable ? options.include_object : std::string()};
  {
    MutexLock lock(mutex_);
    auto found = entries_.find(key);
    if (found != entries_.end()) return found->second.bytes;
  }
  http::SharedBytes bytes = encode_event(type, resource, object, options.wanted,
                                         options.include_object, false, clock_.now());
  MutexLock lock(mutex_);
  if (entries_.contains(key) || bytes->size() > kEncodedBytesMax / 4) return bytes;
  oldest_first_.push_back(key);
  entries_[key] = {object, bytes, std::prev(oldest_first_.end())};
  bytes_ += bytes->size();
  while (bytes_ > kEncodedBytesMax) {
    auto oldest = entries_.find(oldest_first_.front());
    bytes_ -= oldest->second.bytes->size();
    entries_.erase(oldest);
    oldest_first_.pop_front();
  }
  return bytes;
}

// One watch. The feed's thread hands events in, one batch at a time; the hub's thread says when it
// ends.
class WatchStream final : public http::EventSource, public store::Watcher {
 public:
  WatchStream(Target target, WatchOptions options, EventEncoder& encoder, const Clock& clock)
      : target_(std::move(target)),
        options_(std::move(options)),
        encoder_(encoder),
        clock_(clock) {}
  ~WatchStream() override { subscription_.reset(); }

  void open(std::shared_ptr<http::HubConnection> connection) {
    connection_ = std::move(connection);
  }

  // The state a watch begins with, before the feed is joined.
  void send_state(const store::Snapshot& snapshot) {
    snapshot.scan(target_.ns, "", "", [this](const ObjectPtr& object) {
      if (selects(*object)) connection_->post_unlimited(encode("ADDED", object));
      return !connection_->ended();
    });
    // A watch from the state on counts as one that asks for it, whether it says so or not.
    if (options_.bookmarks) bookmark(snapshot.revision(), true);
    last_ = snapshot.revision();
  }

  Result<void> join(store::Store& store, const std::string& resource, Revision after) {
    std::unique_ptr<store::Subscription> subscription = TRY(store.watch(resource, after, *this));
    MutexLock lock(mutex_);
    // The client may have left while the events that happened already were handed in.
    if (!ended_) subscription_ = std::move(subscription);
    return {};
  }

  void fail(const Error& error) { connection_->close(encode_error_event(error, options_.wanted)); }

  void bookmark(Revision revision, bool initial_events_end) {
    marked_ = revision;
    connection_->post_unlimited(encode_bookmark(*target_.resource, revision, initial_events_end,
                                                options_.wanted, options_.include_object));
  }

  // From the bookmark thread: nothing up to `delivered` is still to come.
  void progress(Revision delivered) {
    Revision shown = std::max(delivered, last_.load());
    last_ = shown;
    bookmark(shown, false);
  }

  void on_events(std::span<const store::EventPtr> events) override {
    for (const store::EventPtr& event : events) {
      if (target_.ns.empty() || event->object->ns() == target_.ns) forward(*event);
    }
  }

  void deadline(http::HubConnection& connection) override {
    if (options_.bookmarks && last_ > marked_) bookmark(last_, false);
    connection.close();
  }

  void ended(http::HubEnd) override {
    std::unique_ptr<store::Subscription> gone;
    MutexLock lock(mutex_);
    ended_ = true;
    gone = std::move(subscription_);
  }

 private:
  bool selects(const api::Object& object) const {
    if (!target_.name.empty() && object.name() != target_.name) return false;
    return options_.filter.everything() || options_.filter.matches(*target_.resource, object);
  }

  http::SharedBytes encode(std::string_view type, const ObjectPtr& object) {
    if (options_.wanted.form == Form::kTable && !headers_sent_) {
      headers_sent_ = true;
      return encode_event(type, *target_.resource, object, options_.wanted, options_.include_object,
                          true, clock_.now());
    }
    return encoder_.encode(type, *target_.resource, object, options_);
  }

  void forward(const store::Event& event) {
    bool deleted = event.type == store::EventType::kDeleted;
    bool was = event.previous != nullptr && selects(*event.previous);
    if (deleted && event.previous == nullptr) was = selects(*event.object);
    bool is = !deleted && selects(*event.object);
    if (!was && !is) return;
    std::string_view type = is ? (was ? "MODIFIED" : "ADDED") : "DELETED";
    ObjectPtr object = event.object;
    if (!is && !deleted) object = restamped(event.previous, event.revision);
    connection_->post(encode(type, object));
    last_ = event.revision;  // After the event itself: a bookmark must not overtake it.
  }

  const Target target_;
  const WatchOptions options_;
  EventEncoder& encoder_;
  const Clock& clock_;
  std::shared_ptr<http::HubConnection> connection_;  // Set once, before any event.
  bool headers_sent_ = false;                        // Feed's thread, after the opening one.
  std::atomic<Revision> last_{0};                    // Of the newest event or bookmark.
  std::atomic<Revision> marked_{0};                  // Of the newest bookmark.

  Mutex mutex_;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<store::Subscription> subscription_ GUARDED_BY(mutex_);
};

Watches::Watches(store::Store& store, const Clock& clock)
    : store_(store), clock_(clock), encoder_(clock) {
  ticker_ = start_thread("watch-bookmarks", [this](std::stop_token stop) { tick(stop); });
}

Watches::~Watches() {
  ticker_.request_stop();
  ticker_.join();
}

Result<void> Watches::serve(const Target& target, const WatchOptions& options,
                            http::Response& response) {
  TRY(check_options(options));
  Revision after = 0;
  bool from_state = options.resource_version.empty() || options.resource_version == "0" ||
                    options.send_initial_events.value_or(false);
  if (!options.resource_version.empty()) {
    std::optional<uint64_t> parsed = parse_uint(options.resource_version);
    if (!parsed || *parsed > INT64_MAX) {
      return Error::make(
          Code::kUnknown,
          "resourceVersion: Invalid value: {}: strconv.ParseUint: parsing {}: invalid "
          "syntax",
          quote(options.resource_version), quote(options.resource_version));
    }
    after = static_cast<Revision>(*parsed);
  }
  // "false" asks for no initial events, from wherever the store is now.
  if (options.send_initial_events == false && from_state) {
    from_state = false;
    after = store_.revision();
  }
  std::string resource = api::stored_rules(*target.resource).group_resource();
  auto stream = std::make_shared<WatchStream>(target, options, encoder_, clock_);
  int64_t seconds = options.timeout_seconds.value_or(0);
  if (seconds <= 0) {
    seconds = kTimeoutSecondsMin + static_cast<int64_t>(random_u64() % kTimeoutSecondsMin);
  }
  http::HubOptions hub;
  hub.deadline = clock_.monotonic() + std::chrono::seconds(seconds);
  stream->open(response.hijack_to_hub(watch_content_type(options.wanted), stream, hub));

  Revision current = store_.revision();
  if (after > current && from_state) {
    Error error = Error::make(
        Code::kTimeout, "Timeout: Too large resource version: {}, current: {}", after, current);
    error.details().causes.push_back({.reason = "ResourceVersionTooLarge",
                                      .message = "Too large resource version",
                                      .field = {}});
    stream->fail(error);
    return {};
  }
  if (from_state) {
    store::SnapshotPtr snapshot = store_.snapshot(resource);
    stream->send_state(*snapshot);
    after = snapshot->revision();
  }
  Result<void> joined = stream->join(store_, resource, after);
  if (!joined.ok()) {
    stream->fail(joined.error().is(Code::kExpired) ? api::expired(joined.error().message())
                                                   : joined.error());
    return {};
  }
  if (options.bookmarks) {
    MutexLock lock(mutex_);
    wanting_bookmarks_.push_back(stream);
    changed_.notify_one();
  }
  return {};
}

// A subscription is made between two deliveries, so when it stands, what the store had published
// before has reached everybody.
Revision Watches::delivered() {
  Revision revision = store_.revision();
  Silence silence;
  Result<std::unique_ptr<store::Subscription>> barrier = store_.watch("", revision, silence);
  return barrier.ok() ? revision : 0;
}

void Watches::tick(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::vector<std::weak_ptr<WatchStream>> streams;
    {
      MutexLock lock(mutex_);
      changed_.wait(mutex_, stop,
                    [this]() NO_THREAD_SAFETY_ANALYSIS { return !wanting_bookmarks_.empty(); });
      changed_.wait_for(mutex_, stop, kBookmarkEvery, [] { return false; });
      if (stop.stop_requested()) return;
      std::erase_if(wanting_bookmarks_, [](const auto& stream) { return stream.expired(); });
      streams = wanting_bookmarks_;
    }
    Revision revision = delivered();
    if (revision == 0) continue;
    for (const std::weak_ptr<WatchStream>& weak : streams) {
      if (std::shared_ptr<WatchStream> stream = weak.lock()) stream->progress(revision);
    }
  }
}

}  // namespace wherry::apiserver
