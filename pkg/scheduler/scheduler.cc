#include "scheduler/scheduler.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/thread.h"
#include "scheduler/preempt.h"
#include "scheduler/score.h"

namespace wherry::scheduler {
namespace {

constexpr Duration kBackoffFirst = std::chrono::seconds(1);
constexpr Duration kBackoffMax = std::chrono::seconds(10);

// Waits for a node, and wants ours to find it.
bool is_ours(json::Value pod) {
  json::Value spec = pod["spec"];
  return spec["nodeName"].as_string().empty() &&
         spec["schedulerName"].as_string(Scheduler::kName) == Scheduler::kName &&
         spec["schedulingGates"].empty() && !is_finished(pod) &&
         !pod["metadata"]["deletionTimestamp"];
}

// Bits for what a change of a node may have made possible.
uint32_t node_hints(const client::Change& change) {
  if (change.before == nullptr) return kNodeAdded;
  json::Document before = change.before->document();
  json::Document after = change.after->document();
  json::Value a = before.root();
  json::Value b = after.root();
  uint32_t hints = kHintNone;
  if (!equal(a["status"]["allocatable"], b["status"]["allocatable"])) hints |= kNodeAllocatable;
  if (!equal(a["metadata"]["labels"], b["metadata"]["labels"])) hints |= kNodeLabel;
  if (!equal(a["spec"]["taints"], b["spec"]["taints"]) ||
      a["spec"]["unschedulable"].as_bool() != b["spec"]["unschedulable"].as_bool()) {
    hints |= kNodeTaint;
  }
  return hints;
}

}  // namespace

std::string unschedulable_message(size_t nodes,
                                  const std::map<std::string, Rejection>& rejections) {
  if (nodes == 0) return "no nodes available to schedule pods";
  std::map<std::string, int> counts;
  for (const auto& [name, rejection] : rejections) {
    for (const std::string& reason : rejection.reasons) ++counts[reason];
  }
  std::vector<std::string> parts;
  for (const auto& [reason, count] : counts) parts.push_back(fmt::format("{} {}", count, reason));
  std::sort(parts.begin(), parts.end());
  return fmt::format("0/{} nodes are available: {}.", nodes, fmt::join(parts, ", "));
}

bool Scheduler::Place::operator<(const Place& other) const {
  if (priority != other.priority) return priority > other.priority;
  return arrival < other.arrival;
}

Scheduler::Scheduler(client::Client& client, client::Cache& cache, const Clock& clock)
    : client_(client),
      clock_(clock),
      events_(client, clock, std::string(kName)),
      cluster_(cache.lister(api::resource("namespaces"))) {
  auto handler = [this](const client::Change& change) { note(change); };
  cache.subscribe(api::resource("nodes"), handler);
  cache.subscribe(api::resource("pods"), handler);
}

void Scheduler::start() {
  thread_ = start_thread("scheduler", [this](const std::stop_token& stop) { run(stop); });
}

void Scheduler::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Scheduler::note(const client::Change& change) {
  {
    MutexLock lock(mutex_);
    inbox_.push_back(change);
  }
  changed_.notify_one();
}

void Scheduler::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mutex_);
      auto ready = [this]() NO_THREAD_SAFETY_ANALYSIS { return !inbox_.empty(); };
      if (!queue_.empty()) {
        // Work is left; only take in what is there.
      } else if (backed_off_.empty()) {
        changed_.wait(mutex_, stop, ready);
      } else {
        MonotonicTime next = MonotonicTime::max();
        for (const auto& [uid, at] : backed_off_) next = std::min(next, at);
        changed_.wait_for(mutex_, stop, std::max(next - clock_.monotonic(), Duration::zero()),
                          ready);
      }
    }
    if (!stop.stop_requested()) run_once();
  }
}

