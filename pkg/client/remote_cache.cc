#include "client/remote_cache.h"

#include <algorithm>
#include <atomic>

#include "api/resource.h"
#include "base/log.h"

namespace wherry::client {
namespace {

using Position = std::pair<std::string, std::string>;  // Namespace and name.

Position position_of(const api::Object& object) {
  return {std::string(object.ns()), std::string(object.name())};
}

}  // namespace

class RemoteCache::Copy final : public Lister {
 public:
  Copy(const Resource& resource, bool by_reference, Client& client)
      : resource_(resource), by_reference_(by_reference), client_(client) {}

  const Resource& resource() const { return resource_; }
  bool by_reference() const { return by_reference_; }

  ObjectPtr find(std::string_view ns, std::string_view name) const override EXCLUDES(mutex_) {
    Position at{std::string(ns), std::string(name)};
    {
      MutexLock lock(mutex_);
      auto found = objects_.find(at);
      if (found != objects_.end()) return found->second;
      if (!by_reference_ || followed_.contains(at)) return nullptr;
    }
    Result<ObjectPtr> fetched = client_.get(resource_, ns, name);
    if (fetched.ok()) return *fetched;
    if (!fetched.error().is(Code::kNotFound)) {
      log::warn("{} {}/{}: {}", resource_.plural, ns, name, fetched.error().message());
    }
    return nullptr;
  }

  std::vector<ObjectPtr> list(std::string_view ns) const override EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    std::vector<ObjectPtr> out;
    auto at = ns.empty() ? objects_.begin() : objects_.lower_bound({std::string(ns), ""});
    for (; at != objects_.end() && (ns.empty() || at->first.first == ns); ++at) {
      out.push_back(at->second);
    }
    return out;
  }

  std::vector<ObjectPtr> list_owned(std::string_view ns,
                                    std::string_view owner_uid) const override {
    std::vector<ObjectPtr> out;
    for (const ObjectPtr& object : list(ns)) {
      json::Document document = object->document();
      for (json::Value owner : document.root()["metadata"]["ownerReferences"].items()) {
        if (owner["uid"].as_string() != owner_uid) continue;
        out.push_back(object);
        break;
      }
    }
    return out;
  }

  Revision revision() const override { return revision_; }
  void reached(Revision revision) { revision_ = std::max(revision_.load(), revision); }

  // What was there before. Null for `after` takes it away.
  ObjectPtr exchange(const Position& at, ObjectPtr after) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    auto found = objects_.find(at);
    ObjectPtr before = found == objects_.end() ? nullptr : found->second;
    if (after == nullptr) {
      if (found != objects_.end()) objects_.erase(found);
    } else {
      objects_[at] = std::move(after);
    }
    return before;
  }
  // Whether a watch answers for that one object now.
  void follow(const Position& at, bool on) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (on) {
      followed_.insert(at);
    } else {
      followed_.erase(at);
    }
  }

 private:
  const Resource& resource_;
  const bool by_reference_;
  Client& client_;
  std::atomic<Revision> revision_ = 0;
  mutable Mutex mutex_;
  std::map<Position, ObjectPtr> objects_ GUARDED_BY(mutex_);
  std::set<Position> followed_ GUARDED_BY(mutex_);
};

class RemoteCache::Watch final : public ReflectorSink {
 public:
  // `only` narrows it to one object.
  Watch(RemoteCache& cache, Copy& copy, Reflector::Source source, std::optional<Position> only)
      : cache_(cache),
        copy_(copy),
        only_(std::move(only)),
        reflector_(std::move(source), cache.transfers_, *this) {}

  Reflector& reflector() { return reflector_; }

