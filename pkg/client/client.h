#pragma once
// Client: how controllers, scheduler, agent and proxy speak to the API. In the server process it is
// a direct call into the API machinery (same admission and validation, no HTTP); in an agent it is
// HTTPS. A controller cannot tell which it holds. Any thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/resource.h"
#include "api/selector.h"
#include "base/result.h"
#include "json/json.h"

namespace wherry::client {

using api::ObjectPtr;
using api::Resource;
using api::Revision;

struct DeleteOptions {
  std::optional<std::string> uid;            // Precondition.
  std::optional<Revision> resource_version;  // Precondition.
  std::optional<int64_t> grace_period_seconds;
  std::string propagation_policy;  // "", "Background", "Foreground", "Orphan".
};

enum class PatchType { kJson, kMerge, kStrategic, kApply };

struct PatchOptions {
  std::string subresource;  // "", "status", ...
  std::string field_manager;
  bool force = false;
};

struct List {
  Revision revision = 0;
  std::vector<ObjectPtr> items;
};

class Client {
 public:
  virtual ~Client() = default;
  virtual Result<ObjectPtr> get(const Resource& resource, std::string_view ns,
                                std::string_view name) = 0;
  virtual Result<List> list(const Resource& resource, std::string_view ns,
                            const api::Selector& labels = {}) = 0;
  // `subresource` "" creates the object itself; "binding", "eviction", "token" post to that of
  // `name`.
  virtual Result<ObjectPtr> create(const Resource& resource, std::string_view ns,
                                   json::Value object) = 0;
  virtual Result<ObjectPtr> create_subresource(const Resource& resource, std::string_view ns,
                                               std::string_view name, std::string_view subresource,
                                               json::Value body) = 0;
  // The object carries its resourceVersion when a stale write would do harm.
  virtual Result<ObjectPtr> update(const Resource& resource, std::string_view ns,
                                   std::string_view name, json::Value object,
                                   std::string_view subresource = {}) = 0;
  virtual Result<ObjectPtr> patch(const Resource& resource, std::string_view ns,
                                  std::string_view name, PatchType type, json::Value patch,
                                  const PatchOptions& options = {}) = 0;
  virtual Result<void> remove(const Resource& resource, std::string_view ns, std::string_view name,
                              const DeleteOptions& options = {}) = 0;
};

// A read-only, always current view of one resource. In the server it reads the store's own maps.
class Lister {
 public:
  virtual ~Lister() = default;
  virtual ObjectPtr find(std::string_view ns, std::string_view name) const = 0;
  // All of `ns` (every namespace when empty), ordered by namespace and name.
  virtual std::vector<ObjectPtr> list(std::string_view ns) const = 0;
  // Objects whose controlling owner has that UID / any owner has it, in that namespace.
  virtual std::vector<ObjectPtr> list_owned(std::string_view ns,
                                            std::string_view owner_uid) const = 0;
  virtual Revision revision() const = 0;  // What has been seen so far.
};

// A change as a controller's watch sees it; `after` is null for a delete, `before` for an add.
struct Change {
  const Resource* resource = nullptr;
  ObjectPtr before;
  ObjectPtr after;
  Revision revision = 0;
};

// Listers and change notices for many resources. Handlers run on the cache's dispatcher thread, in
// order, and must only note what changed (put keys into queues).
class Cache {
 public:
  using Handler = std::function<void(const Change&)>;
  virtual ~Cache() = default;
  virtual const Lister& lister(const Resource& resource) = 0;  // Lives as long as the cache.
  // Existing objects are delivered first, as adds. Call before start().
  virtual void subscribe(const Resource& resource, Handler handler) = 0;
  // Begins delivery; returns once every subscribed resource has been listed.
  virtual Result<void> start() = 0;
  virtual void stop() = 0;
};

}  // namespace wherry::client