void Scheduler::run_once() {
  std::deque<client::Change> changes;
  {
    MutexLock lock(mutex_);
    changes.swap(inbox_);
  }
  for (const client::Change& change : changes) take_in(change);
  wake_backed_off();
  if (queue_.empty()) return;
  // One pod a round, so that news about the others is never older than one placement.
  PodPtr pod = queued_.at(queue_.begin()->uid);
  forget(pod->uid);
  schedule(pod);
}

void Scheduler::take_in(const client::Change& change) {
  if (change.resource->plural == "nodes") {
    take_in_node(change);
  } else {
    take_in_pod(change);
  }
}

void Scheduler::take_in_node(const client::Change& change) {
  if (change.after == nullptr) {
    cluster_.remove_node(change.before->name());
    return;
  }
  cluster_.put_node(change.after);
  wake(node_hints(change));
}

void Scheduler::take_in_pod(const client::Change& change) {
  const api::ObjectPtr& object = change.after != nullptr ? change.after : change.before;
  std::string uid(object->uid());
  json::Document document = object->document();
  bool placed = !document.root()["spec"]["nodeName"].as_string().empty();
  if (change.after == nullptr || is_finished(document.root())) {
    forget(uid);
    nominated_.erase(uid);
    said_.erase(uid);
    failures_.erase(uid);
    if (cluster_.has_pod(uid) || placed) {
      cluster_.remove_pod(uid);
      wake(kPodGone);
    }
    return;
  }
  if (placed) {
    bool relabelled = change.before == nullptr || !cluster_.has_pod(uid);
    if (!relabelled) {
      json::Document before = change.before->document();
      relabelled =
          !equal(before.root()["metadata"]["labels"], document.root()["metadata"]["labels"]);
    }
    forget(uid);
    nominated_.erase(uid);
    cluster_.put_pod(make_pod_info(object));
    if (relabelled) wake(kPodPlaced);
    return;
  }
  if (!is_ours(document.root())) {
    forget(uid);
    return;
  }
  // Our own condition on the pod is no news; a change of what it asks for is.
  auto waiting = unschedulable_.find(uid);
  if (waiting != unschedulable_.end() && change.before != nullptr) {
    json::Value before = waiting->second.pod->document.root();
    if (equal(before["spec"], document.root()["spec"]) &&
        equal(before["metadata"]["labels"], document.root()["metadata"]["labels"])) {
      waiting->second.pod = make_pod_info(object);
      return;
    }
  }
  if (backed_off_.contains(uid)) {
    unschedulable_[uid] = {make_pod_info(object), kHintNone};
    return;
  }
  if (cluster_.has_pod(uid)) return;  // Assumed: the binding is on its way.
  enqueue(make_pod_info(object));
}

void Scheduler::enqueue(const PodPtr& pod) {
  unschedulable_.erase(pod->uid);
  auto found = places_.find(pod->uid);
  Place place{pod->priority, found != places_.end() ? found->second.arrival : ++arrivals_,
              pod->uid};
  if (found != places_.end()) queue_.erase(found->second);
  queue_.insert(place);
  places_.insert_or_assign(pod->uid, place);
  queued_[pod->uid] = pod;
}

void Scheduler::forget(const std::string& uid) {
  unschedulable_.erase(uid);
  backed_off_.erase(uid);
  auto found = places_.find(uid);
  if (found == places_.end()) return;
  queue_.erase(found->second);
  places_.erase(found);
  queued_.erase(uid);
}

void Scheduler::wake(uint32_t hints) {
  std::vector<PodPtr> woken;
  for (const auto& [uid, waiting] : unschedulable_) {
    if ((waiting.hints & hints) != 0) woken.push_back(waiting.pod);
  }
  for (const PodPtr& pod : woken) enqueue(pod);
}

void Scheduler::wake_backed_off() {
  MonotonicTime now = clock_.monotonic();
  std::vector<std::string> due;
  for (const auto& [uid, at] : backed_off_) {
    if (at <= now) due.push_back(uid);
  }
  for (const std::string& uid : due) {
    backed_off_.erase(uid);
    auto waiting = unschedulable_.find(uid);
    if (waiting != unschedulable_.end()) enqueue(PodPtr(waiting->second.pod));
  }
}