  void replace(std::vector<ObjectPtr> objects, Revision revision) override {
    std::map<Position, ObjectPtr> fresh;
    for (ObjectPtr& object : objects) fresh[position_of(*object)] = std::move(object);
    for (const ObjectPtr& old : current()) {
      if (!fresh.contains(position_of(*old))) change(position_of(*old), nullptr, revision);
    }
    for (auto& [at, object] : fresh) change(at, object, object->revision());
    copy_.reached(revision);
    if (only_) copy_.follow(*only_, true);
  }
  void put(const ObjectPtr& object) override {
    change(position_of(*object), object, object->revision());
  }
  void erase(const ObjectPtr& last) override {
    change(position_of(*last), nullptr, last->revision());
  }
  void bookmark(Revision revision) override { copy_.reached(revision); }
  void trouble(const std::optional<Error>& error) override {
    cache_.trouble(copy_.resource().plural, error, complained_);
  }
  // Nobody wants it any more.
  void forget() {
    if (!only_) return;
    copy_.follow(*only_, false);
    copy_.exchange(*only_, nullptr);
  }

 private:
  std::vector<ObjectPtr> current() const {
    if (!only_) return copy_.list({});
    std::vector<ObjectPtr> out;
    for (ObjectPtr& object : copy_.list(only_->first)) {
      if (object->name() == only_->second) out.push_back(std::move(object));
    }
    return out;
  }
  void change(const Position& at, const ObjectPtr& after, Revision revision) {
    ObjectPtr before = copy_.exchange(at, after);
    copy_.reached(revision);
    if (before == nullptr && after == nullptr) return;
    bool same = before != nullptr && after != nullptr && before->uid() == after->uid() &&
                before->revision() == after->revision();
    if (!same) cache_.deliver(copy_, before, after, revision);
  }

  RemoteCache& cache_;
  Copy& copy_;
  const std::optional<Position> only_;
  bool complained_ = false;
  Reflector reflector_;
};

RemoteCache::RemoteCache(RemoteCacheOptions options, const Identity& identity, Client& client)
    : options_(std::move(options)), identity_(identity), client_(client) {}

RemoteCache::~RemoteCache() {
  RemoteCache::stop();
  by_reference_.clear();
  watches_.clear();
}

const CacheRule* RemoteCache::rule_of(std::string_view resource) const {
  for (const CacheRule& rule : options_.rules) {
    if (rule.resource == resource) return &rule;
  }
  return nullptr;
}

RemoteCache::Copy& RemoteCache::copy_locked(const Resource& resource) {
  std::string name = resource.group_resource();
  auto found = copies_.find(name);
  if (found != copies_.end()) return *found->second;
  const CacheRule* rule = rule_of(name);
  bool by_reference = rule != nullptr && rule->by_reference;
  auto& made = copies_[name] = std::make_unique<Copy>(resource, by_reference, client_);
  if (!by_reference) unwatched_.push_back(made.get());
  return *made;
}

const Lister& RemoteCache::lister(const Resource& resource) {
  MutexLock lock(mutex_);
  Copy& copy = copy_locked(resource);
  if (started_) transfers_.wake();
  return copy;
}

void RemoteCache::subscribe(const Resource& resource, Handler handler) {
  MutexLock lock(mutex_);
  CHECK(!started_);
  static_cast<void>(copy_locked(resource));
  feeds_[resource.group_resource()].push_back({&resource, std::move(handler)});
}

Result<void> RemoteCache::start() {
  MutexLock lock(mutex_);
  CHECK(!started_);
  started_ = true;
  thread_ = start_thread("informer", [this](const std::stop_token& stop) { run(stop); });
  bool done = changed_.wait_for(mutex_, options_.patience,
                                [this]() NO_THREAD_SAFETY_ANALYSIS { return synced_; });
  if (done) return {};
  return Error::timeout("{} does not answer yet", options_.server);
}

void RemoteCache::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  transfers_.wake();
  thread_.join();
}

void RemoteCache::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    open_watches();
    close_watches();
    std::optional<MonotonicTime> next;
    MonotonicTime now = std::chrono::steady_clock::now();
    auto step = [&](Watch& watch) {
      std::optional<MonotonicTime> due = watch.reflector().step(now);
      if (due && (!next || *due < *next)) next = due;
    };
    for (auto& watch : watches_) step(*watch);
    for (auto& [ref, watch] : by_reference_) step(*watch);
    transfers_.run_once(next);
    check_synced();
  }
}

