#include "controller/runtime.h"

#include <algorithm>
#include <set>

#include "api/conversion.h"
#include "base/log.h"
#include "base/thread.h"

namespace wherry::controller {

bool is_stored(const api::Resource& resource) {
  if (!api::is_stored_form(resource)) return false;  // Another version of what is.
  if (resource.verbs.empty()) return true;
  return std::find(resource.verbs.begin(), resource.verbs.end(), "watch") != resource.verbs.end();
}

bool namespace_terminating(const Error& error) {
  const std::vector<Cause>& causes = error.details().causes;
  return error.is(Code::kForbidden) &&
         std::any_of(causes.begin(), causes.end(),
                     [](const Cause& cause) { return cause.reason == "NamespaceTerminating"; });
}

void self(const Change& change, const Context&, Keys& out) {
  const ObjectPtr& object = change.after != nullptr ? change.after : change.before;
  out.push_back({std::string(object->ns()), std::string(object->name())});
}

class Controllers::Running {
 public:
  Running(const ControllerSpec& spec, Client& client, client::Cache& cache, const Clock& clock,
          const ClusterFacts& facts)
      : spec_(spec),
        queue_(clock),
        events_(client, clock,
                std::string(spec.event_component.empty() ? spec.name : spec.event_component)),
        context_{client, cache, clock, events_, facts},
        reconciler_(spec.make(context_)) {
    for (const Watch& watch : spec.watches) subscribe(api::resource(watch.resource), watch.map);
    if (spec.watch_all == nullptr) return;
    std::set<std::string> seen;  // A resource served in two versions is stored once.
    for (const api::Resource* resource : api::resources()) {
      if (is_stored(*resource) && seen.insert(resource->group_resource()).second) {
        subscribe(*resource, spec.watch_all);
      }
    }
  }

  void start() {
    for (int i = 0; i < spec_.workers; ++i) {
      workers_.push_back(start_thread(std::string(spec_.name),
                                      [this](const std::stop_token& stop) { work(stop); }));
    }
  }
  void request_stop() {
    for (std::jthread& worker : workers_) worker.request_stop();
  }
  void join() { workers_.clear(); }
  void facts_changed() {
    if (!spec_.follows_facts) return;
    const Watch& watch = spec_.watches.front();
    for (const ObjectPtr& object : context_.lister(watch.resource).list({})) {
      note({&api::resource(watch.resource), object, object, object->revision()}, watch.map);
    }
  }

 private:
  void subscribe(const api::Resource& resource, MapFunction map) {
    context_.cache.subscribe(resource, [this, map](const Change& change) { note(change, map); });
  }

  void note(const Change& change, MapFunction map) {
    Keys keys;
    map(change, context_, keys);
    for (const ObjectKey& key : keys) queue_.add(key);
  }

  void work(const std::stop_token& stop) {
    while (std::optional<ObjectKey> key = queue_.get(stop)) {
      pass(*key);
      queue_.done(*key);
    }
  }

  void pass(const ObjectKey& key) {
    Result<Requeue> result = reconciler_->reconcile(key);
    if (result.ok()) {
      queue_.forget(key);
      if (result->delay()) queue_.add_after(key, *result->delay());
      return;
    }
    // What a closing namespace refuses is not wanted any more.
    if (namespace_terminating(result.error())) {
      queue_.forget(key);
      return;
    }
    // Losing a race is the ordinary way of optimistic writes; the next pass sees the newer object.
    if (result.error().is(Code::kConflict) || result.error().is(Code::kNotFound)) {
      log::debug("{} {}/{}: {}", spec_.name, key.ns, key.name, result.error().message());
    } else {
      log::warn("{} {}/{}: {}", spec_.name, key.ns, key.name, result.error().message());
    }
    queue_.add_failed(key);
  }

  const ControllerSpec& spec_;
  WorkQueue queue_;
  client::EventRecorder events_;
  const Context context_;
  const std::unique_ptr<Reconciler> reconciler_;
  std::vector<std::jthread> workers_;
};

Controllers::Controllers(std::span<const ControllerSpec* const> specs, ClientFactory& clients,
                         client::Cache& cache, const Clock& clock, ClusterFacts facts)
    : facts_(std::move(facts)) {
  for (const ControllerSpec* spec : specs) {
    running_.push_back(
        std::make_unique<Running>(*spec, clients.client_for(spec->name), cache, clock, facts_));
  }
}

Controllers::~Controllers() { stop(); }

void Controllers::start() {
  for (auto& running : running_) running->start();
}

void Controllers::facts_changed() {
  for (auto& running : running_) running->facts_changed();
}

void Controllers::stop() {
  for (auto& running : running_) running->request_stop();
  for (auto& running : running_) running->join();
}

}  // namespace wherry::controller
