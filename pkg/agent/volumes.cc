#include "agent/volumes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>

#include "agent/expand.h"
#include "agent/payload_writer.h"
#include "agent/subpath.h"
#include "base/strings.h"
#include "container/layer_graft.h"
#include "os/file.h"

namespace wherry::agent {
namespace {

std::optional<uint32_t> fs_group_of(const Pod& pod) {
  json::Value group = pod.spec()["securityContext"]["fsGroup"];
  if (!group) return std::nullopt;
  return static_cast<uint32_t>(group.as_int());
}

Result<void> check_host_path(const std::string& path, std::string_view type) {
  struct stat info {};
  bool there = ::stat(path.c_str(), &info) == 0;
  if (type.empty()) {
    // Nothing is asked; like the container runtimes we make a missing folder.
    return there ? Result<void>() : os::make_directories(path, 0755);
  }
  if (type == "DirectoryOrCreate" && !there) return os::make_directories(path, 0755);
  if (type == "FileOrCreate" && !there) {
    Result<os::Fd> made = os::open_file(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (!made.ok()) return std::move(made).error();
    return {};
  }
  struct Rule {
    std::string_view type;
    mode_t kind;
    std::string_view name;
  };
  static constexpr Rule kRules[] = {
      {"Directory", S_IFDIR, "directory"},
      {"DirectoryOrCreate", S_IFDIR, "directory"},
      {"File", S_IFREG, "file"},
      {"FileOrCreate", S_IFREG, "file"},
      {"Socket", S_IFSOCK, "socket file"},
      {"CharDevice", S_IFCHR, "character device"},
      {"BlockDevice", S_IFBLK, "block device"},
  };
  for (const Rule& rule : kRules) {
    if (rule.type != type) continue;
    if (there && (info.st_mode & S_IFMT) == rule.kind) return {};
    return Error::invalid("hostPath type check failed: {} is not a {}", path, rule.name);
  }
  return Error::invalid("{} is an invalid volume type", type);
}

container::Propagation propagation_of(json::Value mount) {
  std::string_view text = mount["mountPropagation"].as_string();
  if (text == "HostToContainer") return container::Propagation::kHostToContainer;
  if (text == "Bidirectional") return container::Propagation::kBidirectional;
  return container::Propagation::kPrivate;
}

// The part of the volume that is mounted, empty for all of it.
Result<std::string> subpath_of(json::Value mount, const Environment& environment) {
  std::string subpath(mount["subPath"].as_string());
  if (json::Value expression = mount["subPathExpr"]; !expression.as_string().empty()) {
    StrictExpansion expanded = expand_strict(expression.as_string(), [&](std::string_view key) {
      auto value = environment.find(std::string(key));
      return value == environment.end() ? std::nullopt : std::optional<std::string>(value->second);
    });
    if (expanded.missing) {
      return Error::invalid("missing value for {}", quote(*expanded.missing));
    }
    subpath = expanded.text;
  }
  if (subpath.starts_with('/')) {
    return Error::invalid("error SubPath `{}` must not be an absolute path", subpath);
  }
  return subpath;
}

// On a tmpfs: whatever may hold a secret.
bool hides_content(json::Value volume) { return volume["secret"] || volume["projected"]; }

}  // namespace

PodVolumes::PodVolumes(std::string pod_dir, std::string memory_dir, std::string uid)
    : pod_dir_(std::move(pod_dir)), memory_dir_(std::move(memory_dir) + "/" + uid) {}

Result<void> PodVolumes::prepare(const Pod& pod, const VolumeSources& sources, Time now) {
  for (json::Value volume : pod.spec()["volumes"].items()) {
    Result<void> done = prepare_one(pod, volume, sources, now);
    if (done.ok()) continue;
    return std::move(done).error().with_prefix("MountVolume.SetUp failed for volume " +
                                               quote(volume["name"].as_string()) + " ");
  }
  return {};
}

Result<void> PodVolumes::prepare_one(const Pod& pod, json::Value volume,
                                     const VolumeSources& sources, Time now) {
  std::string name(volume["name"].as_string());
  if (json::Value host = volume["hostPath"]) {
    std::string path(host["path"].as_string());
    TRY(check_host_path(path, host["type"].as_string()));
    paths_[name] = path;
    return {};
  }
  if (json::Value claim = volume["persistentVolumeClaim"]) {
    paths_[name] = TRY(sources.claim_path(claim["claimName"].as_string()));
    return {};
  }
  if (volume["emptyDir"]) return prepare_empty(pod, volume);
  if (volume["image"]) return {};  // Pulled for the containers that mount it.
  if (!is_payload_volume(volume)) {
    return Error::unsupported("this kind of volume is not built in");
  }
  std::string folder = (hides_content(volume) ? memory_dir_ : pod_dir_ + "/volumes") + "/" + name;
  TRY(os::make_directories(folder, 0755));
  TRY(os::change_mode(folder, 0755));
  Payload payload = TRY(make_payload(pod, volume, sources.payload));
  TRY(write_payload(folder, payload, fs_group_of(pod), now));
  paths_[name] = folder;
  return {};
}

Result<void> PodVolumes::prepare_empty(const Pod& pod, json::Value volume) {
  std::string name(volume["name"].as_string());
  if (paths_.contains(name)) return {};
  std::string_view medium = volume["emptyDir"]["medium"].as_string();
  if (!medium.empty() && medium != "Memory") {
    return Error::unsupported("unknown storage medium {}", quote(medium));
  }
  std::string folder = pod_dir_ + "/volumes/" + name;
  bool fresh = !os::exists(folder);
  TRY(os::make_directories(folder, 0777));
  if (fresh && medium.empty()) {
    std::optional<uint32_t> group = fs_group_of(pod);
    if (group) TRY(os::change_owner(folder, static_cast<uid_t>(-1), *group));
    TRY(os::change_mode(folder, group ? 02777 : 0777));  // The umask must not narrow it.
  }
  paths_[name] = folder;
  return {};
}

Result<void> PodVolumes::mount_memory(const Pod& pod, container::Sandbox& sandbox) {
  for (json::Value volume : pod.spec()["volumes"].items()) {
    json::Value empty = volume["emptyDir"];
    auto path = paths_.find(volume["name"].as_string());
    if (empty["medium"].as_string() != "Memory" || path == paths_.end()) continue;
    int64_t limit = std::max<int64_t>(api::Quantity::from(empty["sizeLimit"]).value(), 0);
    TRY(sandbox.mount_tmpfs(path->second, static_cast<uint64_t>(limit), 0777));
  }
  return {};
}

Result<void> PodVolumes::write_files(const Pod& pod, const std::vector<std::string>& pod_ips,
                                     const DnsOptions& dns) {
  std::string etc = pod_dir_ + "/etc";
  TRY(os::make_directories(etc, 0755));
  std::string hosts;
  if (pod.host_network()) {
    hosts = host_network_hosts_file(pod, os::read_file("/etc/hosts").value_or(std::string()));
  } else {
    hosts = hosts_file(pod, pod_ips, dns.cluster_domain);
  }
  // In place: containers have these very files mounted.
  TRY(os::write_file_plain(etc + "/hosts", hosts));
  TRY(os::write_file_plain(etc + "/hostname", pod.hostname() + "\n"));
  TRY(os::write_file_plain(etc + "/resolv.conf", resolv_conf(pod, dns)));
  for (std::string_view name : {"hosts", "hostname", "resolv.conf"}) {
    TRY(os::change_mode(etc + "/" + std::string(name), 0644));
  }
  return {};
}

Result<container::Mount> PodVolumes::mount_of(json::Value container, json::Value mount,
                                              const Environment& environment,
                                              const ImageVolumes& images) {
  std::string_view name = mount["name"].as_string();
  auto image = images.find(name);
  auto found = paths_.find(name);
  if (image == images.end() && found == paths_.end()) {
    return Error::not_found("cannot find volume {} to mount into container {}", quote(name),
                            quote(container["name"].as_string()));
  }
  container::Mount out;
  out.target = mount["mountPath"].as_string();
  if (!out.target.starts_with('/')) out.target = "/" + out.target;
  out.read_only = mount["readOnly"].as_bool();
  out.propagation = propagation_of(mount);
  std::string subpath = TRY(subpath_of(mount, environment));
  if (image != images.end()) {
    out.layers = TRY(container::subtree(image->second, subpath));
  } else {
    out.source = subpath.empty() ? found->second : TRY(resolve_subpath(found->second, subpath));
  }
  return out;
}

Result<container::Mount> PodVolumes::termination_mount(json::Value container, int attempt) {
  std::string_view name = container["name"].as_string();
  std::string file = termination_file(name, attempt);
  TRY(os::make_directories(file.substr(0, file.rfind('/')), 0755));
  TRY(os::write_file_plain(file, ""));
  TRY(os::change_mode(file, 0666));  // Any user of the container may write it.
  container::Mount out;
  out.source = file;
  out.target = container["terminationMessagePath"].as_string("/dev/termination-log");
  return out;
}

Result<std::vector<container::Mount>> PodVolumes::mounts(json::Value container, int attempt,
                                                         const Environment& environment,
                                                         const ImageVolumes& images) {
  std::vector<container::Mount> all;
  std::set<std::string> own;
  for (json::Value mount : container["volumeMounts"].items()) {
    all.push_back(TRY(mount_of(container, mount, environment, images)));
    own.insert(all.back().target);
  }
  // A container that brings its own file keeps it.
  for (std::string_view name : {"hosts", "hostname", "resolv.conf"}) {
    std::string target = "/etc/" + std::string(name);
    if (!own.contains(target)) {
      all.push_back({pod_dir_ + target, target, false, container::Propagation::kPrivate});
    }
  }
  container::Mount termination = TRY(termination_mount(container, attempt));
  if (!own.contains(termination.target)) all.push_back(termination);
  return all;
}

std::string PodVolumes::termination_file(std::string_view container, int attempt) const {
  return pod_dir_ + "/containers/" + std::string(container) + "/" + std::to_string(attempt);
}

Result<void> PodVolumes::remove() {
  paths_.clear();
  TRY(os::remove_tree(memory_dir_));
  return {};
}

}  // namespace wherry::agent
