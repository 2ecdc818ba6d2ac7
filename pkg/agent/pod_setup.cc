// PodWorker, the way up: admission, volumes, sandbox and network, then what the plan says.

#include <algorithm>

#include "agent/plan.h"
#include "agent/pod_worker.h"
#include "api/resource.h"
#include "base/log.h"
#include "base/strings.h"
#include "os/file.h"

namespace wherry::agent {
namespace {

constexpr Duration kRetryFirst = std::chrono::milliseconds(500);
constexpr Duration kRetryMax = std::chrono::minutes(2);

Duration longer(Duration delay) {
  return delay == Duration::zero() ? kRetryFirst : std::min(delay * 2, kRetryMax);
}

std::string cgroup_of(const Pod& pod, const std::string& root) {
  std::string qos = to_lower(pod.qos_class());
  return (qos == "guaranteed" ? root + "/pod" : root + "/" + qos + "/pod") + pod.uid();
}

bool wants_shared_mounts(const Pod& pod) {
  for (const ContainerView& view : pod.containers()) {
    for (json::Value mount : view.spec["volumeMounts"].items()) {
      if (mount["mountPropagation"].as_string() == "Bidirectional") return true;
    }
  }
  return false;
}

container::SandboxConfig sandbox_config(const Pod& pod, const std::string& directory,
                                        const std::string& cgroup_root) {
  container::SandboxConfig config;
  json::Value spec = pod.spec();
  config.uid = pod.uid();
  config.directory = directory;
  config.hostname = pod.hostname();
  config.host_network = pod.host_network();
  config.host_pid = spec["hostPID"].as_bool();
  config.host_ipc = spec["hostIPC"].as_bool();
  config.share_process_namespace = spec["shareProcessNamespace"].as_bool();
  config.shared_mounts = wants_shared_mounts(pod);
  config.cgroup = cgroup_of(pod, cgroup_root);
  config.limits = to_os(pod_limits(spec));
  for (json::Value sysctl : spec["securityContext"]["sysctls"].items()) {
    std::string name(sysctl["name"].as_string());
    if (name.starts_with("net.") && !pod.host_network()) continue;  // The network's part.
    config.sysctls[name] = sysctl["value"].as_string();
  }
  return config;
}

network::AttachRequest attach_request(const Pod& pod, int netns) {
  network::AttachRequest request;
  request.uid = pod.uid();
  request.netns_fd = netns;
  for (json::Value sysctl : pod.spec()["securityContext"]["sysctls"].items()) {
    std::string name(sysctl["name"].as_string());
    if (name.starts_with("net.")) {
      request.sysctls.emplace_back(name, std::string(sysctl["value"].as_string()));
    }
  }
  for (const ContainerView& view : pod.containers()) {
    for (json::Value port : view.spec["ports"].items()) {
      if (port["hostPort"].as_int() == 0) continue;
      request.host_ports.push_back({std::string(port["protocol"].as_string("TCP")),
                                    std::string(port["hostIP"].as_string()),
                                    static_cast<uint16_t>(port["hostPort"].as_int()),
                                    static_cast<uint16_t>(port["containerPort"].as_int())});
    }
  }
  return request;
}

}  // namespace

void PodWorker::step_run() {
  if (!admit()) return;
  if (past_deadline()) return begin_stop();
  if (!prepare_volumes()) return;
  if (!ensure_sandbox()) return;
  apply_spec_changes();
  apply_resizes();
  for (ContainerRecord& container : record_.containers) step_kill(container);
  apply_plan();
  run_probes();
}

bool PodWorker::admit() {
  if (!record_.start_time) {
    record_.start_time =
        std::chrono::time_point_cast<std::chrono::microseconds>(context_.clock.now());
  }
  if (record_.admitted) return true;
  client::ObjectPtr node = context_.nodes.find("", context_.node_name);
  json::Document document = node == nullptr ? json::Document() : node->document();
  // What ran before the record was lost is not turned away now.
  bool ran = std::any_of(record_.containers.begin(), record_.containers.end(),
                         [](const ContainerRecord& c) { return c.state != RunState::kNone; });
  std::optional<Refusal> refusal = context_.admissions.admit(pod_, document.root(), !ran);
  if (!refusal) {
    record_.admitted = true;
    note_allocation();
    return true;
  }
  record_.failed_reason = refusal->reason;
  record_.failed_message = "Pod was rejected: " + refusal->message;
  record_.finished = true;
  context_.events.warning(reference_to(pod_), refusal->reason, refusal->message);
  return false;
}

bool PodWorker::past_deadline() {
  json::Value seconds = pod_.spec()["activeDeadlineSeconds"];
  if (!seconds || !record_.start_time) return false;
  Duration left =
      *record_.start_time + std::chrono::seconds(seconds.as_int()) - context_.clock.now();
  if (left > Duration::zero()) {
    after(left);
    return false;
  }
  record_.failed_reason = "DeadlineExceeded";
  record_.failed_message = "Pod was active on the node longer than the specified deadline";
  context_.events.normal(reference_to(pod_), record_.failed_reason, record_.failed_message);
  return true;
}

bool PodWorker::prepare_volumes() {
  MonotonicTime now = context_.clock.monotonic();
  for (const auto& [key, token] : tokens_) {
    if (now >= token.refresh_at) volumes_stale_ = true;
  }
  if (volumes_ready_ && !volumes_stale_) {
    for (const auto& [key, token] : tokens_) at(token.refresh_at);
    return true;
  }
  if (!volumes_stale_ && volumes_retry_at_ && now < *volumes_retry_at_) {
    at(*volumes_retry_at_);
    return volumes_ready_;
  }
  volumes_stale_ = false;
  Result<void> made = volumes_.prepare(pod_, volume_sources(), context_.clock.now());
  for (const auto& [key, token] : tokens_) at(token.refresh_at);
  if (made.ok()) {
    volumes_ready_ = true;
    volume_delay_ = Duration::zero();
    volumes_retry_at_.reset();
    return true;
  }
  context_.events.warning(reference_to(pod_), "FailedMount", made.error().message());
  volume_delay_ = longer(volume_delay_);
  volumes_retry_at_ = now + volume_delay_;
  at(*volumes_retry_at_);
  return volumes_ready_;  // Containers that run keep the content they have.
}

bool PodWorker::ensure_sandbox() {
  if (sandbox_ != nullptr) return true;
  MonotonicTime now = context_.clock.monotonic();
  if (sandbox_retry_at_ && now < *sandbox_retry_at_) {
    at(*sandbox_retry_at_);
    return false;
  }
  Plan first = plan(pod_, record_, context_.clock.now());
  if (first.finished) {  // Nothing to start: no sandbox is needed for that.
    begin_stop();
    return false;
  }
  Result<void> made = create_sandbox();
  if (made.ok()) {
    sandbox_delay_ = Duration::zero();
    sandbox_retry_at_.reset();
    return true;
  }
  context_.events.warning(reference_to(pod_), "FailedCreatePodSandBox",
                          "Failed to create pod sandbox: " + made.error().message());
  if (sandbox_ != nullptr) {
    (void)!sandbox_->remove().ok();
    sandbox_.reset();
  }
  sandbox_delay_ = longer(sandbox_delay_);
  sandbox_retry_at_ = now + sandbox_delay_;
  at(*sandbox_retry_at_);
  return false;
}

Result<void> PodWorker::create_sandbox() {
  TRY(os::make_directories(pod_dir_, 0755));
  std::string directory = pod_dir_ + "/sandbox";
  if (os::exists(directory)) TRY(os::remove_tree(directory));
  sandbox_ = TRY(context_.driver.create(sandbox_config(pod_, directory, context_.cgroup_root)));
  TRY(attach_network());
  TRY(volumes_.mount_memory(pod_, *sandbox_));
  DnsOptions dns = context_.dns;
  dns.host_resolv_conf = os::read_file("/etc/resolv.conf").value_or(std::string());
  TRY(volumes_.write_files(pod_, record_.pod_ips, dns));
  record_.sandbox_ready = true;
  context_.watcher.watch(uid_, sandbox_);
  return {};
}

Result<void> PodWorker::attach_network() {
  if (pod_.host_network()) {
    record_.pod_ips = context_.host_ips;
    return {};
  }
  os::Fd netns = TRY(sandbox_->network_namespace());
  network::PodAddress address = TRY(context_.network.attach(attach_request(pod_, netns.get())));
  record_.pod_ips = {address.ip};
  return {};
}

VolumeSources PodWorker::volume_sources() {
  VolumeSources sources;
  std::string ns = pod_.ns();
  sources.payload.config_map = [this, ns](std::string_view name) {
    return context_.config_maps.find(ns, name);
  };
  sources.payload.secret = [this, ns](std::string_view name) {
    return context_.secrets.find(ns, name);
  };
  sources.payload.token = [this](std::string_view audience, int64_t seconds) {
    return service_account_token(audience, seconds);
  };
  sources.payload.facts = {record_.pod_ips, context_.host_ips, context_.node_name};
  sources.payload.allocatable = context_.allocatable;
  sources.claim_path = [this](std::string_view claim) { return claim_path(claim); };
  return sources;
}

Result<std::string> PodWorker::service_account_token(std::string_view audience, int64_t seconds) {
  std::string key = std::string(audience) + " " + std::to_string(seconds);
  MonotonicTime now = context_.clock.monotonic();
  auto found = tokens_.find(key);
  if (found != tokens_.end() && now < found->second.refresh_at) return found->second.text;

  json::Draft request;
  json::Node root = request.root();
  root.set("apiVersion", "authentication.k8s.io/v1");
  root.set("kind", "TokenRequest");
  json::Node spec = root.set_object("spec");
  json::Node audiences = spec.set_array("audiences");
  if (!audience.empty()) audiences.push(audience);
  spec.set("expirationSeconds", seconds);
  json::Node bound = spec.set_object("boundObjectRef");
  bound.set("apiVersion", "v1");
  bound.set("kind", "Pod");
  bound.set("name", pod_.name());
  bound.set("uid", uid_);
  std::string account(pod_.spec()["serviceAccountName"].as_string("default"));
  json::Document body = request.freeze();
  Result<client::ObjectPtr> answer = context_.client.create_subresource(
      api::resource("serviceaccounts"), pod_.ns(), account, "token", body.root());
  if (!answer.ok()) {
    return std::move(answer).error().with_prefix("failed to fetch token");
  }
  json::Document document = (*answer)->document();
  Token token;
  token.text = document.root()["status"]["token"].as_string();
  // Renewed when four fifths of its life are over, and at least once a day.
  Duration life = std::chrono::seconds(seconds) * 4 / 5;
  token.refresh_at = now + std::min<Duration>(life, std::chrono::hours(24));
  tokens_[key] = token;
  return token.text;
}

Result<std::string> PodWorker::claim_path(std::string_view name) {
  client::ObjectPtr claim =
      TRY(context_.client.get(api::resource("persistentvolumeclaims"), pod_.ns(), name));
  json::Document claim_document = claim->document();
  std::string_view volume_name = claim_document.root()["spec"]["volumeName"].as_string();
  if (volume_name.empty()) {
    return Error::unavailable("persistentvolumeclaim {} is not bound", quote(name));
  }
  client::ObjectPtr volume =
      TRY(context_.client.get(api::resource("persistentvolumes"), "", volume_name));
  json::Document document = volume->document();
  json::Value spec = document.root()["spec"];
  json::Value path = spec["hostPath"]["path"] ? spec["hostPath"]["path"] : spec["local"]["path"];
  if (!path) return Error::unsupported("persistentvolume {} is not local", quote(volume_name));
  std::string folder(path.as_string());
  if (spec["hostPath"]) TRY(os::make_directories(folder, 0777));
  return folder;
}

// What the API lets change in a running pod beside its resources: images, ephemeral containers.
void PodWorker::apply_spec_changes() {
  if (applied_generation_ == pod_.generation()) return;
  applied_generation_ = pod_.generation();
  for (const ContainerView& view : pod_.containers()) {
    ContainerRecord* container = record_.find(view.name());
    if (container == nullptr || !container->running()) continue;
    if (!container->spec_image.empty() && container->spec_image != view.image()) {
      container->replace = true;
      container->crash_delay = Duration::zero();
      begin_kill(view, *container,
                 "Container " + container->name + " definition changed, will be restarted",
                 grace());
    }
  }
}

void PodWorker::apply_plan() {
  Time now = context_.clock.now();
  Plan todo = plan(pod_, record_, now);
  record_.initialized = todo.initialized;
  if (todo.finished) return begin_stop();
  for (const Plan::BackOff& back_off : todo.back_off) {
    ContainerRecord* container = record_.find(back_off.name);
    ContainerView view = pod_.container(back_off.name);
    after(back_off.until - now);
    if (container->waiting_reason == "CrashLoopBackOff") continue;
    container->waiting_reason = "CrashLoopBackOff";
    container->waiting_message = "back-off " + duration_text(back_off.delay) +
                                 " restarting failed container=" + back_off.name +
                                 " pod=" + pod_.label();
    context_.events.warning(
        reference_to(pod_, view.kind, view.name()), "BackOff",
        "Back-off restarting failed container " + back_off.name + " in pod " + pod_.label());
  }
  for (const std::string& name : todo.start) {
    ContainerRecord* container = record_.find(name);
    ContainerView view = pod_.container(name);
    if (container != nullptr && view.spec) start(view, *container);
  }
  if (!todo.start.empty() && !record_.initialized) {
    // A sidecar without a startup probe has started at once; the next one need not wait for an
    // event.
    Plan more = plan(pod_, record_, now);
    if (more.start != todo.start && !more.start.empty()) context_.wake(uid_);
    if (more.initialized) context_.wake(uid_);
  }
}

}  // namespace wherry::agent
