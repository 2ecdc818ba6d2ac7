// Keeps as many pods as spec.replicas asks for. Spec: Kubernetes API reference, apps/v1 ReplicaSet
// and core/v1 ReplicationController.

#include "controller/replica_sets.h"

#include <algorithm>

#include "controller/owners.h"
#include "controller/pods.h"

namespace wherry::controller {
namespace {

struct Counts {
  int64_t replicas = 0, labeled = 0, ready = 0, available = 0, terminating = 0;
};

class ReplicaController final : public Reconciler {
 public:
  ReplicaController(const Context& context, const ReplicaKind& kind)
      : context_(context),
        kind_(kind),
        resource_(api::resource(kind.resource)),
        owners_(context.cache.lister(resource_)) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    ObjectPtr set = owners_.find(key.ns, key.name);
    if (set == nullptr) return Requeue::never();
    json::Document document = set->document();
    json::Value spec = document.root()["spec"];
    api::Selector selector = kind_.plain_selector
                                 ? api::Selector::from_map(spec["selector"], true)
                                 : TRY(api::Selector::from_label_selector(spec["selector"]));
    std::vector<ObjectPtr> pods = TRY(claim(context_, api::resource("pods"), *set, selector));
    auto terminating = std::count_if(pods.begin(), pods.end(),
                                     [](const ObjectPtr& pod) { return pod->deleting(); });
    std::erase_if(pods, [](const ObjectPtr& pod) { return !pod_active(*pod); });

    Result<void> managed;
    if (!set->deleting()) managed = manage(*set, spec, pods);
    Duration wait = Duration::max();
    Counts counts = count(pods, spec, &wait);
    counts.terminating = terminating;
    TRY(write_status(*set, document.root(), counts, managed));
    TRY(std::move(managed));
    return wait == Duration::max() ? Requeue::never() : Requeue::after(wait);
  }

 private:
  // Makes or deletes what is missing or too much; `pods` becomes what is there afterwards.
  Result<void> manage(const api::Object& set, json::Value spec, std::vector<ObjectPtr>& pods) {
    auto wanted = static_cast<size_t>(std::max<int64_t>(0, spec["replicas"].as_int(1)));
    if (pods.size() < wanted) {
      size_t missing = std::min(wanted - pods.size(), kPodBurstMax);
      for (size_t i = 0; i < missing; ++i) {
        Result<ObjectPtr> made = create_pod(context_, set, spec["template"]);
        // What refused one (a quota, say) would refuse all: stop at the first.
        if (!made.ok()) return std::move(made).error();
        pods.push_back(std::move(made).value());
      }
      return {};
    }
    size_t surplus = std::min(pods.size() - wanted, kPodBurstMax);
    if (surplus == 0) return {};
    rank_for_deletion(pods);
    std::vector<ObjectPtr> doomed(pods.begin(),
                                  pods.begin() + static_cast<std::ptrdiff_t>(surplus));
    pods.erase(pods.begin(), pods.begin() + static_cast<std::ptrdiff_t>(surplus));
    for (const ObjectPtr& pod : doomed) TRY(delete_pod(context_, set, *pod));
    return {};
  }

  Counts count(const std::vector<ObjectPtr>& pods, json::Value spec, Duration* wait) const {
    Counts out;
    json::Value labels = spec["template"]["metadata"]["labels"];
    api::Selector all_labels = api::Selector::from_map(labels, false);
    for (const ObjectPtr& pod : pods) {
      json::Document document = pod->document();
      ++out.replicas;
      if (all_labels.matches(*pod)) ++out.labeled;
      if (pod_ready(document.root())) ++out.ready;
      if (pod_available(document.root(), spec["minReadySeconds"].as_int(), context_.clock.now(),
                        wait)) {
        ++out.available;
      }
    }
    return out;
  }

  Result<void> write_status(const api::Object& set, json::Value root, const Counts& counts,
                            const Result<void>& managed) {
    json::Draft draft(root);
    json::Node status = draft.root().ensure_object("status");
    auto number = [&status](std::string_view key, int64_t value, bool keep_zero) {
      if (value == 0 && !keep_zero) {
        status.remove(key);
      } else {
        status.set(key, value);
      }
    };
    number("replicas", counts.replicas, true);
    number("fullyLabeledReplicas", counts.labeled, false);
    number("readyReplicas", counts.ready, false);
    number("availableReplicas", counts.available, false);
    if (!kind_.plain_selector) number("terminatingReplicas", counts.terminating, true);
    status.set("observedGeneration", root["metadata"]["generation"]);
    if (managed.ok() || namespace_terminating(managed.error())) {
      remove_condition(status, "ReplicaFailure");
    } else {
      bool creating = counts.replicas < root["spec"]["replicas"].as_int(1);
      std::string_view reason = creating ? "FailedCreate" : "FailedDelete";
      // Each refusal names another pod. The first one stands, as upstream; else each try would be a
      // change that calls for the next one at once.
      if (find_condition(root["status"], "ReplicaFailure")["reason"].as_string() != reason) {
        set_condition(status, "ReplicaFailure", "True", reason, managed.error().message(),
                      context_.clock.now());
      }
    }
    json::Document after = draft.freeze();
    if (json::equal(after.root()["status"], root["status"])) return {};
    Result<ObjectPtr> written =
        context_.client.update(resource_, set.ns(), set.name(), after.root(), "status");
    return ignore_not_found(std::move(written));
  }

  const Context& context_;
  const ReplicaKind kind_;
  const api::Resource& resource_;
  const Lister& owners_;
};

}  // namespace

std::unique_ptr<Reconciler> make_replica_controller(const Context& context,
                                                    const ReplicaKind& kind) {
  return std::make_unique<ReplicaController>(context, kind);
}

void replica_pod_keys(const Change& change, const Context& context, const ReplicaKind& kind,
                      Keys& out) {
  owner_keys(change, kind.kind, out);
  if (!out.empty() || change.after == nullptr || change.after->deleting()) return;
  if (controller_of(*change.after)) return;
  selecting_keys(*change.after, context.lister(kind.resource), kind.plain_selector, out);
}

}  // namespace wherry::controller