void RemoteCache::open_watches() {
  std::vector<Copy*> fresh;
  {
    MutexLock lock(mutex_);
    fresh.swap(unwatched_);
  }
  for (Copy* copy : fresh) {
    const CacheRule* rule = rule_of(copy->resource().group_resource());
    Reflector::Source source;
    source.resource = &copy->resource();
    source.server = options_.server;
    source.identity = rule != nullptr && rule->identity != nullptr ? rule->identity : &identity_;
    if (rule != nullptr) source.field_selector = rule->field_selector;
    watches_.push_back(std::make_unique<Watch>(*this, *copy, std::move(source), std::nullopt));
  }
}

// Follows what a pod has come to need, lets go of what none needs any more.
void RemoteCache::close_watches() {
  for (const ObjectRef& ref : std::exchange(changed_references_, {})) {
    auto watched = by_reference_.find(ref);
    bool wanted = wanted_.contains(ref);
    if (wanted && watched == by_reference_.end()) open_reference(ref);
    if (!wanted && watched != by_reference_.end()) {
      watched->second->forget();
      by_reference_.erase(watched);
    }
  }
}

void RemoteCache::open_reference(const ObjectRef& ref) {
  const CacheRule* rule = rule_of(ref.resource);
  if (rule == nullptr || !rule->by_reference) return;
  Copy* copy = nullptr;
  {
    MutexLock lock(mutex_);
    copy = &copy_locked(api::resource(ref.resource));
  }
  Reflector::Source source;
  source.resource = &copy->resource();
  source.server = options_.server;
  source.ns = ref.ns;
  source.field_selector = "metadata.name=" + ref.name;
  source.identity = rule->identity != nullptr ? rule->identity : &identity_;
  by_reference_[ref] =
      std::make_unique<Watch>(*this, *copy, std::move(source), Position(ref.ns, ref.name));
}

void RemoteCache::check_synced() {
  {
    MutexLock lock(mutex_);
    bool all = std::all_of(watches_.begin(), watches_.end(),
                           [](const auto& watch) { return watch->reflector().synced(); });
    if (synced_ || !all || !unwatched_.empty()) return;
    synced_ = true;
    changed_.notify_all();
  }
  if (when_synced_) when_synced_();
}

void RemoteCache::note_references(const ObjectPtr& before, const ObjectPtr& after) {
  if (!options_.references) return;
  std::string uid(after != nullptr ? after->uid() : before->uid());
  std::set<ObjectRef> now;
  if (after != nullptr) {
    for (ObjectRef& ref : options_.references(*after)) now.insert(std::move(ref));
  }
  if (before != nullptr) {
    std::string old_uid(before->uid());
    for (const ObjectRef& ref : options_.references(*before)) {
      if (old_uid == uid && now.contains(ref)) continue;
      auto found = wanted_.find(ref);
      if (found == wanted_.end()) continue;
      found->second.erase(old_uid);
      if (found->second.empty()) wanted_.erase(found);
      changed_references_.insert(ref);
    }
  }
  for (const ObjectRef& ref : now) {
    if (wanted_[ref].insert(uid).second) changed_references_.insert(ref);
  }
}

void RemoteCache::deliver(Copy& copy, const ObjectPtr& before, const ObjectPtr& after,
                          Revision revision) {
  std::string name = copy.resource().group_resource();
  if (name == options_.referrers) note_references(before, after);
  auto found = feeds_.find(name);
  if (found == feeds_.end()) return;
  for (const Feed& feed : found->second) feed.handler({feed.resource, before, after, revision});
}

// A server that is away is said once for all watches, a refusal once for each.
void RemoteCache::trouble(std::string_view resource, const std::optional<Error>& error,
                          bool& complained) {
  if (!error) {
    if (away_) log::info("{} answers again", options_.server);
    away_ = false;
    complained = false;
    return;
  }
  bool gone = error->is(Code::kUnavailable) || error->is(Code::kTimeout);
  bool& said = gone ? away_ : complained;
  if (!said) log::warn("watch of {}: {}; trying again", resource, error->message());
  said = true;
}

}  // namespace wherry::client
