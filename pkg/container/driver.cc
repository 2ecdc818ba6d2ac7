#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "base/strings.h"
#include "container/shim_sandbox.h"
#include "os/file.h"
#include "os/process.h"

// The shim program, carried in this binary by the build.
extern "C" const char wherry_shim_start[];
extern "C" const char wherry_shim_end[];

namespace wherry::container {
namespace {

// Without CAP_SYS_RESOURCE nobody may go below where this process is.
int lowest_oom_score() {
  constexpr int kSysResource = 24;
  Result<std::string> status = os::read_file("/proc/self/status");
  if (status.ok()) {
    for (std::string_view line : split(*status, '\n')) {
      if (!line.starts_with("CapEff:")) continue;
      uint64_t mask = std::strtoull(std::string(trim(line.substr(7))).c_str(), nullptr, 16);
      if ((mask >> kSysResource & 1) != 0) return -1000;
    }
  }
  return 0;
}

uint64_t most_open_files() {
  constexpr uint64_t kWanted = 1 << 20;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return std::min<uint64_t>(limit.rlim_max, kWanted);
}

}  // namespace

Result<Runtime> find_runtime(std::string_view name) {
  Result<std::string> path = os::find_program(name);
  if (!path.ok()) {
    return Error::not_found(
        "the OCI runtime {} is not installed: install it with the package manager (apt-get install "
        "{})",
        name, name);
  }
  Runtime runtime;
  runtime.name = name;
  runtime.path = std::move(path).value();
  // Of the runtimes known, only runc takes an overlay over the root as an ordinary mount.
  runtime.overlay_as_mount = name == "runc";
  return runtime;
}

Result<std::unique_ptr<Driver>> open_driver(DriverConfig config, const Clock& clock) {
  CHECK(!config.runtimes.empty());
  os::Cgroups cgroups = TRY(os::Cgroups::detect());
  std::string_view program(wherry_shim_start,
                           static_cast<size_t>(wherry_shim_end - wherry_shim_start));
  os::Fd shim = TRY(os::make_memfd("wherry-shim", program));
  TRY(os::make_directories(config.runtime_root, 0700));
  std::unique_ptr<Driver> driver =
      std::make_unique<ShimDriver>(std::move(config), clock, std::move(cgroups), std::move(shim));
  return driver;
}

ShimDriver::ShimDriver(DriverConfig config, const Clock& clock, os::Cgroups cgroups, os::Fd shim)
    : config_(std::move(config)),
      clock_(clock),
      cgroups_(std::move(cgroups)),
      shim_(std::move(shim)),
      oom_score_adj_min_(lowest_oom_score()),
      open_files_max_(most_open_files()) {}

Result<const Runtime*> ShimDriver::runtime(const std::string& name) const {
  if (name.empty()) return &config_.runtimes.front();
  for (const Runtime& row : config_.runtimes) {
    if (row.name == name) return &row;
  }
  return Error::invalid("no runtime for {} is configured", quote(name));
}

Result<std::unique_ptr<Sandbox>> ShimDriver::create(const SandboxConfig& config) {
  auto sandbox = std::make_unique<ShimSandbox>(*this, config);
  TRY(sandbox->begin());
  std::unique_ptr<Sandbox> out = std::move(sandbox);
  return out;
}

Result<std::unique_ptr<Sandbox>> ShimDriver::adopt(const std::string& directory) {
  SandboxConfig config;
  config.directory = directory;
  auto sandbox = std::make_unique<ShimSandbox>(*this, std::move(config));
  TRY(sandbox->resume());
  std::unique_ptr<Sandbox> out = std::move(sandbox);
  return out;
}

}  // namespace wherry::container
