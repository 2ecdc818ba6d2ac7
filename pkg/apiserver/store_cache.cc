// Listers and change notices over the store's feed.
//
// The feed's thread keeps the owner index and queues what changed; the dispatcher thread calls the
// handlers. Because the store publishes before it answers a commit, a lister always shows one's own
// writes.

#include <deque>
#include <map>
#include <set>

#include "api/conversion.h"
#include "apiserver/local_client.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace wherry::apiserver {
namespace {

using Position = std::pair<std::string, std::string>;  // Namespace and name.

class StoreLister final : public client::Lister {
 public:
  StoreLister(const store::Store& store, std::string resource)
      : resource_(std::move(resource)), store_(store) {}

  ObjectPtr find(std::string_view ns, std::string_view name) const override {
    return store_.get(resource_, ns, name);
  }

  std::vector<ObjectPtr> list(std::string_view ns) const override {
    std::vector<ObjectPtr> out;
    store_.snapshot(resource_)->scan(ns, "", "", [&out](const ObjectPtr& object) {
      out.push_back(object);
      return true;
    });
    return out;
  }

  std::vector<ObjectPtr> list_owned(std::string_view ns, std::string_view owner_uid) const override
      EXCLUDES(mutex_) {
    std::vector<Position> positions;
    {
      MutexLock lock(mutex_);
      auto found = by_owner_.find(owner_uid);
      if (found == by_owner_.end()) return {};
      positions.assign(found->second.begin(), found->second.end());
    }
    std::vector<ObjectPtr> out;
    for (const Position& at : positions) {
      if (!ns.empty() && at.first != ns) continue;
      if (ObjectPtr object = store_.get(resource_, at.first, at.second)) out.push_back(object);
    }
    return out;
  }

  Revision revision() const override { return store_.revision(); }

  void note(const ObjectPtr& before, const ObjectPtr& after) EXCLUDES(mutex_) {
    std::vector<std::string> old_owners = owners(before);
    std::vector<std::string> new_owners = owners(after);
    if (old_owners == new_owners) return;
    const ObjectPtr& either = after != nullptr ? after : before;
    Position at{std::string(either->ns()), std::string(either->name())};
    MutexLock lock(mutex_);
    for (const std::string& owner : old_owners) {
      auto found = by_owner_.find(owner);
      if (found == by_owner_.end()) continue;
      found->second.erase(at);
      if (found->second.empty()) by_owner_.erase(found);
    }
    for (const std::string& owner : new_owners) by_owner_[owner].insert(at);
  }

 private:
  static std::vector<std::string> owners(const ObjectPtr& object) {
    if (object == nullptr || !object->owned()) return {};
    json::Document document = object->document();
    std::vector<std::string> out;
    for (json::Value owner : document.root()["metadata"]["ownerReferences"].items()) {
      out.emplace_back(owner["uid"].as_string());
    }
    return out;
  }

  const std::string resource_;
  const store::Store& store_;
  mutable Mutex mutex_;
  std::map<std::string, std::set<Position>, std::less<>> by_owner_ GUARDED_BY(mutex_);
};

class StoreCache final : public client::Cache, public store::Watcher {
 public:
  explicit StoreCache(store::Store& store) : store_(store) {}
  ~StoreCache() override { StoreCache::stop(); }

  const client::Lister& lister(const Resource& resource) override {
    MutexLock lock(mutex_);
    return lister_locked(resource);
  }

  void subscribe(const Resource& resource, Handler handler) override {
    MutexLock lock(mutex_);
    CHECK(!started_);
    StoreLister& lister = lister_locked(resource);
    feeds_[api::stored_rules(resource).group_resource()].push_back({&resource, std::move(handler)});
    static_cast<void>(lister);
  }

