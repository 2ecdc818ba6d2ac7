#include "container/bundle.h"

#include <algorithm>

#include "base/strings.h"
#include "container/seccomp.h"
#include "json/json.h"
#include "os/mount.h"

namespace wherry::container {
namespace {

constexpr std::string_view kPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

constexpr std::string_view kMasked[] = {
    "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
constexpr std::string_view kReadOnly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                          "/proc/sysrq-trigger"};

void set_env(std::vector<std::string>& env, std::string_view entry) {
  std::string_view name = entry.substr(0, entry.find('='));
  for (std::string& have : env) {
    if (std::string_view(have).substr(0, have.find('=')) == name) {
      have = entry;
      return;
    }
  }
  env.emplace_back(entry);
}

bool has_env(const std::vector<std::string>& env, std::string_view name) {
  return std::any_of(env.begin(), env.end(), [&](const std::string& entry) {
    return std::string_view(entry).substr(0, entry.find('=')) == name;
  });
}

std::vector<std::string> full_env(const ContainerConfig& config, const SandboxConfig& sandbox,
                                  const ImageUser& user) {
  std::vector<std::string> env{std::string(kPath)};
  if (config.tty) env.emplace_back("TERM=xterm");
  if (!sandbox.host_network) env.push_back("HOSTNAME=" + sandbox.hostname);
  for (const std::string& entry : config.image.config.env) set_env(env, entry);
  for (const std::string& entry : config.env) set_env(env, entry);
  if (!has_env(env, "HOME")) env.push_back("HOME=" + user.home);
  return env;
}

Result<std::vector<std::string>> full_args(const ContainerConfig& config) {
  const ImageConfig& image = config.image.config;
  std::vector<std::string> args = config.command.empty() ? image.entrypoint : config.command;
  if (!config.args.empty()) {
    args.insert(args.end(), config.args.begin(), config.args.end());
  } else if (config.command.empty()) {
    args.insert(args.end(), image.command.begin(), image.command.end());
  }
  if (args.empty()) return Error::invalid("no command specified");
  return args;
}

void add_capabilities(const json::Node& process, const std::set<std::string>& capabilities) {
  json::Node node = process.set_object("capabilities");
  for (const char* set : {"bounding", "effective", "permitted"}) {
    json::Node list = node.set_array(set);
    for (const std::string& name : capabilities) list.push(name);
  }
}

Result<void> add_process(const json::Node& root, const ContainerConfig& config,
                         const SandboxConfig& sandbox, const BundleContext& context,
                         const std::set<std::string>& capabilities) {
  const ImageConfig& image = config.image.config;
  ImageUser user = TRY(resolve_user(config.image, config.user.empty() ? image.user : config.user));
  json::Node process = root.set_object("process");
  process.set("terminal", config.tty);
  json::Node who = process.set_object("user");
  who.set("uid", static_cast<int64_t>(user.uid));
  who.set("gid", static_cast<int64_t>(config.group.value_or(user.gid)));
  std::set<uint32_t> groups(user.groups.begin(), user.groups.end());
  groups.insert(config.supplemental_groups.begin(), config.supplemental_groups.end());
  groups.insert(config.group.value_or(user.gid));
  json::Node more = who.set_array("additionalGids");
  for (uint32_t group : groups) more.push(static_cast<int64_t>(group));

  std::vector<std::string> args = TRY(full_args(config));
  json::Node list = process.set_array("args");
  for (const std::string& arg : args) list.push(arg);
  list = process.set_array("env");
  for (const std::string& entry : full_env(config, sandbox, user)) list.push(entry);
  std::string directory = !config.working_dir.empty() ? config.working_dir : image.working_dir;
  process.set("cwd", directory.starts_with('/') ? directory : "/" + directory);
  add_capabilities(process, capabilities);
  process.set("noNewPrivileges", config.security.no_new_privileges);
  process.set("oomScoreAdj", std::max(config.oom_score_adj, context.oom_score_adj_min));
  json::Node limit = process.set_array("rlimits").push_object();
  limit.set("type", "RLIMIT_NOFILE");
  limit.set("hard", static_cast<int64_t>(context.open_files_max));
  limit.set("soft", static_cast<int64_t>(context.open_files_max));
  return {};
}

void add_mount(const json::Node& mounts, std::string_view target, std::string_view type,
               std::string_view source, const std::vector<std::string>& options) {
  json::Node mount = mounts.push_object();
  mount.set("destination", target);
  mount.set("type", type);
  mount.set("source", source);
  json::Node list = mount.set_array("options");
  for (const std::string& option : options) list.push(option);
}

bool mounts_at(const ContainerConfig& config, std::string_view target) {
  return std::any_of(config.mounts.begin(), config.mounts.end(),
                     [&](const Mount& mount) { return mount.target == target; });
}

Result<void> add_root_mount(const json::Node& mounts, const ContainerConfig& config,
                            const BundleContext& context) {
  std::vector<std::string> lowers(config.image.layers.rbegin(), config.image.layers.rend());
  // An overlay needs a lower folder even when the image has no layer.
  if (lowers.empty()) lowers.push_back(context.container_directory + "/rootfs");
  std::string options = TRY(os::overlay_options(lowers, context.container_directory + "/upper",
                                                context.container_directory + "/work"));
  std::vector<std::string> list;
  for (std::string_view option : split(options, ',')) list.emplace_back(option);
  add_mount(mounts, "/", "overlay", "overlay", list);
  return {};
}

void add_kernel_mounts(const json::Node& mounts, const ContainerConfig& config,
                       const SandboxConfig& sandbox, const BundleContext& context) {
  bool privileged = config.security.privileged;
  std::string access = privileged ? "rw" : "ro";
  add_mount(mounts, "/proc", "proc", "proc", {"nosuid", "noexec", "nodev"});
  add_mount(mounts, "/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"});
  add_mount(mounts, "/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"});
  add_mount(mounts, "/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"});
  if (sandbox.host_network) {
    // A new sysfs may only be mounted by the owner of the network namespace; the host's is as good.
    add_mount(mounts, "/sys", "bind", "/sys", {"rbind", "nosuid", "noexec", "nodev", access});
  } else {
    add_mount(mounts, "/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access});
  }
  add_mount(mounts, "/sys/fs/cgroup", "cgroup", "cgroup",
            {"nosuid", "noexec", "nodev", "relatime", access});
  if (!mounts_at(config, "/dev/shm")) {
    add_mount(mounts, "/dev/shm", "bind",
              context.shm_directory.empty() ? "/dev/shm" : context.shm_directory,
              {"rbind", "rw", "nosuid", "nodev", "noexec"});
  }
}

