#include "agent/pod_worker.h"

#include <algorithm>

#include "agent/log_file.h"
#include "agent/pod_status.h"
#include "base/log.h"
#include "base/strings.h"
#include "os/file.h"

namespace wherry::agent {
namespace {

constexpr size_t kTerminationBytesMax = 4096;
constexpr size_t kTerminationLogBytesMax = 2048;
constexpr int kTerminationLogLinesMax = 80;

// By rename without fsync: the file only has to survive the server, not the power.
void write_quietly(const std::string& path, std::string_view content) {
  Result<void> done = os::write_file_plain(path + ".new", content);
  if (done.ok()) done = os::rename_path(path + ".new", path);
  if (!done.ok()) log::warn("{}", done.error().message());
}

}  // namespace

const PodSnapshot::Container* PodSnapshot::find(std::string_view container) const {
  for (const Container& item : containers) {
    if (item.name == container) return &item;
  }
  return nullptr;
}

PodWorker::PodWorker(PodContext& context, api::ObjectPtr pod)
    : context_(context),
      uid_(pod->uid()),
      pod_dir_(context.pods_dir + "/" + uid_),
      pod_(pod),
      volumes_(pod_dir_, context.memory_dir, uid_),
      wanted_(std::move(pod)) {
  record_ = record_from_status(pod_);
}

PodWorker::~PodWorker() {
  if (sandbox_ != nullptr) context_.watcher.unwatch(uid_);
}

std::string PodWorker::log_path(const std::string& pod_dir, std::string_view container,
                                int attempt) {
  return pod_dir + "/logs/" + std::string(container) + "/" + std::to_string(attempt) + ".log";
}

void PodWorker::adopt() {
  Result<std::string> saved = os::read_file(pod_dir_ + "/record.json");
  if (saved.ok()) {
    Result<PodRecord> record = decode_record(*saved);
    if (record.ok()) {
      record_ = std::move(*record);
      saved_record_ = *saved;
    } else {
      log::warn("{}/record.json: {}", pod_dir_, record.error().message());
    }
  }
  align_containers(pod_, &record_);
  if (record_.admitted) context_.admissions.admit(allocated_pod(), {}, false);
  if (record_.finished) return;

  Result<std::unique_ptr<container::Sandbox>> sandbox =
      context_.driver.adopt(pod_dir_ + "/sandbox");
  if (!sandbox.ok()) {
    if (!sandbox.error().is(Code::kNotFound)) {
      log::warn("pod {}: its sandbox cannot be taken over: {}", pod_.label(),
                sandbox.error().message());
    }
    on_sandbox_died();
    return;
  }
  sandbox_ = std::move(*sandbox);
  adopt_containers();
  if (!sandbox_->alive()) {
    on_sandbox_died();
    return;
  }
  record_.sandbox_ready = true;
  context_.watcher.watch(uid_, sandbox_);
}

void PodWorker::adopt_containers() {
  for (const container::ContainerStatus& status : sandbox_->containers()) {
    std::optional<ContainerIdParts> parts = parse_container_id(status.id);
    ContainerRecord* container = parts ? record_.find(parts->name) : nullptr;
    if (container == nullptr) continue;
    if (container->id != status.id) {
      // Started after the record was last written.
      if (parts->attempt < container->attempt) continue;
      if (container->ended) container->last = container->ended;
      container->id = status.id;
      container->attempt = parts->attempt;
      container->ended.reset();
      container->state = RunState::kRunning;
    }
    if (status.state == container::ContainerState::kCreated) {
      // It was never started; made anew by the next pass.
      (void)!sandbox_->remove_container(status.id).ok();
      container->id.clear();
      container->state = RunState::kNone;
    } else if (status.state == container::ContainerState::kExited) {
      if (!container->ended) on_exit(*container, status);
    } else {
      container->started_at = status.started_at;
      const ContainerView view = pod_.container(container->name);
      if (view.spec) start_probes(view, *container);
    }
  }
  // What the record says runs, and the sandbox does not know, is lost.
  for (ContainerRecord& container : record_.containers) {
    if (!container.running() || sandbox_->status(container.id).ok()) continue;
    container::ContainerStatus lost;
    lost.exit_code = 137;
    on_exit(container, lost);
  }
}

void PodWorker::set_wanted(api::ObjectPtr pod) {
  MutexLock lock(mutex_);
  wanted_ = std::move(pod);
  wanted_new_ = true;
}

void PodWorker::set_gone() {
  MutexLock lock(mutex_);
  gone_new_ = true;
}

void PodWorker::refresh_volumes() {
  MutexLock lock(mutex_);
  refresh_ = true;
}

void PodWorker::evict(const std::string& reason, const std::string& message) {
  post([this, reason, message] {
    if (!record_.failed_reason.empty()) return;
    record_.failed_reason = reason;
    record_.failed_message = message;
  });
}

std::shared_ptr<const PodSnapshot> PodWorker::snapshot() const {
  MutexLock lock(mutex_);
  return snapshot_;
}

void PodWorker::post(Message message) {
  {
    MutexLock lock(mutex_);
    messages_.push_back(std::move(message));
  }
  context_.wake(uid_);
}

void PodWorker::take_messages() {
  std::vector<Message> messages;
  api::ObjectPtr wanted;
  {
    MutexLock lock(mutex_);
    messages.swap(messages_);
    volumes_stale_ |= wanted_new_;  // Labels and annotations may show in a volume.
    // What the node had no room for is asked again with every pass.
    if (wanted_new_ || !record_.resize_pending_reason.empty()) wanted = wanted_;
    wanted_new_ = false;
    gone_ |= gone_new_;
    volumes_stale_ |= refresh_;
    refresh_ = false;
  }
  if (wanted != nullptr) {
    pod_ = Pod(wanted);
    align_containers(pod_, &record_);
    if (record_.admitted) decide_resize();
  }
  for (Message& message : messages) message();
}

void PodWorker::at(MonotonicTime moment) {
  if (!next_ || moment < *next_) next_ = moment;
}

std::optional<MonotonicTime> PodWorker::pass() {
  next_.reset();
  if (!adopted_) {
    adopted_ = true;
    adopt();
  }
  take_messages();
  read_events();
  if (!stopping_ && should_stop()) begin_stop();
  if (!stopping_) step_run();
  if (stopping_) step_stop();
  if (!done_) {
    publish();
    save();
  }
  return next_;
}

void PodWorker::read_events() {
  if (sandbox_ == nullptr) return;
  bool died = false;
  for (const container::SandboxEvent& event : sandbox_->read_events()) {
    if (event.kind == container::SandboxEvent::Kind::kSandboxDied) {
      died = true;
      continue;
    }
    for (ContainerRecord& container : record_.containers) {
      if (container.id == event.container.id && container.running()) {
        on_exit(container, event.container);
      }
    }
  }
  if (died && !cleaned_up_) on_sandbox_died();
}

void PodWorker::on_exit(ContainerRecord& container, const container::ContainerStatus& status) {
  Termination ended;
  ended.exit_code = status.exit_code;
  ended.signal = 0;  // Upstream's runtimes fold the signal into the exit code.
  ended.reason = status.oom_killed ? "OOMKilled" : status.exit_code == 0 ? "Completed" : "Error";
  ended.started_at = container.started_at;
  ended.finished_at = status.finished_at == Time{} ? context_.clock.now() : status.finished_at;
  ended.container_id = "runc://" + container.id;
  ended.message = termination_message(container, status.exit_code);
  container.ended = ended;
  container.state = RunState::kExited;
  container.ready = false;
  container.started = false;
  container.kill = KillStage::kNone;
  container.post_start = HookState::kNone;
  container.pull.done = false;
  if (container.waiting_reason != "PostStartHookError") {
    container.waiting_reason.clear();
    container.waiting_message.clear();
  }
  probes_.erase(container.name);
  if (container.replace) {
    container.replace = false;
    container.last = container.ended;
    container.ended.reset();
    container.state = RunState::kNone;
    ++container.attempt;
  }
}

void PodWorker::on_sandbox_died() {
  // Its processes died with it; whatever ran has ended, we do not know how.
  for (ContainerRecord& container : record_.containers) {
    if (!container.running()) continue;
    container::ContainerStatus lost;
    lost.id = container.id;
    lost.exit_code = 137;
    if (sandbox_ != nullptr) {
      Result<container::ContainerStatus> known = sandbox_->status(container.id);
      if (known.ok() && known->state == container::ContainerState::kExited) lost = *known;
    }
    on_exit(container, lost);
  }
  if (sandbox_ != nullptr) {
    context_.watcher.unwatch(uid_);
    Result<void> removed = sandbox_->remove();
    if (!removed.ok()) log::warn("pod {}: {}", pod_.label(), removed.error().message());
    sandbox_.reset();
    context_.events.normal(reference_to(pod_), "SandboxChanged",
                           "Pod sandbox changed, it will be killed and re-created.");
  }
  record_.sandbox_ready = false;
  if (record_.finished) return;
  // In a new sandbox everything runs from the start, init containers too.
  record_.initialized = false;
  for (ContainerRecord& container : record_.containers) {
    if (container.kind == ContainerKind::kInit && container.exited()) {
      container.last = container.ended;
      container.ended.reset();
      container.id.clear();
      container.state = RunState::kNone;
      ++container.attempt;
    }
  }
}

std::string PodWorker::termination_message(const ContainerRecord& container, int exit_code) const {
  Result<std::string> text =
      os::read_file(volumes_.termination_file(container.name, container.attempt));
  if (text.ok() && !text->empty()) {
    return text->size() > kTerminationBytesMax ? text->substr(text->size() - kTerminationBytesMax)
                                               : *text;
  }
  json::Value spec = pod_.container(container.name).spec;
  bool fall_back = spec["terminationMessagePolicy"].as_string() == "FallbackToLogsOnError";
  if (!fall_back || exit_code == 0) return {};
  return log_tail(log_path(pod_dir_, container.name, container.attempt), kTerminationLogLinesMax,
                  kTerminationLogBytesMax);
}

void PodWorker::publish() {
  record_.observed_generation = pod_.generation();
  auto snapshot = std::make_shared<PodSnapshot>();
  snapshot->uid = uid_;
  snapshot->ns = pod_.ns();
  snapshot->name = pod_.name();
  snapshot->sandbox = sandbox_;
  for (const ContainerRecord& container : record_.containers) {
    json::Value spec = pod_.container(container.name).spec;
    snapshot->containers.push_back({container.name, container.id, container.waiting_reason,
                                    container.waiting_message, container.kind, container.attempt,
                                    container.state, container.last.has_value(),
                                    spec["tty"].as_bool(), spec["stdin"].as_bool()});
  }
  {
    MutexLock lock(mutex_);
    snapshot_ = std::move(snapshot);
  }
  if (gone_) return;
  StatusInputs inputs{context_.host_ips, context_.clock.now(), record_.finished};
  json::Draft status = pod_status(pod_, record_, inputs);
  bool remove = record_.finished && pod_.deleting();
  // Transition times alone are no news.
  std::string text = status.dump() + (remove ? "remove" : "");
  std::string seen = text;
  for (json::Node condition : status.root()["conditions"].items()) {
    seen = replace_all(seen, std::string(condition["lastTransitionTime"].as_string()), "");
  }
  if (seen == saved_status_) return;
  saved_status_ = seen;
  context_.statuses.set({uid_, pod_.ns(), pod_.name(), status.freeze(), remove});
}

void PodWorker::save() {
  std::string text = encode_record(record_);
  if (text == saved_record_ || !record_.admitted) return;
  if (!os::make_directories(pod_dir_, 0755).ok()) return;
  if (saved_record_.empty() || applied_generation_ != pod_.generation()) {
    write_quietly(pod_dir_ + "/pod.json", pod_.root().dump());
  }
  write_quietly(pod_dir_ + "/record.json", text);
  saved_record_ = std::move(text);
}

}  // namespace wherry::agent
