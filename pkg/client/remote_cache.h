#pragma once
// RemoteCache: the Cache of an agent. One thread, "informer", holds the watches of all resources
// over a TransferSet, is the only writer of the copies, and calls the handlers.
//
// A node may read only what concerns it, so a rule says which part of a resource is followed: all
// of it, what a field selector names, or, for Secrets and ConfigMaps, the single objects that this
// node's pods name, one watch each while a pod does. A single object that is asked for before its
// watch has begun is fetched by the asking thread.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/thread.h"
#include "client/client.h"
#include "client/identity.h"
#include "client/reflector.h"
#include "http/transfer_set.h"

namespace wherry::client {

struct ObjectRef {
  std::string resource;  // "configmaps"
  std::string ns;
  std::string name;
  auto operator<=>(const ObjectRef&) const = default;
};

struct CacheRule {
  std::string resource;        // "pods"; resources without a rule are followed whole.
  std::string field_selector;  // "spec.nodeName=node-1"
  bool by_reference = false;
  const Identity* identity = nullptr;  // Null: the cache's.
};

struct RemoteCacheOptions {
  std::string server;  // "https://host:port"
  std::vector<CacheRule> rules;
  // The single objects that an object of `referrers` needs.
  std::string referrers = "pods";
  std::function<std::vector<ObjectRef>(const api::Object&)> references;
  std::chrono::milliseconds patience{20'000};  // Of start().
};

class RemoteCache final : public Cache {
 public:
  // `identity` and `client` outlive the cache.
  RemoteCache(RemoteCacheOptions options, const Identity& identity, Client& client);
  ~RemoteCache() override;

  const Lister& lister(const Resource& resource) override EXCLUDES(mutex_);
  void subscribe(const Resource& resource, Handler handler) override EXCLUDES(mutex_);
  // kTimeout when the server has not answered within the patience; the cache then goes on trying.
  Result<void> start() override EXCLUDES(mutex_);
  void stop() override;

  // Called once, on the informer thread, when everything subscribed to has been listed. Before
  // start().
  void when_synced(std::function<void()> handler) { when_synced_ = std::move(handler); }

 private:
  class Copy;   // The objects of one resource: the Lister.
  class Watch;  // One reflector and the part of a Copy that it keeps.
  struct Feed {
    const Resource* resource;
    Handler handler;
  };

  Copy& copy_locked(const Resource& resource) REQUIRES(mutex_);
  const CacheRule* rule_of(std::string_view resource) const;
  void deliver(Copy& copy, const ObjectPtr& before, const ObjectPtr& after, Revision revision);
  void note_references(const ObjectPtr& before, const ObjectPtr& after);
  void trouble(std::string_view resource, const std::optional<Error>& error, bool& complained);
  void run(const std::stop_token& stop) EXCLUDES(mutex_);
  void open_watches() EXCLUDES(mutex_);
  void open_reference(const ObjectRef& ref) EXCLUDES(mutex_);
  void close_watches();
  void check_synced() EXCLUDES(mutex_);

  const RemoteCacheOptions options_;
  const Identity& identity_;
  Client& client_;
  std::function<void()> when_synced_;

  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, std::unique_ptr<Copy>, std::less<>> copies_ GUARDED_BY(mutex_);
  std::vector<Copy*> unwatched_ GUARDED_BY(mutex_);  // Asked for, and nobody follows them yet.
  bool started_ GUARDED_BY(mutex_) = false;
  bool synced_ GUARDED_BY(mutex_) = false;

  // Constant once started.
  std::map<std::string, std::vector<Feed>, std::less<>> feeds_;

  // The informer thread's.
  http::TransferSet transfers_;
  std::vector<std::unique_ptr<Watch>> watches_;
  std::map<ObjectRef, std::unique_ptr<Watch>> by_reference_;
  std::map<ObjectRef, std::set<std::string>> wanted_;  // By the UIDs of the referrers.
  std::set<ObjectRef> changed_references_;             // To be opened or closed.
  bool away_ = false;                                  // The server does not answer; said once.

  std::jthread thread_;
};

}  // namespace wherry::client