Result<void> add_layers(const json::Node& mounts, const Mount& mount) {
  std::vector<std::string> options{"ro", "noexec", "nosuid", "nodev"};
  if (mount.layers.size() == 1) {  // overlayfs wants two.
    options.insert(options.begin(), {"rbind", "rprivate"});
    add_mount(mounts, mount.target, "bind", mount.layers.front(), options);
    return {};
  }
  options.push_back(TRY(os::overlay_options(mount.layers, "", "")));
  add_mount(mounts, mount.target, "overlay", "overlay", options);
  return {};
}

Result<void> add_volume_mounts(const json::Node& mounts, const ContainerConfig& config) {
  // A mount below another one must come after it.
  std::vector<const Mount*> sorted;
  for (const Mount& mount : config.mounts) sorted.push_back(&mount);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Mount* a, const Mount* b) {
    return std::count(a->target.begin(), a->target.end(), '/') <
           std::count(b->target.begin(), b->target.end(), '/');
  });
  for (const Mount* mount : sorted) {
    if (!mount->layers.empty()) {
      TRY(add_layers(mounts, *mount));
      continue;
    }
    const char* propagation = mount->propagation == Propagation::kBidirectional     ? "rshared"
                              : mount->propagation == Propagation::kHostToContainer ? "rslave"
                                                                                    : "rprivate";
    add_mount(mounts, mount->target, "bind", mount->source,
              {"rbind", propagation, mount->read_only ? "ro" : "rw"});
  }
  return {};
}

void add_namespaces(const json::Node& linux_node, const SandboxConfig& sandbox,
                    const BundleContext& context) {
  json::Node list = linux_node.set_array("namespaces");
  auto add = [&](std::string_view type, const std::string& path) {
    json::Node entry = list.push_object();
    entry.set("type", type);
    if (!path.empty()) entry.set("path", path);
  };
  auto of_sandbox = [&](std::string_view file) {
    return "/proc/" + std::to_string(context.sandbox_pid) + "/ns/" + std::string(file);
  };
  add("mount", "");
  if (!sandbox.host_network) {
    add("network", of_sandbox("net"));
    add("uts", of_sandbox("uts"));
  }
  if (!sandbox.host_ipc) add("ipc", of_sandbox("ipc"));
  if (sandbox.host_pid) return;
  add("pid", context.shared_pid_init > 0
                 ? "/proc/" + std::to_string(context.shared_pid_init) + "/ns/pid"
                 : "");
}

void add_device(const json::Node& list, bool allow, std::string_view type, int major, int minor,
                std::string_view access) {
  json::Node rule = list.push_object();
  rule.set("allow", allow);
  if (!type.empty()) rule.set("type", type);
  if (major >= 0) rule.set("major", major);
  if (minor >= 0) rule.set("minor", minor);
  rule.set("access", access);
}

