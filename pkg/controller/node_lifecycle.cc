// Marks nodes whose agent no longer reports, taints them, and evicts the pods that do not tolerate
// a NoExecute taint. Spec: Kubernetes documentation, "Nodes" and "Taints and Tolerations".

#include <algorithm>
#include <map>

#include "api/placement.h"
#include "controller/all.h"
#include "controller/pods.h"

namespace wherry::controller {
namespace {

constexpr Duration kGrace = std::chrono::seconds(50);  // Without a renewed Lease.
constexpr std::string_view kLeaseNamespace = "kube-node-lease";
constexpr std::string_view kNotReady = "node.kubernetes.io/not-ready";
constexpr std::string_view kUnreachable = "node.kubernetes.io/unreachable";

struct PressureTaint {
  std::string_view condition, taint;
};
constexpr PressureTaint kPressures[] = {
    {"MemoryPressure", "node.kubernetes.io/memory-pressure"},
    {"DiskPressure", "node.kubernetes.io/disk-pressure"},
    {"PIDPressure", "node.kubernetes.io/pid-pressure"},
    {"NetworkUnavailable", "node.kubernetes.io/network-unavailable"},
};

bool is_managed(std::string_view key) {
  if (key == kNotReady || key == kUnreachable || key == "node.kubernetes.io/unschedulable")
    return true;
  return std::any_of(std::begin(kPressures), std::end(kPressures),
                     [key](const PressureTaint& pressure) { return pressure.taint == key; });
}

class NodeLifecycle final : public Reconciler {
 public:
  explicit NodeLifecycle(const Context& context)
      : context_(context),
        nodes_(context.lister("nodes")),
        pods_(context.lister("pods")),
        leases_(context.lister("leases.coordination.k8s.io")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    ObjectPtr node = nodes_.find("", key.name);
    if (node == nullptr || node->deleting()) {
      if (node == nullptr) seen_.erase(key.name);
      return Requeue::never();
    }
    std::optional<Duration> left = lease_left(*node);
    if (left && *left <= Duration::zero()) node = TRY(mark_unknown(node));
    TRY(set_taints(*node));
    // A Lease's renewal is no event here; the next look is when it would run out.
    return left && *left > Duration::zero() ? Requeue::after(*left) : Requeue::never();
  }

 private:
  // Time until the node counts as lost, if it ever does. A node without a Lease is nobody's to
  // judge (made by hand). What counts is when this server saw the renewal: the node's clock may be
  // wrong, and while the server was down nobody could renew anything. The stamp only says how long
  // ago it was where that is plausible. A status that the node has just written proves as much as a
  // Lease.
  std::optional<Duration> lease_left(const api::Object& node) {
    std::string name(node.name());
    ObjectPtr lease = leases_.find(kLeaseNamespace, name);
    if (lease == nullptr) {
      seen_.erase(name);
      return {};
    }
    json::Document document = lease->document();
    std::string stamp(document.root()["spec"]["renewTime"].as_string());
    MonotonicTime now = context_.clock.monotonic();
    auto found = seen_.find(name);
    json::Document node_document = node.document();
    json::Value ready = find_condition(node_document.root()["status"], "Ready");
    std::string heartbeat = found == seen_.end() ? std::string() : found->second.heartbeat;
    // What stands beside "Unknown" is not the node's word.
    if (ready["status"].as_string() != "Unknown") {
      heartbeat = ready["lastHeartbeatTime"].as_string();
    }
    if (found == seen_.end() || found->second.stamp != stamp ||
        found->second.heartbeat != heartbeat) {
      std::optional<Time> renewed = parse_time(stamp);
      Duration age = renewed ? Duration(context_.clock.now() - *renewed) : Duration::zero();
      if (age < Duration::zero() || age >= kGrace) age = Duration::zero();
      found =
          seen_.insert_or_assign(name, Renewal{std::move(stamp), std::move(heartbeat), now - age})
              .first;
    }
    return found->second.when + kGrace - now;
  }

