#pragma once
// Volumes of one pod on this node: makes their folders and contents, refreshes what follows API
// objects, and says what each container mounts. Owned and used by one pod worker.
//
//   <pod_dir>/volumes/NAME         emptyDir, configMap, downwardAPI
//   <memory_dir>/UID/NAME          secret, projected: a tmpfs, so that no secret reaches the disk
//   <pod_dir>/etc/                 hosts, hostname, resolv.conf
//   <pod_dir>/containers/NAME/     termination message files

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/environment.h"
#include "agent/payload.h"
#include "agent/pod.h"
#include "agent/pod_files.h"
#include "base/result.h"
#include "container/runtime.h"
#include "container/sandbox.h"

namespace wherry::agent {

struct VolumeSources {
  PayloadSources payload;
  // The folder on this node behind a PersistentVolumeClaim.
  std::function<Result<std::string>(std::string_view claim)> claim_path;
};

// Unpacked layers of image volumes, the uppermost first, by the volume's name.
using ImageVolumes = std::map<std::string, std::vector<std::string>, std::less<>>;

class PodVolumes {
 public:
  PodVolumes(std::string pod_dir, std::string memory_dir, std::string uid);

  // Makes all volumes or brings them up to date. The error names the volume:
  // `MountVolume.SetUp failed for volume "x" : configmap "y" not found`. May be repeated.
  Result<void> prepare(const Pod& pod, const VolumeSources& sources, Time now);
  // Memory-backed volumes live in the sandbox: once for each new one.
  Result<void> mount_memory(const Pod& pod, container::Sandbox& sandbox);
  // Writes /etc/hosts and its siblings.
  Result<void> write_files(const Pod& pod, const std::vector<std::string>& pod_ips,
                           const DnsOptions& dns);
  // What `container` mounts, files of /etc and the termination log included. `images` holds the
  // image volumes that it mounts.
  Result<std::vector<container::Mount>> mounts(json::Value container, int attempt,
                                               const Environment& environment,
                                               const ImageVolumes& images);
  std::string termination_file(std::string_view container, int attempt) const;
  // Takes it all away; what is mounted must be gone first.
  Result<void> remove();

 private:
  Result<void> prepare_one(const Pod& pod, json::Value volume, const VolumeSources& sources,
                           Time now);
  Result<void> prepare_empty(const Pod& pod, json::Value volume);
  Result<container::Mount> mount_of(json::Value container, json::Value mount,
                                    const Environment& environment, const ImageVolumes& images);
  Result<container::Mount> termination_mount(json::Value container, int attempt);

  const std::string pod_dir_;
  const std::string memory_dir_;  // With the uid.
  std::map<std::string, std::string, std::less<>> paths_;
};

}  // namespace wherry::agent
