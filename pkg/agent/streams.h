#pragma once
// NodeStreams: logs, exec, attach and port-forward of this node's pods, as client::NodeApi asks for
// them. Works on snapshots of pods, so it never waits for a pod's worker. Any thread.

#include <memory>
#include <string>

#include "agent/pod_worker.h"
#include "base/clock.h"
#include "client/node_api.h"

namespace wherry::agent {

class NodeStreams : public client::NodeApi {
 public:
  explicit NodeStreams(const Clock& clock) : clock_(clock) {}

  Result<void> logs(const client::ContainerRef& container, const client::LogOptions& options,
                    const std::function<bool(std::string_view)>& write,
                    const std::function<bool()>& stopped) override;
  Result<std::unique_ptr<client::ExecSession>> exec(const client::ContainerRef& container,
                                                    const client::ExecOptions& options) override;
  Result<std::unique_ptr<client::ExecSession>> attach(const client::ContainerRef& container,
                                                      const client::ExecOptions& options) override;
  Result<os::Fd> dial(const client::ContainerRef& pod, uint16_t port) override;

 protected:
  virtual std::shared_ptr<const PodSnapshot> find(const client::ContainerRef& ref) = 0;
  virtual std::string pod_dir(const PodSnapshot& pod) = 0;

 private:
  Result<std::unique_ptr<client::ExecSession>> open(const client::ContainerRef& ref,
                                                    const client::ExecOptions& options,
                                                    bool attach);

  const Clock& clock_;
};

// The attempt whose log is asked for, or why there is none, in the words clients know. Pure.
Result<int> log_attempt(const PodSnapshot& pod, std::string_view container, bool previous);

}  // namespace wherry::agent