// A pod that made room for itself by preemption holds that room against those below it.
NodeInfo Scheduler::with_nominated(const PodInfo& pod, const NodeInfo& node) const {
  NodeInfo out = node;
  for (const auto& [uid, nomination] : nominated_) {
    const auto& [where, other] = nomination;
    if (where == node.name && uid != pod.uid && other->priority >= pod.priority) out.add(other);
  }
  return out;
}

void Scheduler::schedule(const PodPtr& pod) {
  std::map<std::string, Rejection> rejections;
  uint32_t hints = kNodeAdded;
  const NodeInfo* best = nullptr;
  double best_score = -1;
  for (const auto& [name, node] : cluster_.nodes()) {
    if (node.object == nullptr) continue;
    Verdict verdict = nominated_.empty() ? evaluate(*pod, node, cluster_)
                                         : evaluate(*pod, with_nominated(*pod, node), cluster_);
    if (!verdict.fits) {
      rejections.emplace(name, std::move(verdict.rejection));
      hints |= verdict.hints;
      continue;
    }
    double score = total_score(*pod, node, cluster_);
    if (score > best_score) {
      best_score = score;
      best = &node;
    }
  }
  if (best != nullptr) {
    bind(pod, best->name);
    return;
  }
  unschedulable_[pod->uid] = {pod, hints};
  reject(pod, rejections);
}

void Scheduler::bind(const PodPtr& pod, const std::string& node) {
  auto assumed = std::make_shared<PodInfo>(*pod);
  assumed->node = node;
  cluster_.put_pod(assumed);

  json::Draft draft;
  json::Node root = draft.root();
  root.set("kind", "Binding");
  root.set("apiVersion", "v1");
  json::Node metadata = root.set_object("metadata");
  metadata.set("name", pod->name);
  metadata.set("namespace", pod->ns);
  metadata.set("uid", pod->uid);
  json::Node target = root.set_object("target");
  target.set("kind", "Node");
  target.set("name", node);
  json::Document binding = draft.freeze();
  Result<api::ObjectPtr> bound = client_.create_subresource(api::resource("pods"), pod->ns,
                                                            pod->name, "binding", binding.root());
  if (bound.ok()) {
    failures_.erase(pod->uid);
    nominated_.erase(pod->uid);
    said_.erase(pod->uid);
    events_.record_action(
        client::reference_to(*pod->object), "Normal", "Scheduled", "Binding",
        fmt::format("Successfully assigned {}/{} to {}", pod->ns, pod->name, node));
    return;
  }
  cluster_.remove_pod(pod->uid);
  if (bound.error().is(Code::kNotFound) || bound.error().is(Code::kConflict))
    return;  // News follow.
  log::warn("binding {}/{} to {}: {}", pod->ns, pod->name, node, bound.error().message());
  Duration delay = kBackoffFirst;
  for (int i = 0; i < std::min(failures_[pod->uid], 4); ++i) delay *= 2;
  ++failures_[pod->uid];
  unschedulable_[pod->uid] = {pod, kHintNone};
  backed_off_[pod->uid] = clock_.monotonic() + std::min(delay, kBackoffMax);
}

void Scheduler::reject(const PodPtr& pod, const std::map<std::string, Rejection>& rejections) {
  std::string message = unschedulable_message(rejections.size(), rejections);
  std::optional<Victims> victims = pick_victims(*pod, cluster_, rejections);
  // Victims that are going already make the room; more would be waste.
  auto nominated = nominated_.find(pod->uid);
  bool waits_for_victims = false;
  if (nominated != nominated_.end()) {
    auto node = cluster_.nodes().find(nominated->second.first);
    if (node != cluster_.nodes().end()) {
      for (const auto& [uid, placed] : node->second.pods) {
        waits_for_victims |= placed->object->deleting() && placed->priority < pod->priority;
      }
    }
  }
  if (!rejections.empty() && !victims) {
    message +=
        " no new claims to deallocate, " + preemption_message(*pod, rejections.size(), rejections);
  }
  set_condition(*pod, message);
  if (victims && !waits_for_victims) preempt(pod, victims->node, victims->pods);
}

