#pragma once
// ControllerTest: one controller over a FakeCluster and a fake clock. pass() makes one pass by
// hand, settle() as many as the controller's own watches ask for.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "client/event_recorder.h"
#include "client/fake_cluster.h"
#include "controller/runtime.h"
#include "controller/work_queue.h"

namespace wherry::controller {

class ControllerTest {
 public:
  explicit ControllerTest(const ControllerSpec& spec)
      : cluster(clock),
        queue(clock),
        events_(cluster, clock, std::string(spec.name)),
        context_{cluster, cluster, clock, events_, facts},
        reconciler_(spec.make(context_)) {
    auto subscribe = [this](const api::Resource& resource, MapFunction map) {
      cluster.subscribe(resource, [this, map](const Change& change) {
        Keys keys;
        map(change, context_, keys);
        for (const ObjectKey& key : keys) queue.add(key);
      });
    };
    for (const Watch& watch : spec.watches) subscribe(api::resource(watch.resource), watch.map);
    if (spec.watch_all == nullptr) return;
    for (const api::Resource* resource : api::resources()) {
      if (is_stored(*resource)) subscribe(*resource, spec.watch_all);
    }
  }

  // The delay the controller asks for, if any. CHECKs that the pass succeeds.
  std::optional<Duration> pass(const ObjectKey& key) {
    return reconciler_->reconcile(key).value().delay();
  }
  Result<Requeue> try_pass(const ObjectKey& key) { return reconciler_->reconcile(key); }

  // Works the queue off; errors count as a pass and come back at once, a bounded number of times.
  void settle() {
    for (int i = 0; i < 200; ++i) {
      std::optional<ObjectKey> key = queue.try_get();
      if (!key) return;
      Result<Requeue> result = reconciler_->reconcile(*key);
      if (result.ok() && result->delay()) queue.add_after(*key, *result->delay());
      if (!result.ok()) queue.add(*key);
      queue.done(*key);
    }
  }

  std::vector<ObjectPtr> list(std::string_view resource, std::string_view ns = "default") {
    return cluster.lister(api::resource(resource)).list(ns);
  }
  ObjectPtr find(std::string_view resource, std::string_view name,
                 std::string_view ns = "default") {
    return cluster.lister(api::resource(resource)).find(ns, name);
  }
  std::vector<std::string> event_reasons() {
    std::vector<std::string> out;
    for (const ObjectPtr& event : list("events", "")) {
      json::Document document = event->document();
      out.emplace_back(document.root()["reason"].as_string());
    }
    return out;
  }

  FakeClock clock;
  ClusterFacts facts;
  client::FakeCluster cluster;
  WorkQueue queue;

 private:
  client::EventRecorder events_;
  const Context context_;
  const std::unique_ptr<Reconciler> reconciler_;
};

}  // namespace wherry::controller
