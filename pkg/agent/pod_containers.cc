// PodWorker, one container: configuration, create, start, postStart.

#include <algorithm>

#include "agent/environment.h"
#include "agent/plan.h"
#include "agent/pod_worker.h"
#include "agent/security.h"
#include "base/log.h"
#include "base/strings.h"
#include "container/reference.h"
#include "os/file.h"

namespace wherry::agent {
namespace {

constexpr Duration kConfigRetry = std::chrono::seconds(10);

std::string shown_image(const container::Image& image, std::string_view asked) {
  Result<container::Reference> reference = container::Reference::parse(asked);
  if (reference.ok()) {
    std::string full = reference->full();
    for (const std::string& tag : image.tags) {
      if (tag == full) return full;
    }
  }
  return image.tags.empty() ? std::string(asked) : image.tags.front();
}

// The record of a container that is made but not started yet.
void begin_instance(const ContainerView& view, const std::string& id, const container::Image& image,
                    Time now, ContainerRecord& container) {
  container.ended.reset();
  container.id = id;
  container.image = shown_image(image, view.image());
  container.image_id = image.image_id_text();
  container.spec_image = view.image();
  container.applied = resources_text(view.spec);
  container.stop_signal = image.config.stop_signal;
  container.kill = KillStage::kNone;
  container.kill_to_restart = false;
  container.pull.done = false;
  container.started_at = now;
}

}  // namespace

// Notes why a container waits; the event comes once for each new reason or message.
void PodWorker::wait(const ContainerView& view, ContainerRecord& container, std::string_view reason,
                     const std::string& message) {
  bool news = container.waiting_reason != reason || container.waiting_message != message;
  container.waiting_reason = reason;
  container.waiting_message = message;
  if (!news) return;
  bool about_image = reason == "ErrImagePull" || reason == "ImagePullBackOff" ||
                     reason == "ErrImageNeverPull" || reason == "InvalidImageName";
  context_.events.warning(reference_to(pod_, view.kind, view.name()), "Failed",
                          "Error: " + (about_image ? std::string(reason) : message));
}

void PodWorker::start(const ContainerView& view, ContainerRecord& container) {
  MonotonicTime now = context_.clock.monotonic();
  if (container.retry_at && now < *container.retry_at && !volumes_stale_) {
    return at(*container.retry_at);
  }
  container.retry_at.reset();
  container::Image image;
  ImageVolumes images;
  if (!have_volumes(view, container, &images)) return;
  if (!have_image(view, container, image_want(view), &image)) return;

  bool again = container.state == RunState::kExited;
  int attempt = again ? container.attempt + 1 : container.attempt;
  int before = container.attempt;
  container.attempt = attempt;
  Result<container::ContainerConfig> config = configure(view, container, image, images);
  if (!config.ok()) {
    container.attempt = before;
    wait(view, container, "CreateContainerConfigError", config.error().message());
    container.retry_at = now + kConfigRetry;
    return at(*container.retry_at);
  }
  // What is left of the last instance makes room; of logs the last one stays.
  if (!container.id.empty()) (void)!sandbox_->remove_container(container.id).ok();
  if (attempt >= 2) {
    (void)!os::remove_file(log_path(pod_dir_, container.name, attempt - 2)).ok();
  }
  Result<void> made = sandbox_->create_container(*config);
  // A program that cannot be executed shows when the runtime creates the container; for users it is
  // the start that failed, with an exit and a back-off, as with other runtimes.
  bool refused = !made.ok() && made.error().message().starts_with("OCI runtime create failed");
  if (!made.ok() && !refused) {
    container.attempt = before;
    wait(view, container, "CreateContainerError", made.error().message());
    container.retry_at = now + kConfigRetry;
    return at(*container.retry_at);
  }
  client::Reference about = reference_to(pod_, view.kind, view.name());
  context_.events.normal(about, "Created", "Container created");

  if (again) {
    container.crash_delay = next_crash_delay(container, context_.clock.now());
    container.crash_delay_set = context_.clock.now();
    container.last = container.ended;
  }
  begin_instance(view, config->id, image, context_.clock.now(), container);
  Result<void> started = refused ? made : sandbox_->start_container(container.id);
  if (!started.ok()) {
    container::ContainerStatus failed;
    failed.id = container.id;
    failed.exit_code = 128;
    container.state = RunState::kRunning;
    on_exit(container, failed);
    container.ended->reason = "StartError";
    container.ended->message = started.error().message();
    if (restarts(pod_, view, *container.ended)) {
      wait(view, container, "RunContainerError", started.error().message());
    } else {
      context_.events.warning(about, "Failed", "Error: " + started.error().message());
    }
    context_.wake(uid_);
    return;
  }
  container.state = RunState::kRunning;
  container.waiting_reason.clear();
  container.waiting_message.clear();
  context_.events.normal(about, "Started", "Container started");
  begin_post_start(view, container);
  if (container.post_start == HookState::kDone) start_probes(view, container);
}

EnvironmentSources PodWorker::environment_sources() {
  EnvironmentSources sources;
  std::string ns = pod_.ns();
  sources.config_map = [this, ns](std::string_view name) {
    return context_.config_maps.find(ns, name);
  };
  sources.secret = [this, ns](std::string_view name) { return context_.secrets.find(ns, name); };
  json::Value links = pod_.spec()["enableServiceLinks"];
  if (!links || links.as_bool()) sources.services = context_.services.list(ns);
  sources.kubernetes_service = context_.services.find("default", "kubernetes");
  sources.facts = {record_.pod_ips, context_.host_ips, context_.node_name};
  sources.allocatable = context_.allocatable;
  return sources;
}

Result<container::ContainerConfig> PodWorker::configure(const ContainerView& view,
                                                        ContainerRecord& container,
                                                        const container::Image& image,
                                                        const ImageVolumes& volumes) {
  json::Value spec = view.spec;
  Environment environment = TRY(make_environment(pod_, spec, environment_sources()));
  SecuritySettings security = TRY(security_settings(pod_, spec, image, context_.seccomp_dir));
  container::ContainerConfig config;
  config.id = container_id(uid_, container.name, container.attempt);
  config.name = container.name;
  config.image = image;
  config.command = expand_arguments(spec["command"], environment);
  config.args = expand_arguments(spec["args"], environment);
  if (!environment.contains("HOSTNAME")) config.env.push_back("HOSTNAME=" + pod_.hostname());
  for (const auto& [key, value] : environment) config.env.push_back(key + "=" + value);
  config.working_dir = spec["workingDir"].as_string();
  config.user = security.user;
  config.group = security.group;
  config.supplemental_groups = security.supplemental_groups;
  config.security = security.security;
  config.mounts = TRY(volumes_.mounts(spec, container.attempt, environment, volumes));
  config.tty = spec["tty"].as_bool();
  config.stdin_open = spec["stdin"].as_bool();
  config.stdin_once = spec["stdinOnce"].as_bool();
  config.log_path = log_path(pod_dir_, container.name, container.attempt);
  config.limits = to_os(container_limits(spec));
  config.oom_score_adj = oom_score_adj(pod_.spec(), spec, context_.memory_capacity_bytes);
  config.runtime = pod_.spec()["runtimeClassName"].as_string();

  Result<container::ImageUser> user =
      context_.images.user(image, config.user.empty() ? image.config.user : config.user);
  if (user.ok()) {
    container.user = *user;
    if (config.group) container.user->gid = *config.group;
    for (uint32_t group : config.supplemental_groups) container.user->groups.push_back(group);
  }
  return config;
}

void PodWorker::begin_post_start(const ContainerView& view, ContainerRecord& container) {
  json::Value handler = view.spec["lifecycle"]["postStart"];
  container.post_start = HookState::kDone;
  if (!handler) return;
  container.post_start = HookState::kRunning;
  std::string name = container.name;
  std::string id = container.id;
  HandlerTarget about = target(view, container);
  context_.tasks.run([self = shared_from_this(), about, name, id](const std::stop_token& stop) {
    // As long as it takes: upstream gives no limit but the pod's own end.
    Result<void> done = self->context_.probes.hook(about, about.container["lifecycle"]["postStart"],
                                                   std::chrono::hours(1), stop);
    std::string why = done.ok() ? std::string() : done.error().message();
    self->post([worker = self.get(), name, id, why] {
      ContainerRecord* record = worker->record_.find(name);
      ContainerView known = worker->pod_.container(name);
      if (record == nullptr || record->id != id || !record->running() || !known.spec) return;
      if (why.empty()) {
        record->post_start = HookState::kDone;
        worker->start_probes(known, *record);
        return;
      }
      worker->context_.events.warning(reference_to(worker->pod_, known.kind, name),
                                      "FailedPostStartHook", "PostStartHook failed");
      record->post_start = HookState::kDone;
      record->waiting_reason = "PostStartHookError";
      record->waiting_message = why;
      record->kill_to_restart = true;
      worker->begin_kill(known, *record, "FailedPostStartHook", worker->grace());
    });
  });
}

HandlerTarget PodWorker::target(const ContainerView& view, const ContainerRecord& container) const {
  HandlerTarget out;
  out.pod = pod_;
  out.container = view.spec;
  if (!record_.pod_ips.empty()) out.pod_ip = record_.pod_ips[0];
  out.sandbox = sandbox_;
  out.container_id = container.id;
  return out;
}

}  // namespace wherry::agent