void Scheduler::set_condition(const PodInfo& pod, const std::string& message) {
  events_.record_action(client::reference_to(*pod.object), "Warning", "FailedScheduling",
                        "Scheduling", message);
  std::string& said = said_[pod.uid];
  if (said == message) return;
  json::Draft draft;
  json::Node condition = draft.root().set_object("status").set_array("conditions").push_object();
  condition.set("type", "PodScheduled");
  condition.set("status", "False");
  condition.set("reason", "Unschedulable");
  condition.set("message", message);
  condition.set("observedGeneration", pod.document.root()["metadata"]["generation"]);
  condition.set_null("lastProbeTime");
  json::Value before;
  for (json::Value one : pod.document.root()["status"]["conditions"].items()) {
    if (one["type"].as_string() == "PodScheduled" && one["status"].as_string() == "False")
      before = one;
  }
  if (before) {
    condition.set("lastTransitionTime", before["lastTransitionTime"]);
  } else {
    condition.set("lastTransitionTime", format_time(clock_.now()));
  }
  json::Document patch = draft.freeze();
  Result<api::ObjectPtr> patched =
      client_.patch(api::resource("pods"), pod.ns, pod.name, client::PatchType::kStrategic,
                    patch.root(), {.subresource = "status"});
  if (patched.ok()) {
    said = message;
  } else if (!patched.error().is(Code::kNotFound)) {
    log::warn("condition of {}/{}: {}", pod.ns, pod.name, patched.error().message());
  }
}

void Scheduler::preempt(const PodPtr& pod, const std::string& node,
                        const std::vector<PodPtr>& victims) {
  nominated_[pod->uid] = {node, pod};
  json::Draft nomination;
  nomination.root().set_object("status").set("nominatedNodeName", node);
  json::Document patch = nomination.freeze();
  Result<api::ObjectPtr> patched =
      client_.patch(api::resource("pods"), pod->ns, pod->name, client::PatchType::kStrategic,
                    patch.root(), {.subresource = "status"});
  if (!patched.ok()) log::debug("nominate {}: {}", pod->name, patched.error().message());
  for (const PodPtr& victim : victims) {
    json::Draft draft;
    json::Node condition = draft.root().set_object("status").set_array("conditions").push_object();
    condition.set("type", "DisruptionTarget");
    condition.set("status", "True");
    condition.set("reason", "PreemptionByScheduler");
    condition.set("message",
                  fmt::format("{}: preempting to accommodate a higher priority pod", kName));
    condition.set("lastTransitionTime", format_time(clock_.now()));
    json::Document mark = draft.freeze();
    Result<api::ObjectPtr> marked =
        client_.patch(api::resource("pods"), victim->ns, victim->name,
                      client::PatchType::kStrategic, mark.root(), {.subresource = "status"});
    if (!marked.ok()) log::debug("mark {}: {}", victim->name, marked.error().message());
    Result<void> gone =
        client_.remove(api::resource("pods"), victim->ns, victim->name, {.uid = victim->uid});
    if (!gone.ok() && !gone.error().is(Code::kNotFound)) {
      log::warn("preempting {}/{}: {}", victim->ns, victim->name, gone.error().message());
      continue;
    }
    events_.record_action(client::reference_to(*victim->object), "Normal", "Preempted",
                          "Preempting",
                          fmt::format("Preempted by pod {} on node {}", pod->uid, node));
  }
}

}  // namespace wherry::scheduler