  Result<void> start() override {
    Revision from = store_.revision();
    std::vector<std::string> resources;
    {
      MutexLock lock(mutex_);
      CHECK(!started_);
      started_ = true;
      for (const auto& [name, lister] : listers_) resources.push_back(name);
    }
    // State first, then the feed from the revision the state was read at. One snapshot a resource
    // may be newer than `from`; the events in between are then told twice, which handlers bear.
    for (const std::string& name : resources) {
      MutexLock lock(mutex_);
      prime_locked(name);
    }
    subscription_ = TRY(store_.watch("", from, *this));
    dispatcher_ = start_thread("feed-dispatch", [this](std::stop_token stop) { dispatch(stop); });
    return {};
  }

  void stop() override {
    subscription_.reset();
    if (dispatcher_.joinable()) {
      dispatcher_.request_stop();
      dispatcher_.join();
    }
  }

  void on_events(std::span<const store::EventPtr> events) override EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    for (const store::EventPtr& event : events) {
      auto found = listers_.find(event->resource);
      if (found == listers_.end()) continue;
      bool deleted = event->type == store::EventType::kDeleted;
      ObjectPtr before = deleted && event->previous == nullptr ? event->object : event->previous;
      found->second->note(before, deleted ? nullptr : event->object);
      if (!feeds_.contains(event->resource)) continue;
      queue_.push_back({std::string(event->resource), before, deleted ? nullptr : event->object,
                        event->revision});
    }
    changed_.notify_one();
  }

 private:
  struct Feed {
    const Resource* resource;
    Handler handler;
  };
  struct Item {
    std::string resource;
    ObjectPtr before;
    ObjectPtr after;
    Revision revision;
  };

  StoreLister& lister_locked(const Resource& resource) REQUIRES(mutex_) {
    std::string name = api::stored_rules(resource).group_resource();
    auto found = listers_.find(name);
    if (found == listers_.end()) {
      found = listers_.emplace(name, std::make_unique<StoreLister>(store_, name)).first;
      // A late comer reads the state now. Events that are under way may be older than that; when
      // they have all come, the owner index is right again.
      if (started_) prime_locked(name);
    }
    return *found->second;
  }

  void prime_locked(const std::string& name) REQUIRES(mutex_) {
    store::SnapshotPtr snapshot = store_.snapshot(name);
    StoreLister& lister = *listers_.find(name)->second;
    bool wanted = feeds_.contains(name);
    snapshot->scan("", "", "", [&](const ObjectPtr& object) NO_THREAD_SAFETY_ANALYSIS {
      lister.note(nullptr, object);
      if (wanted) queue_.push_back({name, nullptr, object, object->revision()});
      return true;
    });
  }

  void dispatch(const std::stop_token& stop) EXCLUDES(mutex_) {
    while (true) {
      std::deque<Item> items;
      {
        MutexLock lock(mutex_);
        bool some = changed_.wait(mutex_, stop, [this] { return has_items(); });
        if (!some || stop.stop_requested()) return;
        items.swap(queue_);
      }
      for (const Item& item : items) {
        for (const Feed& feed : feeds_.find(item.resource)->second) {
          feed.handler({feed.resource, item.before, item.after, item.revision});
        }
      }
    }
  }
  bool has_items() const NO_THREAD_SAFETY_ANALYSIS { return !queue_.empty(); }

  store::Store& store_;

  // Constant once started.
  std::map<std::string, std::vector<Feed>, std::less<>> feeds_;

  Mutex mutex_;
  CondVar changed_;
  bool started_ GUARDED_BY(mutex_) = false;
  std::map<std::string, std::unique_ptr<StoreLister>, std::less<>> listers_ GUARDED_BY(mutex_);
  std::deque<Item> queue_ GUARDED_BY(mutex_);

  std::unique_ptr<store::Subscription> subscription_;
  std::jthread dispatcher_;
};

}  // namespace

std::unique_ptr<client::Cache> make_store_cache(store::Store& store) {
  return std::make_unique<StoreCache>(store);
}

}  // namespace wherry::apiserver
