// PodWorker, new resources for a running pod: whether this node has room for them, and giving them
// to containers that run. Spec: Kubernetes documentation, "Resize CPU and Memory Resources assigned
// to Containers". Until they are given the worker's pod keeps the old ones, so that whatever starts
// meanwhile starts with what the node has set aside.

#include <utility>

#include "agent/pod_worker.h"
#include "api/quantity.h"

namespace wherry::agent {
namespace {

using api::Quantity;

constexpr Duration kResizeRetry = std::chrono::seconds(10);

bool has_resources(ContainerKind kind) { return kind != ContainerKind::kEphemeral; }

bool same_resources(std::string_view a, std::string_view b) {
  if (a == b) return true;
  Result<json::Document> left = json::Document::parse(a);
  Result<json::Document> right = json::Document::parse(b);
  return left.ok() && right.ok() && json::equal(left->root(), right->root());
}

bool same_amount(json::Value before, json::Value after, std::string_view resource) {
  for (std::string_view list : {"requests", "limits"}) {
    if (Quantity::from(before[list][resource]) != Quantity::from(after[list][resource])) {
      return false;
    }
  }
  return true;
}

// A container may want to be started anew when one of its resources changes.
bool needs_restart(json::Value container, std::string_view applied) {
  Result<json::Document> before = json::Document::parse(applied);
  if (!before.ok()) return false;
  for (json::Value policy : container["resizePolicy"].items()) {
    if (policy["restartPolicy"].as_string() != "RestartContainer") continue;
    if (!same_amount(before->root(), container["resources"], policy["resourceName"].as_string())) {
      return true;
    }
  }
  return false;
}

// What the events show: the resources of each container, as JSON.
std::string summary(const Pod& pod, std::string_view error) {
  json::Draft draft;
  json::Node root = draft.root();
  for (std::string_view list : {"initContainers", "containers"}) {
    if (pod.spec()[list].empty()) continue;
    json::Node containers = root.set_array(list);
    for (json::Value container : pod.spec()[list].items()) {
      json::Node node = containers.push_object();
      node.set("name", container["name"]);
      if (container["resources"]) {
        node.set("resources", container["resources"]);
      } else {
        node.set_object("resources");
      }
    }
  }
  root.set("generation", pod.generation());
  if (!error.empty()) root.set("error", error);
  return draft.dump();
}

// `pod` with the resources that its containers have been given.
Pod with_allocation(const Pod& pod, const PodRecord& record) {
  json::Draft draft(pod.root());
  for (std::string_view list : {"initContainers", "containers"}) {
    for (json::Node container : draft.root()["spec"][list].items()) {
      const ContainerRecord* known = record.find(container["name"].as_string());
      if (known == nullptr || known->allocated.empty()) continue;
      Result<json::Document> allocated = json::Document::parse(known->allocated);
      if (allocated.ok()) container.set("resources", allocated->root());
    }
  }
  return Pod(draft.freeze());
}

}  // namespace

Pod PodWorker::allocated_pod() const { return with_allocation(pod_, record_); }

void PodWorker::note_allocation() {
  for (ContainerRecord& container : record_.containers) {
    if (has_resources(container.kind)) {
      container.allocated = resources_text(pod_.container(container.name).spec);
    }
  }
}

void PodWorker::wake_waiting() {
  for (const std::string& uid : context_.admissions.take_waiting()) context_.wake(uid);
}

// The newest spec has come: takes its resources, or keeps the old ones and says why.
void PodWorker::decide_resize() {
  bool changed = false;
  for (const ContainerRecord& container : record_.containers) {
    changed = changed || (has_resources(container.kind) && !container.allocated.empty() &&
                          !same_resources(container.allocated,
                                          resources_text(pod_.container(container.name).spec)));
  }
  std::optional<Refusal> refusal;
  if (changed) {
    client::ObjectPtr node = context_.nodes.find("", context_.node_name);
    json::Document document = node == nullptr ? json::Document() : node->document();
    refusal = context_.admissions.resize(pod_, document.root());
  }
  if (!refusal) {
    record_.resize_pending_reason.clear();
    record_.resize_pending_message.clear();
    note_allocation();
    if (!changed) return;
    resizing_ = true;
    context_.events.normal(reference_to(pod_), "ResizeStarted",
                           "Pod resize started: " + summary(pod_, ""));
    wake_waiting();  // It may take less than before.
    return;
  }
  bool news = record_.resize_pending_reason != refusal->reason ||
              record_.resize_pending_message != refusal->message;
  if (news) {
    context_.events.warning(
        reference_to(pod_), "Resize" + refusal->reason,
        "Pod resize " + refusal->reason + ": " + summary(pod_, refusal->message));
  }
  record_.resize_pending_reason = refusal->reason;
  record_.resize_pending_message = refusal->message;
  pod_ = with_allocation(pod_, record_);
}

void PodWorker::apply_resizes() {
  MonotonicTime now = context_.clock.monotonic();
  if (resize_retry_at_ && now < *resize_retry_at_) return at(*resize_retry_at_);
  resize_retry_at_.reset();
  os::CgroupLimits limits = to_os(pod_limits(pod_.spec()));
  if (!pod_limits_) pod_limits_ = sandbox_->config().limits;

  std::vector<std::pair<ContainerView, ContainerRecord*>> due;
  for (const ContainerView& view : pod_.containers()) {
    ContainerRecord* container = record_.find(view.name());
    if (container == nullptr || !container->running() || !has_resources(view.kind)) continue;
    if (container->kill != KillStage::kNone) continue;
    if (container->applied.empty()) container->applied = resources_text(view.spec);
    if (!same_resources(container->applied, resources_text(view.spec))) {
      due.emplace_back(view, container);
    }
  }
  bool done = true;
  if (!due.empty() || limits != *pod_limits_) {
    // No cgroup may allow less than those below it: the pod's own steps aside meanwhile.
    os::CgroupLimits open = limits;
    if (open.memory_bytes) open.memory_bytes = 0;
    if (open.cpu_quota_us) open.cpu_quota_us = 0;
    Result<void> opened = sandbox_->update_pod_limits(open);
    for (auto& [view, container] : due) done = resize_container(view, *container) && done;
    Result<void> closed = sandbox_->update_pod_limits(limits);
    if (opened.ok() && closed.ok()) {
      pod_limits_ = limits;
    } else {
      done = false;
      const Error& error = opened.ok() ? closed.error() : opened.error();
      context_.events.warning(reference_to(pod_), "ResizeError",
                              "Pod resize error: " + summary(pod_, error.message()));
    }
  }
  if (!done) {
    resize_retry_at_ = now + kResizeRetry;
    return at(*resize_retry_at_);
  }
  if (!resizing_ || !due.empty()) {
    if (resizing_) context_.wake(uid_);
    return;
  }
  for (const ContainerRecord& container : record_.containers) {
    if (container.kill != KillStage::kNone || container.replace) return;
  }
  resizing_ = false;
  context_.events.normal(reference_to(pod_), "ResizeCompleted",
                         "Pod resize completed: " + summary(pod_, ""));
}

// False: it did not work and is tried again.
bool PodWorker::resize_container(const ContainerView& view, ContainerRecord& container) {
  if (needs_restart(view.spec, container.applied)) {
    container.replace = true;
    container.crash_delay = Duration::zero();
    begin_kill(view, container, "Container " + container.name + " resize requires restart",
               grace());
    return true;
  }
  Result<void> applied = sandbox_->update_limits(container.id, to_os(container_limits(view.spec)));
  if (applied.ok()) {
    container.applied = resources_text(view.spec);
    return true;
  }
  context_.events.warning(reference_to(pod_), "ResizeError",
                          "Pod resize error: " + summary(pod_, applied.error().message()));
  return false;
}

}  // namespace wherry::agent
