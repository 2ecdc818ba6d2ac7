#include "agent/node_status.h"

#include <algorithm>

#include "api/quantity.h"

namespace wherry::agent {
namespace {

constexpr int64_t kPodsMax = 110;
constexpr int64_t kImagesMax = 50;
constexpr int64_t kMemoryKept = 100
                                << 20;  // Below that pods are evicted, so nobody may plan with it.

std::string kibibytes(int64_t bytes) { return std::to_string(bytes / 1024) + "Ki"; }

void put_labels(const NodeFacts& facts, json::Node labels) {
  labels.set("beta.kubernetes.io/arch", facts.architecture);
  labels.set("beta.kubernetes.io/os", "linux");
  labels.set("kubernetes.io/arch", facts.architecture);
  labels.set("kubernetes.io/hostname", facts.name);
  labels.set("kubernetes.io/os", "linux");
  if (facts.control_plane) labels.set("node-role.kubernetes.io/control-plane", "true");
  for (const auto& [key, value] : facts.labels) labels.set(key, value);
}

void put_resources(const NodeFacts& facts, json::Node capacity, json::Node allocatable) {
  capacity.set("cpu", std::to_string(facts.cpu_count));
  capacity.set("ephemeral-storage", kibibytes(facts.disk_bytes));
  capacity.set("memory", kibibytes(facts.memory_bytes));
  capacity.set("pods", std::to_string(kPodsMax));
  NodeResources usable = allocatable_of(facts);
  allocatable.set("cpu", usable.cpu.text());
  allocatable.set("ephemeral-storage", usable.ephemeral_storage.text());
  allocatable.set("memory", kibibytes(usable.memory.value()));
  allocatable.set("pods", std::to_string(kPodsMax));
  for (const auto& [name, bytes] : facts.hugepages) {
    std::string text = api::Quantity::of(bytes, api::Quantity::Format::kBinarySI).text();
    capacity.set(name, text);
    allocatable.set(name, text);
  }
}

void put_condition(json::Node list, std::string_view type, bool holds, std::string_view reason,
                   std::string_view message) {
  json::Node node = list.push_object();
  node.set("type", type);
  node.set("status", holds ? "True" : "False");
  node.set("reason", reason);
  node.set("message", message);
}

void put_conditions(const NodeFacts& facts, json::Node list) {
  put_condition(
      list, "MemoryPressure", facts.memory_pressure,
      facts.memory_pressure ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory",
      facts.memory_pressure ? "kubelet has insufficient memory available"
                            : "kubelet has sufficient memory available");
  put_condition(list, "DiskPressure", facts.disk_pressure,
                facts.disk_pressure ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure",
                facts.disk_pressure ? "kubelet has disk pressure" : "kubelet has no disk pressure");
  put_condition(list, "PIDPressure", facts.pid_pressure,
                facts.pid_pressure ? "KubeletHasInsufficientPID" : "KubeletHasSufficientPID",
                facts.pid_pressure ? "kubelet has insufficient PID available"
                                   : "kubelet has sufficient PID available");
  bool ready = facts.not_ready.empty();
  put_condition(list, "Ready", ready, ready ? "KubeletReady" : "KubeletNotReady",
                ready ? std::string_view("kubelet is posting ready status") : facts.not_ready);
}

void put_images(std::vector<container::Image> images, json::Node list) {
  std::sort(images.begin(), images.end(), [](const auto& a, const auto& b) {
    return a.size_bytes != b.size_bytes ? a.size_bytes > b.size_bytes : a.id < b.id;
  });
  if (images.size() > kImagesMax) images.resize(kImagesMax);
  for (const container::Image& image : images) {
    json::Node node = list.push_object();
    json::Node names = node.set_array("names");
    for (const std::string& digest : image.digests) names.push(digest);
    for (const std::string& tag : image.tags) names.push(tag);
    node.set("sizeBytes", static_cast<int64_t>(image.size_bytes));
  }
}

}  // namespace

NodeResources allocatable_of(const NodeFacts& facts) {
  NodeResources out;
  out.cpu = api::Quantity::of(facts.cpu_count);
  out.memory = api::Quantity::of(std::max<int64_t>(facts.memory_bytes - kMemoryKept, 0),
                                 api::Quantity::Format::kBinarySI);
  out.ephemeral_storage = api::Quantity::of(facts.disk_bytes / 10 * 9);
  return out;
}

json::Draft node_object(const NodeFacts& facts) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("apiVersion", "v1");
  root.set("kind", "Node");
  json::Node meta = root.set_object("metadata");
  meta.set("name", facts.name);
  put_labels(facts, meta.set_object("labels"));
  meta.set_object("annotations")
      .set("volumes.kubernetes.io/controller-managed-attach-detach", "true");
  json::Node spec = root.set_object("spec");
  if (!facts.pod_cidr.empty()) {
    spec.set("podCIDR", facts.pod_cidr);
    spec.set_array("podCIDRs").push(facts.pod_cidr);
  }
  return draft;
}

