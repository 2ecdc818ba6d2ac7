#pragma once
// The controller runtime: watch, key, reconcile. A controller is one constant row, a
// ControllerSpec: its name, what it watches (a resource and a pure function from a change to keys)
// and a factory. The runtime owns queue, back-off and threads.
//
// reconcile(key) is not told what happened, only which key to look at; it reads listers, acts
// through the client, and returns Requeue::never(), Requeue::after(d) or an error (again, after a
// back-off). It may run twice, late or after a restart. Reads never trail the controller's own
// writes: in the server the listers are the store's own maps, which a write has reached when it
// returns.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "api/resource.h"
#include "base/clock.h"
#include "base/result.h"
#include "client/client.h"
#include "client/event_recorder.h"
#include "controller/work_queue.h"
#include "pki/pki.h"

namespace wherry::controller {

using api::ObjectPtr;
using client::Change;
using client::Client;
using client::Lister;

class Requeue {
 public:
  static Requeue never() { return Requeue({}); }
  static Requeue after(Duration delay) { return Requeue(delay); }
  const std::optional<Duration>& delay() const { return delay_; }

 private:
  explicit Requeue(std::optional<Duration> delay) : delay_(delay) {}
  std::optional<Duration> delay_;
};

// What controllers must know of the cluster itself.
struct ClusterFacts {
  std::function<std::string()> root_ca_pem;  // What kube-root-ca.crt publishes.
  std::string cluster_cidr;                  // Pods' addresses; nodes get slices of it.
  // Who signs the certificates of clients and of servers now; null: nobody does.
  std::function<pki::Authority()> client_authority, serving_authority;
  // A token without an end for a ServiceAccount, kept in a Secret; null: there are none.
  std::function<std::string(std::string_view ns, std::string_view name, std::string_view uid,
                            std::string_view secret)>
      legacy_token;
};

// What a controller works with. Lives as long as the controller.
struct Context {
  Client& client;
  client::Cache& cache;
  const Clock& clock;
  client::EventRecorder& events;
  const ClusterFacts& facts;

  // By "pods" or "replicasets.apps".
  const Lister& lister(std::string_view group_resource) const {
    return cache.lister(api::resource(group_resource));
  }
};

class Reconciler {
 public:
  virtual ~Reconciler() = default;
  virtual Result<Requeue> reconcile(const ObjectKey& key) = 0;
};

// Whether objects of the resource live in the store (reviews and bindings do not).
bool is_stored(const api::Resource& resource);

// The answer to a create in a namespace that is being deleted. The runtime does not retry it.
bool namespace_terminating(const Error& error);

using Keys = std::vector<ObjectKey>;
// From a change to the keys that want a pass. `change.after` is null for a delete.
using MapFunction = void (*)(const Change& change, const Context& context, Keys& out);

// The changed object itself.
void self(const Change& change, const Context& context, Keys& out);
// The owner that controls the object, before and after, if it is of kind `Kind`; see owner_of in
// owners.h.
struct Watch {
  std::string_view resource;
  MapFunction map = &self;
};

struct ControllerSpec {
  std::string_view name;  // Also the identity it acts as: system:serviceaccount:kube-system:<name>.
  std::span<const Watch> watches;
  std::unique_ptr<Reconciler> (*make)(const Context& context);
  MapFunction watch_all = nullptr;  // Instead of `watches`: for every resource that is stored.
  int workers = 1;
  std::string_view event_component = {};  // Empty: the name.
  bool follows_facts = false;  // What it watches first is looked at again when ClusterFacts change.
};

template <typename T>
std::unique_ptr<Reconciler> make(const Context& context) {
  return std::make_unique<T>(context);
}

// The readable list in all.cc.
std::span<const ControllerSpec* const> all_controllers();

// Gives each controller a client that acts as it.
class ClientFactory {
 public:
  virtual ~ClientFactory() = default;
  virtual Client& client_for(std::string_view controller) = 0;
};

// Runs a set of controllers over one cache. Constructed and stopped by its owner; subscribes in the
// constructor, before the cache is started; workers begin with start().
class Controllers {
 public:
  Controllers(std::span<const ControllerSpec* const> specs, ClientFactory& clients,
              client::Cache& cache, const Clock& clock, ClusterFacts facts);
  ~Controllers();
  Controllers(const Controllers&) = delete;
  void start();  // After the cache was started.
  void stop();
  // What a function of ClusterFacts answers is another thing now. Any thread.
  void facts_changed();

 private:
  class Running;
  const ClusterFacts facts_;
  std::vector<std::unique_ptr<Running>> running_;
};

}  // namespace wherry::controller