  Result<ObjectPtr> mark_unknown(const ObjectPtr& node) {
    json::Document document = node->document();
    json::Draft draft(document.root());
    json::Node status = draft.root().ensure_object("status");
    bool changed = false;
    for (std::string_view type : {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"}) {
      if (!find_condition(document.root()["status"], type)) continue;
      if (find_condition(document.root()["status"], type)["status"].as_string() == "Unknown")
        continue;
      changed |= set_condition(status, type, "Unknown", "NodeStatusUnknown",
                               "Kubelet stopped posting node status.", context_.clock.now());
    }
    if (!changed) return node;
    context_.events.normal(*node, "NodeNotReady",
                           fmt::format("Node {} status is now: NodeNotReady", node->name()));
    json::Document after = draft.freeze();
    ObjectPtr marked = TRY(
        context_.client.update(api::resource("nodes"), "", node->name(), after.root(), "status"));
    TRY(mark_pods(*node));
    return marked;
  }

  // What runs there can no longer be said to be ready: Services must not send to it.
  Result<void> mark_pods(const api::Object& node) {
    for (const ObjectPtr& pod : pods_.list("")) {
      json::Document document = pod->document();
      if (document.root()["spec"]["nodeName"].as_string() != node.name()) continue;
      json::Value ready = find_condition(document.root()["status"], "Ready");
      if (!ready || ready["status"].as_string() != "True") continue;
      json::Draft patch;
      json::Node condition =
          patch.root().set_object("status").set_array("conditions").push_object();
      condition.set("type", "Ready");
      condition.set("status", "False");
      condition.set("lastTransitionTime", format_time(context_.clock.now()));
      json::Document body = patch.freeze();
      TRY(ignore_not_found(context_.client.patch(api::resource("pods"), pod->ns(), pod->name(),
                                                 client::PatchType::kStrategic, body.root(),
                                                 {.subresource = "status"})));
      context_.events.warning(*pod, "NodeNotReady", "Node is not ready");
    }
    return {};
  }

  Result<void> set_taints(const api::Object& node) {
    json::Document document = node.document();
    json::Value root = document.root();
    json::Draft draft = json::Draft::array();
    json::Node taints = draft.root();
    for (json::Value taint : root["spec"]["taints"].items()) {
      if (!is_managed(taint["key"].as_string())) taints.push(taint);
    }
    auto add = [&](std::string_view key, std::string_view effect) {
      for (json::Value taint : root["spec"]["taints"].items()) {
        if (taint["key"].as_string() == key && taint["effect"].as_string() == effect) {
          taints.push(taint);  // Keeps its timeAdded.
          return;
        }
      }
      json::Node taint = taints.push_object();
      taint.set("key", key);
      taint.set("effect", effect);
      if (effect == "NoExecute") taint.set("timeAdded", format_time(context_.clock.now()));
    };
    json::Value ready = find_condition(root["status"], "Ready");
    if (ready && ready["status"].as_string() != "True") {
      std::string_view key = ready["status"].as_string() == "False" ? kNotReady : kUnreachable;
      add(key, "NoSchedule");
      add(key, "NoExecute");
    }
    for (const PressureTaint& pressure : kPressures) {
      if (find_condition(root["status"], pressure.condition)["status"].as_string() == "True") {
        add(pressure.taint, "NoSchedule");
      }
    }
    if (root["spec"]["unschedulable"].as_bool())
      add("node.kubernetes.io/unschedulable", "NoSchedule");
    json::Document wanted = draft.freeze();
    json::Value before = root["spec"]["taints"];
    if (json::equal(wanted.root(), before) || (wanted.root().empty() && before.empty())) return {};
    json::Draft patch;
    patch.root().set_object("metadata").set("resourceVersion", std::to_string(node.revision()));
    json::Node spec = patch.root().set_object("spec");
    if (wanted.root().empty()) {
      spec.set_null("taints");
    } else {
      spec.set("taints", wanted.root());
    }
    json::Document body = patch.freeze();
    return ignore_not_found(context_.client.patch(api::resource("nodes"), "", node.name(),
                                                  client::PatchType::kMerge, body.root()));
  }

  struct Renewal {
    std::string stamp;      // Of the Lease.
    std::string heartbeat;  // Of the node's status.
    MonotonicTime when;
  };

  const Context& context_;
  const Lister& nodes_;
  const Lister& pods_;
  const Lister& leases_;
  std::map<std::string, Renewal> seen_;  // By node; the one worker's.
};

// Deletes pods from nodes with NoExecute taints, at once or after tolerationSeconds.
class TaintEviction final : public Reconciler {
 public:
  explicit TaintEviction(const Context& context)
      : context_(context), pods_(context.lister("pods")), nodes_(context.lister("nodes")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    ObjectPtr pod = pods_.find(key.ns, key.name);
    if (pod == nullptr || !pod_active(*pod)) return Requeue::never();
    json::Document document = pod->document();
    ObjectPtr node = nodes_.find("", document.root()["spec"]["nodeName"].as_string());
    if (node == nullptr) return Requeue::never();
    json::Document node_document = node->document();
    std::optional<Duration> left =
        time_left(document.root()["spec"]["tolerations"], node_document.root()["spec"]["taints"]);
    if (!left) return Requeue::never();
    if (*left > Duration::zero()) return Requeue::after(*left);
    TRY(evict(*pod));
    return Requeue::never();
  }

