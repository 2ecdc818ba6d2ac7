#pragma once
// FakeCluster: Client and Cache over a map in memory, for tests of what stands on them. Writes take
// effect at once, changes are delivered to subscribers inside the call, and every call is noted. No
// defaults, no validation, no admission. One thread.

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "client/client.h"

namespace wherry::client {

class FakeCluster final : public Client, public Cache {
 public:
  explicit FakeCluster(const Clock& clock);
  ~FakeCluster() override;

  // Puts an object as it stands (uid and creationTimestamp are added when missing); for setting a
  // scene.
  ObjectPtr put(const Resource& resource, std::string_view json_or_yaml);
  // Changes an object by a JSON merge patch without a note in `calls`.
  ObjectPtr change(const Resource& resource, std::string_view ns, std::string_view name,
                   std::string_view merge_patch);
  void erase(const Resource& resource, std::string_view ns, std::string_view name);

  // "create pods default/web-1", "patch deployments.apps default/web status", ...
  std::vector<std::string> calls;
  // What the server adds to an object of that resource when it is created (a review's status).
  std::map<std::string, std::function<void(json::Node)>> completions;
  // The next create of that resource fails with this error.
  std::map<std::string, Error> create_errors;

  Result<ObjectPtr> get(const Resource& resource, std::string_view ns,
                        std::string_view name) override;
  Result<List> list(const Resource& resource, std::string_view ns,
                    const api::Selector& labels) override;
  Result<ObjectPtr> create(const Resource& resource, std::string_view ns,
                           json::Value object) override;
  Result<ObjectPtr> create_subresource(const Resource& resource, std::string_view ns,
                                       std::string_view name, std::string_view subresource,
                                       json::Value body) override;
  Result<ObjectPtr> update(const Resource& resource, std::string_view ns, std::string_view name,
                           json::Value object, std::string_view subresource) override;
  Result<ObjectPtr> patch(const Resource& resource, std::string_view ns, std::string_view name,
                          PatchType type, json::Value patch, const PatchOptions& options) override;
  // Objects with finalizers get a deletionTimestamp; pods that have a node too, until grace 0 is
  // given.
  Result<void> remove(const Resource& resource, std::string_view ns, std::string_view name,
                      const DeleteOptions& options) override;

  const Lister& lister(const Resource& resource) override;
  void subscribe(const Resource& resource, Handler handler) override;
  Result<void> start() override { return {}; }
  void stop() override {}

 private:
  class MapLister;
  using Key = std::pair<std::string, std::string>;
  using Objects = std::map<Key, ObjectPtr>;

  ObjectPtr store(const Resource& resource, json::Draft object);
  void deliver(const Resource& resource, ObjectPtr before, ObjectPtr after);
  void note(std::string_view verb, const Resource& resource, std::string_view ns,
            std::string_view name, std::string_view subresource = {});

  const Clock& clock_;
  Revision revision_ = 100;
  int names_ = 0;
  std::map<std::string, Objects> objects_;  // By group_resource.
  std::map<std::string, std::unique_ptr<MapLister>> listers_;
  std::map<std::string, std::vector<Handler>> handlers_;
};

}  // namespace wherry::client