json::Draft node_status(const NodeFacts& facts, const std::vector<container::Image>& images) {
  json::Draft draft;
  json::Node status = draft.root();
  json::Node capacity = status.set_object("capacity");
  put_resources(facts, capacity, status.set_object("allocatable"));
  put_conditions(facts, status.set_array("conditions"));
  json::Node addresses = status.set_array("addresses");
  json::Node ip = addresses.push_object();
  ip.set("type", "InternalIP");
  ip.set("address", facts.ip);
  json::Node hostname = addresses.push_object();
  hostname.set("type", "Hostname");
  hostname.set("address", facts.name);
  json::Node info = status.set_object("nodeInfo");
  info.set("machineID", facts.machine_id);
  info.set("systemUUID", facts.system_uuid);
  info.set("bootID", facts.boot_id);
  info.set("kernelVersion", facts.kernel_version);
  info.set("osImage", facts.os_image);
  info.set("containerRuntimeVersion", facts.runtime_version);
  info.set("kubeletVersion", facts.kubelet_version);
  info.set("kubeProxyVersion", "");
  info.set("operatingSystem", "linux");
  info.set("architecture", facts.architecture);
  if (facts.swap_bytes > 0) info.set_object("swap").set("capacity", facts.swap_bytes);
  put_images(images, status.set_array("images"));
  return draft;
}

json::Draft node_status_patch(json::Value node, json::Value wanted, Time now, bool heartbeat) {
  json::Value current = node["status"];
  json::Draft draft;
  json::Node status = draft.root().set_object("status");
  for (std::string_view map : {"capacity", "allocatable"}) {
    for (auto [name, value] : wanted[map].members()) {
      if (!json::equal(current[map][name], value)) status.ensure_object(map).set(name, value);
    }
  }
  for (std::string_view key : {"addresses", "nodeInfo", "images"}) {
    if (!json::equal(current[key], wanted[key]) && !(wanted[key].empty() && !current[key])) {
      status.set(key, wanted[key]);
    }
  }
  std::string stamp = format_time(now);
  json::Node conditions = draft.make_array();
  bool news = false;
  for (json::Value condition : wanted["conditions"].items()) {
    json::Value old;
    for (json::Value item : current["conditions"].items()) {
      if (json::equal(item["type"], condition["type"])) old = item;
    }
    bool same_status = json::equal(old["status"], condition["status"]);
    bool same = same_status && json::equal(old["reason"], condition["reason"]) &&
                json::equal(old["message"], condition["message"]);
    if (same && !heartbeat) continue;
    news = true;
    json::Node item = conditions.push_object();
    for (auto [key, value] : condition.members()) item.set(key, value);
    item.set("lastHeartbeatTime", stamp);
    std::string_view changed =
        same_status ? old["lastTransitionTime"].as_string(stamp) : std::string_view(stamp);
    item.set("lastTransitionTime", changed);
  }
  if (news) status.set("conditions", conditions);
  if (status.empty()) return json::Draft::array();
  return draft;
}

json::Draft node_metadata_patch(json::Value node, const NodeFacts& facts) {
  json::Draft draft;
  json::Draft wanted;
  put_labels(facts, wanted.root());
  for (const json::Node::Member& label : wanted.root().members()) {
    if (node["metadata"]["labels"][label.key].as_string() == label.value.as_string() &&
        node["metadata"]["labels"][label.key]) {
      continue;
    }
    draft.root().ensure_object("metadata").ensure_object("labels").set(label.key, label.value);
  }
  if (!facts.pod_cidr.empty() && node["spec"]["podCIDR"].as_string().empty()) {
    json::Node spec = draft.root().ensure_object("spec");
    spec.set("podCIDR", facts.pod_cidr);
    spec.set_array("podCIDRs").push(facts.pod_cidr);
  }
  if (draft.root().empty()) return json::Draft::array();
  return draft;
}

json::Draft node_lease(std::string_view node_name, std::string_view node_uid, Time now) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("apiVersion", "coordination.k8s.io/v1");
  root.set("kind", "Lease");
  json::Node meta = root.set_object("metadata");
  meta.set("name", node_name);
  meta.set("namespace", "kube-node-lease");
  if (!node_uid.empty()) {
    json::Node owner = meta.set_array("ownerReferences").push_object();
    owner.set("apiVersion", "v1");
    owner.set("kind", "Node");
    owner.set("name", node_name);
    owner.set("uid", node_uid);
  }
  json::Node spec = root.set_object("spec");
  spec.set("holderIdentity", node_name);
  spec.set("leaseDurationSeconds", 40);
  spec.set("renewTime", format_micro_time(now));
  return draft;
}

}  // namespace wherry::agent