 private:
  // Empty: it may stay.
  std::optional<Duration> time_left(json::Value tolerations, json::Value taints) const {
    std::optional<Duration> least;
    auto lower = [&least](Duration value) { least = least ? std::min(*least, value) : value; };
    for (json::Value taint : taints.items()) {
      if (taint["effect"].as_string() != "NoExecute") continue;
      Time added = parse_time(taint["timeAdded"].as_string()).value_or(context_.clock.now());
      bool tolerated = false;
      bool for_ever = false;
      int64_t seconds = INT32_MAX;
      for (json::Value toleration : tolerations.items()) {
        if (!api::tolerates(toleration, taint)) continue;
        tolerated = true;
        json::Value limit = toleration["tolerationSeconds"];
        if (limit && !limit.is_null()) {
          seconds = std::min(seconds, std::max<int64_t>(0, limit.as_int()));
        } else {
          for_ever = true;
        }
      }
      if (!tolerated) {
        lower(Duration::zero());
      } else if (seconds != INT32_MAX || !for_ever) {
        lower(added + std::chrono::seconds(seconds) - context_.clock.now());
      }
    }
    return least;
  }

  Result<void> evict(const api::Object& pod) {
    context_.events.normal(pod, "TaintManagerEviction",
                           fmt::format("Marking for deletion Pod {}/{}", pod.ns(), pod.name()));
    json::Draft draft;
    json::Node condition = draft.root().set_object("status").set_array("conditions").push_object();
    condition.set("type", "DisruptionTarget");
    condition.set("status", "True");
    condition.set("reason", "DeletionByTaintManager");
    condition.set("message", "Taint manager: deleting due to NoExecute taint");
    condition.set("lastTransitionTime", format_time(context_.clock.now()));
    json::Document patch = draft.freeze();
    TRY(ignore_not_found(context_.client.patch(api::resource("pods"), pod.ns(), pod.name(),
                                               client::PatchType::kStrategic, patch.root(),
                                               {.subresource = "status"})));
    return ignore_not_found(context_.client.remove(api::resource("pods"), pod.ns(), pod.name(),
                                                   {.uid = std::string(pod.uid())}));
  }

  const Context& context_;
  const Lister& pods_;
  const Lister& nodes_;
};

bool taints_execute(const ObjectPtr& node) {
  if (node == nullptr) return false;
  json::Document document = node->document();
  for (json::Value taint : document.root()["spec"]["taints"].items()) {
    if (taint["effect"].as_string() == "NoExecute") return true;
  }
  return false;
}

// A pod that was placed or whose tolerations changed.
void placed_pod(const Change& change, const Context& context, Keys& out) {
  if (change.after == nullptr) return;
  json::Document after = change.after->document();
  std::string_view node = after.root()["spec"]["nodeName"].as_string();
  if (!node.empty() && taints_execute(context.lister("nodes").find("", node)))
    self(change, context, out);
}

void pods_of_node(const Change& change, const Context& context, Keys& out) {
  if (!taints_execute(change.after) && !taints_execute(change.before)) return;
  const ObjectPtr& node = change.after != nullptr ? change.after : change.before;
  for (const ObjectPtr& pod : context.lister("pods").list("")) {
    json::Document document = pod->document();
    if (document.root()["spec"]["nodeName"].as_string() == node->name()) {
      out.push_back({std::string(pod->ns()), std::string(pod->name())});
    }
  }
}

constexpr Watch kLifecycleWatches[] = {{.resource = "nodes"}};
constexpr Watch kEvictionWatches[] = {{.resource = "pods", .map = &placed_pod},
                                      {.resource = "nodes", .map = &pods_of_node}};

}  // namespace

constinit const ControllerSpec kNodeLifecycle = {
    .name = "node-controller",
    .watches = kLifecycleWatches,
    .make = &make<NodeLifecycle>,
};

constinit const ControllerSpec kTaintEviction = {
    .name = "taint-eviction-controller",
    .watches = kEvictionWatches,
    .make = &make<TaintEviction>,
};

}  // namespace wherry::controller
