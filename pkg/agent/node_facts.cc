// read_node_facts: what the kernel and a few well-known files say about this machine.

#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <thread>

#include "agent/node_status.h"
#include "base/strings.h"
#include "os/fd.h"
#include "os/file.h"

namespace wherry::agent {
namespace {

// Below these shares the node is under pressure; upstream's defaults for hard eviction.
constexpr int64_t kMemoryLowBytes = 100 << 20;
constexpr double kDiskLowShare = 0.10;
constexpr double kInodesLowShare = 0.05;

std::string line_of(const std::string& path) {
  return std::string(trim(os::read_file(path).value_or(std::string())));
}

std::string pretty_name(std::string_view os_release) {
  for (std::string_view line : split(os_release, '\n')) {
    if (!line.starts_with("PRETTY_NAME=")) continue;
    std::string_view value = trim(line.substr(12));
    if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
    return std::string(value);
  }
  return "Linux";
}

std::string go_architecture(std::string_view machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  if (machine.starts_with("armv")) return "arm";
  return std::string(machine);
}

// "MemAvailable:  123 kB" of /proc/meminfo, in bytes.
int64_t meminfo_bytes(std::string_view text, std::string_view key) {
  for (std::string_view line : split(text, '\n')) {
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ':') continue;
    std::string_view value = trim(line.substr(key.size() + 1));
    return parse_int(value.substr(0, value.find(' '))).value_or(0) * 1024;
  }
  return 0;
}

void read_hugepages(NodeFacts* facts) {
  facts->hugepages.clear();
  const std::string root = "/sys/kernel/mm/hugepages";
  for (const std::string& name : os::list_directory(root).value_or(std::vector<std::string>())) {
    std::string_view size = name;
    if (!size.starts_with("hugepages-") || !size.ends_with("kB")) continue;
    int64_t kilobytes = parse_int(size.substr(10, size.size() - 12)).value_or(0);
    int64_t count = parse_int(line_of(root + "/" + name + "/nr_hugepages")).value_or(0);
    std::string label = kilobytes % (1 << 20) == 0 ? std::to_string(kilobytes >> 20) + "Gi"
                                                   : std::to_string(kilobytes >> 10) + "Mi";
    facts->hugepages["hugepages-" + label] = count * kilobytes * 1024;
  }
}

}  // namespace

void read_node_facts(const std::string& data_dir, NodeFacts* facts) {
  utsname names{};
  ::uname(&names);
  facts->hostname = names.nodename;
  facts->kernel_version = names.release;
  facts->architecture = go_architecture(names.machine);
  facts->machine_id = line_of("/etc/machine-id");
  facts->system_uuid = to_lower(line_of("/sys/class/dmi/id/product_uuid"));
  if (facts->system_uuid.empty()) facts->system_uuid = facts->machine_id;
  facts->boot_id = line_of("/proc/sys/kernel/random/boot_id");
  std::string release = os::read_file("/etc/os-release").value_or(std::string());
  facts->os_image = pretty_name(release);
  facts->cpu_count = std::max<int64_t>(std::thread::hardware_concurrency(), 1);

  std::string meminfo = os::read_file("/proc/meminfo").value_or(std::string());
  facts->memory_bytes = meminfo_bytes(meminfo, "MemTotal");
  facts->swap_bytes = meminfo_bytes(meminfo, "SwapTotal");
  int64_t available = meminfo_bytes(meminfo, "MemAvailable");
  facts->memory_pressure = available > 0 && available < kMemoryLowBytes;
  read_hugepages(facts);
  Result<os::DiskSpace> disk = os::disk_space(data_dir);
  if (disk.ok() && disk->total_bytes > 0) {
    facts->disk_bytes = static_cast<int64_t>(disk->total_bytes);
    double free_share =
        static_cast<double>(disk->available_bytes) / static_cast<double>(disk->total_bytes);
    double inodes_share = disk->total_inodes == 0 ? 1.0
                                                  : static_cast<double>(disk->free_inodes) /
                                                        static_cast<double>(disk->total_inodes);
    facts->disk_pressure = free_share < kDiskLowShare || inodes_share < kInodesLowShare;
  }
  std::string loadavg = line_of("/proc/loadavg");  // "0.1 0.2 0.3 1/234 5678"
  std::vector<std::string_view> parts = split(loadavg, ' ');
  int64_t pid_max = parse_int(line_of("/proc/sys/kernel/pid_max")).value_or(0);
  if (parts.size() > 3 && pid_max > 0) {
    std::string_view tasks = parts[3].substr(parts[3].find('/') + 1);
    facts->pid_pressure = parse_int(tasks).value_or(0) > pid_max / 100 * 95;
  }
}

}  // namespace wherry::agent
