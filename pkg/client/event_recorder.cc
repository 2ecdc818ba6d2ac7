#include "client/event_recorder.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/random.h"

namespace wherry::client {
namespace {

constexpr size_t kRecentMax = 1024;
constexpr size_t kBucketsMax = 4096;
constexpr double kBurst = 25;
constexpr double kRefillPerSecond = 1.0 / 300;

// Events about cluster-scoped objects live in "default".
std::string event_namespace(const Reference& about) {
  return about.ns.empty() ? "default" : about.ns;
}

void set_if(json::Node node, std::string_view key, const std::string& value) {
  if (!value.empty()) node.set(key, value);
}

}  // namespace

Reference reference_to(const api::Object& object, std::string_view field_path) {
  return {std::string(object.api_version()),
          std::string(object.kind()),
          std::string(object.ns()),
          std::string(object.name()),
          std::string(object.uid()),
          std::to_string(object.revision()),
          std::string(field_path)};
}

EventRecorder::EventRecorder(Client& client, const Clock& clock, std::string component,
                             std::string host)
    : client_(client), clock_(clock), component_(std::move(component)), host_(std::move(host)) {}

bool EventRecorder::allowed(const std::string& uid) {
  if (buckets_.size() > kBucketsMax) buckets_.clear();
  MonotonicTime now = clock_.monotonic();
  auto [at, fresh] = buckets_.try_emplace(uid, Bucket{kBurst, now});
  Bucket& bucket = at->second;
  double seconds = std::chrono::duration<double>(now - bucket.filled).count();
  bucket.tokens = std::min(kBurst, bucket.tokens + seconds * kRefillPerSecond);
  bucket.filled = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void EventRecorder::record(const Reference& about, std::string_view type, std::string_view reason,
                           std::string_view message) {
  std::string key = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", about.uid, about.name, about.field_path,
                                type, reason, message);
  std::string name;
  int64_t count = 1;
  {
    MutexLock lock(mutex_);
    if (!allowed(about.uid + about.name)) return;
    if (auto found = by_key_.find(key); found != by_key_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      count = ++found->second->count;
      name = found->second->name;
    } else {
      name = make_name(about);
      recent_.push_front({key, name, 1});
      by_key_[key] = recent_.begin();
      if (recent_.size() > kRecentMax) {
        by_key_.erase(recent_.back().key);
        recent_.pop_back();
      }
    }
  }
  Result<void> written = count > 1 ? count_up(event_namespace(about), name, count)
                                   : create(about, type, reason, message, name);
  // Gone in the meantime (Events are kept for an hour only): made anew.
  if (!written.ok() && count > 1 && written.error().is(Code::kNotFound)) {
    written = create(about, type, reason, message, name);
  }
  if (!written.ok())
    log::debug("event {} about {}: {}", reason, about.name, written.error().message());
}

// The object's name and 16 hexadecimal digits, which upstream takes from the clock in nanoseconds.
std::string EventRecorder::make_name(const Reference& about) const {
  auto stamp = static_cast<uint64_t>(clock_.now().time_since_epoch().count()) * 1000;
  return fmt::format("{}.{:x}", about.name, stamp + random_u64() % 1'000'000);
}

json::Draft EventRecorder::skeleton(const Reference& about, std::string_view type,
                                    std::string_view reason, std::string_view message,
                                    const std::string& name) const {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("kind", "Event");
  root.set("apiVersion", "v1");
  json::Node metadata = root.set_object("metadata");
  metadata.set("name", name);
  metadata.set("namespace", event_namespace(about));
  json::Node involved = root.set_object("involvedObject");
  set_if(involved, "kind", about.kind);
  set_if(involved, "namespace", about.ns);
  set_if(involved, "name", about.name);
  set_if(involved, "uid", about.uid);
  set_if(involved, "apiVersion", about.api_version);
  set_if(involved, "resourceVersion", about.resource_version);
  set_if(involved, "fieldPath", about.field_path);
  root.set("reason", reason);
  root.set("message", message);
  root.set("type", type);
  root.set("reportingComponent", component_);
  root.set("reportingInstance", host_);
  return draft;
}

void EventRecorder::record_action(const Reference& about, std::string_view type,
                                  std::string_view reason, std::string_view action,
                                  std::string_view message) {
  {
    MutexLock lock(mutex_);
    if (!allowed(about.uid + about.name)) return;
  }
  json::Draft draft = skeleton(about, type, reason, message, make_name(about));
  json::Node root = draft.root();
  root.set("action", action);
  root.set("eventTime", format_micro_time(clock_.now()));
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  root.set("reportingInstance", component_ + "-" + host);
  json::Document event = draft.freeze();
  Result<ObjectPtr> made =
      client_.create(api::resource("events"), event_namespace(about), event.root());
  if (!made.ok()) log::debug("event {} about {}: {}", reason, about.name, made.error().message());
}

Result<void> EventRecorder::create(const Reference& about, std::string_view type,
                                   std::string_view reason, std::string_view message,
                                   const std::string& name) {
  json::Draft draft = skeleton(about, type, reason, message, name);
  json::Node root = draft.root();
  json::Node source = root.set_object("source");
  source.set("component", component_);
  set_if(source, "host", host_);
  std::string now = format_time(clock_.now());
  root.set("firstTimestamp", now);
  root.set("lastTimestamp", now);
  root.set("count", 1);
  json::Document event = draft.freeze();
  TRY(client_.create(api::resource("events"), event_namespace(about), event.root()));
  return {};
}

Result<void> EventRecorder::count_up(const std::string& ns, const std::string& name,
                                     int64_t count) {
  json::Draft draft;
  draft.root().set("count", count);
  draft.root().set("lastTimestamp", format_time(clock_.now()));
  json::Document patch = draft.freeze();
  TRY(client_.patch(api::resource("events"), ns, name, PatchType::kMerge, patch.root()));
  return {};
}

}  // namespace wherry::client
