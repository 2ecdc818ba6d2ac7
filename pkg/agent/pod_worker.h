#pragma once
// PodWorker: the state machine of one pod. Each pass() compares the pod that is wanted with what is
// known to run, takes the steps that are possible now, and says when it wants to run again; nothing
// in it waits for long. Slow work (pulls, hooks, probes) runs elsewhere and comes back as a
// message.
//
// Threads: set_wanted, set_gone, refresh_volumes, post and snapshot from any thread; pass() from
// one at a time. The first pass continues what an earlier server has begun: it reads the pod's
// record and takes over its sandbox. Tasks hold the worker by shared_ptr, so that a late answer
// always finds it.
//
// A pod's way: admission, volumes, sandbox and network, containers by plan(); then, once it is
// deleted, finished or failed: preStop hooks and signals, sandbox and network away, final status,
// final delete.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/pod.h"
#include "agent/pod_context.h"
#include "agent/probe.h"
#include "agent/record.h"
#include "agent/volumes.h"
#include "base/mutex.h"

namespace wherry::agent {

// What logs, exec and port-forward need to know; immutable.
struct PodSnapshot {
  struct Container {
    std::string name, id, waiting_reason, waiting_message;
    ContainerKind kind = ContainerKind::kApp;
    int attempt = 0;
    RunState state = RunState::kNone;
    bool has_last = false;
    bool tty = false;
    bool stdin_open = false;
  };
  std::string uid, ns, name;
  std::shared_ptr<container::Sandbox> sandbox;  // Null when there is none.
  std::vector<Container> containers;
  const Container* find(std::string_view container) const;
};

class PodWorker : public std::enable_shared_from_this<PodWorker> {
 public:
  PodWorker(PodContext& context, api::ObjectPtr pod);
  ~PodWorker();

  void set_wanted(api::ObjectPtr pod) EXCLUDES(mutex_);
  void set_gone() EXCLUDES(mutex_);         // No longer in the API.
  void refresh_volumes() EXCLUDES(mutex_);  // An object that it refers to has changed.
  void evict(const std::string& reason, const std::string& message) EXCLUDES(mutex_);
  std::shared_ptr<const PodSnapshot> snapshot() const EXCLUDES(mutex_);

  std::optional<MonotonicTime> pass() EXCLUDES(mutex_);
  bool done() const { return done_; }  // Everything of it is gone; asked between passes.

  static std::string log_path(const std::string& pod_dir, std::string_view container, int attempt);

 private:
  using Message = std::function<void()>;
  void post(Message message) EXCLUDES(mutex_);
  void take_messages() EXCLUDES(mutex_);
  void at(MonotonicTime moment);  // Run again then at the latest.
  void after(Duration delay) { at(context_.clock.monotonic() + delay); }

  // pod_worker.cc
  void adopt();
  void adopt_containers();
  void read_events();
  void on_exit(ContainerRecord& container, const container::ContainerStatus& status);
  void on_sandbox_died();
  std::string termination_message(const ContainerRecord& container, int exit_code) const;
  void publish();
  void save();

  // pod_setup.cc
  void step_run();
  bool admit();
  bool past_deadline();
  bool prepare_volumes();
  bool ensure_sandbox();
  Result<void> create_sandbox();
  Result<void> attach_network();
  VolumeSources volume_sources();
  Result<std::string> service_account_token(std::string_view audience, int64_t seconds);
  Result<std::string> claim_path(std::string_view claim);
  void apply_plan();
  void apply_spec_changes();

  // pod_resize.cc
  void note_allocation();
  void decide_resize();
  void apply_resizes();
  bool resize_container(const ContainerView& view, ContainerRecord& container);
  void wake_waiting();
  Pod allocated_pod() const;

  // pod_images.cc
  // An image that the pod needs: of a container, or of a volume (then `volume` names it).
  struct ImageWant {
    std::string reference, policy, volume, container;
    client::Reference about;
  };
  // Why an image is not there yet, and when to ask again; `reason` is empty while it is pulled.
  struct ImageLack {
    std::string reason, message;
    std::optional<MonotonicTime> retry_at;
  };
  ImageWant image_want(const ContainerView& view) const;
  ImagePull* pull_of(const ImageWant& want);
  std::optional<ImageLack> ensure_image(const ImageWant& want, container::Image* image);
  bool have_image(const ContainerView& view, ContainerRecord& container, const ImageWant& want,
                  container::Image* image);
  bool have_volumes(const ContainerView& view, ContainerRecord& container, ImageVolumes* images);
  void begin_pull(const ImageWant& want);
  void end_pull(const ImageWant& want, const Result<container::Image>& result, Duration took);

  // pod_containers.cc
  void start(const ContainerView& view, ContainerRecord& container);
  void wait(const ContainerView& view, ContainerRecord& container, std::string_view reason,
            const std::string& message);
  Result<container::ContainerConfig> configure(const ContainerView& view,
                                               ContainerRecord& container,
                                               const container::Image& image,
                                               const ImageVolumes& volumes);
  EnvironmentSources environment_sources();
  void begin_post_start(const ContainerView& view, ContainerRecord& container);
  HandlerTarget target(const ContainerView& view, const ContainerRecord& container) const;

  // pod_probes.cc
  void start_probes(const ContainerView& view, const ContainerRecord& container);
  void run_probes();
  void run_probe(const ContainerView& view, ContainerRecord& container, ProbeState& state);
  void end_probe(const std::string& name, const std::string& id, ProbeKind kind,
                 const ProbeResult& result);

  // pod_stop.cc
  bool should_stop() const;
  void begin_stop();
  void step_stop();
  bool stop_containers();
  void clean_up();
  void remove_all();
  Duration grace() const;
  void begin_kill(const ContainerView& view, ContainerRecord& container, const std::string& message,
                  Duration grace);
  void step_kill(ContainerRecord& container);
  void send_stop_signal(ContainerRecord& container);

  PodContext& context_;
  const std::string uid_;
  const std::string pod_dir_;

  // Of the passing thread.
  Pod pod_;
  PodRecord record_;
  std::shared_ptr<container::Sandbox> sandbox_;
  PodVolumes volumes_;
  bool volumes_ready_ = false;
  bool volumes_stale_ = true;
  Duration volume_delay_{};
  std::optional<MonotonicTime> volumes_retry_at_;
  Duration sandbox_delay_{};
  std::optional<MonotonicTime> sandbox_retry_at_;
  std::map<std::string, std::vector<ProbeState>> probes_;  // By container.
  struct Token {
    std::string text;
    MonotonicTime refresh_at;
  };
  std::map<std::string, Token> tokens_;  // By audience and lifetime.
  bool adopted_ = false;
  bool stopping_ = false;
  bool gone_ = false;
  bool cleaned_up_ = false;
  bool done_ = false;
  MonotonicTime stop_deadline_{};
  std::optional<MonotonicTime> next_;
  std::string saved_record_;
  std::string saved_status_;
  int64_t applied_generation_ = -1;
  bool resizing_ = false;
  std::optional<os::CgroupLimits> pod_limits_;  // As last written.
  std::optional<MonotonicTime> resize_retry_at_;

  mutable Mutex mutex_;
  api::ObjectPtr wanted_ GUARDED_BY(mutex_);
  bool wanted_new_ GUARDED_BY(mutex_) = true;
  bool gone_new_ GUARDED_BY(mutex_) = false;
  bool refresh_ GUARDED_BY(mutex_) = false;
  std::vector<Message> messages_ GUARDED_BY(mutex_);
  std::shared_ptr<const PodSnapshot> snapshot_ GUARDED_BY(mutex_);
};

}  // namespace wherry::agent