void add_resources(const json::Node& linux_node, const ContainerConfig& config) {
  const os::CgroupLimits& limits = config.limits;
  json::Node resources = linux_node.set_object("resources");
  // The runtime itself allows null, zero, full, random, urandom, tty and the terminals.
  add_device(resources.set_array("devices"), config.security.privileged, "", -1, -1, "rwm");
  json::Node cpu = resources.set_object("cpu");
  if (limits.cpu_shares) cpu.set("shares", static_cast<int64_t>(*limits.cpu_shares));
  if (limits.cpu_quota_us) {
    cpu.set("quota", *limits.cpu_quota_us);
    cpu.set("period", static_cast<int64_t>(limits.cpu_period_us));
  }
  if (limits.memory_bytes && *limits.memory_bytes > 0) {
    json::Node memory = resources.set_object("memory");
    memory.set("limit", *limits.memory_bytes);
    // Without swap: a limit is what the container may use, not what it may use before swapping.
    memory.set("swap", *limits.memory_bytes);
  }
  if (limits.pids) resources.set_object("pids").set("limit", *limits.pids);
}

void add_host_devices(const json::Node& linux_node) {
  json::Node devices = linux_node.set_array("devices");
  // A privileged container sees the host's nodes; what must exist in any case the runtime makes.
  for (auto [name, type, major, minor] :
       {std::tuple{"kmsg", "c", 1, 11}, std::tuple{"fuse", "c", 10, 229},
        std::tuple{"net/tun", "c", 10, 200}}) {
    std::string path = std::string("/dev/") + name;
    if (!os::exists(path)) continue;
    json::Node device = devices.push_object();
    device.set("path", path);
    device.set("type", type);
    device.set("major", major);
    device.set("minor", minor);
    device.set("fileMode", 0600);
  }
}

Result<void> add_linux(const json::Node& root, const ContainerConfig& config,
                       const SandboxConfig& sandbox, const BundleContext& context,
                       const std::set<std::string>& capabilities) {
  json::Node linux_node = root.set_object("linux");
  linux_node.set("cgroupsPath", context.cgroup);
  add_namespaces(linux_node, sandbox, context);
  add_resources(linux_node, config);
  linux_node.set("rootfsPropagation", "rprivate");
  for (const Mount& mount : config.mounts) {
    if (mount.propagation == Propagation::kBidirectional) {
      linux_node.set("rootfsPropagation", "rshared");
    } else if (mount.propagation == Propagation::kHostToContainer &&
               linux_node["rootfsPropagation"].as_string() == "rprivate") {
      linux_node.set("rootfsPropagation", "rslave");
    }
  }
  const Security& security = config.security;
  if (security.privileged) {
    add_host_devices(linux_node);
    return {};
  }
  if (!security.unmasked_proc) {
    json::Node masked = linux_node.set_array("maskedPaths");
    for (std::string_view path : kMasked) masked.push(path);
    json::Node read_only = linux_node.set_array("readonlyPaths");
    for (std::string_view path : kReadOnly) read_only.push(path);
  }
  if (security.seccomp == SeccompKind::kRuntimeDefault) {
    default_seccomp(linux_node.set_object("seccomp"), capabilities);
  } else if (security.seccomp == SeccompKind::kLocalhost) {
    Result<std::string> text = os::read_file(security.seccomp_file);
    if (!text.ok()) {
      return Error::invalid("cannot load seccomp profile {}: {}", quote(security.seccomp_file),
                            text.error().message());
    }
    TRY(load_seccomp(linux_node.set_object("seccomp"), *text, capabilities));
  }
  return {};
}

}  // namespace

Result<std::string> build_bundle(const ContainerConfig& config, const SandboxConfig& sandbox,
                                 const BundleContext& context) {
  std::set<std::string> capabilities = TRY(capability_set(config.security));
  json::Draft draft;
  json::Node root = draft.root();
  root.set("ociVersion", "1.0.2");
  TRY(add_process(root, config, sandbox, context, capabilities));
  json::Node fs = root.set_object("root");
  fs.set("path", "rootfs");
  fs.set("readonly", config.security.read_only_root);

  json::Node mounts = root.set_array("mounts");
  if (context.overlay_as_mount) TRY(add_root_mount(mounts, config, context));
  add_kernel_mounts(mounts, config, sandbox, context);
  TRY(add_volume_mounts(mounts, config));
  TRY(add_linux(root, config, sandbox, context, capabilities));
  if (!config.annotations.empty()) {
    json::Node annotations = root.set_object("annotations");
    for (const auto& [key, value] : config.annotations) annotations.set(key, value);
  }
  return draft.dump();
}

Result<std::string> exec_process(std::string_view config_json,
                                 const std::vector<std::string>& command, bool terminal) {
  json::Document config = TRY(json::Document::parse(config_json));
  json::Value process = config.root()["process"];
  if (!process.is_object()) return Error::internal("config.json has no process");
  json::Draft draft(process);
  json::Node args = draft.root().set_array("args");
  for (const std::string& part : command) args.push(part);
  draft.root().set("terminal", terminal);
  if (terminal) {
    bool has_term = false;
    for (json::Value entry : process["env"].items()) {
      if (entry.as_string().starts_with("TERM=")) has_term = true;
    }
    if (!has_term) draft.root().ensure_array("env").push("TERM=xterm");
  }
  return draft.dump();
}

}  // namespace wherry::container
