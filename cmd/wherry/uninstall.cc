// wherry uninstall: everything that Wherry made on this machine goes, in the reverse order of its
// making.

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "commands.h"
#include "kubectl_flags.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/process.h"
#include "stop.h"

namespace wherry::command {
namespace {

using kubectl::FlagRow;
using kubectl::Flags;

constexpr std::chrono::seconds kProgramLimit{60};

const std::vector<FlagRow> kFlags = {
    {.name = "dry-run", .bare = "true", .help = "Only say what would be done"},
    {.name = "data-dir", .help = "Folder with the state (/var/lib/wherry)"},
    {.name = "keep-data",
     .bare = "true",
     .help = "Leave the data folder, cluster and all, where it is"},
    {.name = "help", .shorthand = 'h', .bare = "true", .help = "Show this"},
};

Result<void> run_program(std::vector<std::string> words) {
  os::SpawnOptions options;
  options.args = std::move(words);
  TRY(os::run(options, kProgramLimit));
  return {};
}

// A slip in --data-dir must not cost somebody's files.
Result<void> check_data_dir(const std::string& data_dir) {
  Result<std::vector<std::string>> names = os::list_directory(data_dir);
  if (!names.ok()) return ignore_not_found(std::move(names));
  if (std::count(data_dir.begin(), data_dir.end(), '/') < 2) {
    return Error::invalid("{} is not taken away: it does not look like a folder of its own",
                          data_dir);
  }
  for (const std::string& name : *names) {
    if (name != "server" && name != "agent" && name != "wherry.pid") {
      return Error::invalid(
          "{} is not taken away: it holds \"{}\", which is not Wherry's. Move that, or use "
          "--keep-data",
          data_dir, name);
    }
  }
  return {};
}

// The folder may be a mount of its own, on images with a read-only root.
Result<void> remove_config_folder() {
  for (const std::string& name : TRY(os::list_directory(kConfigFolder))) {
    TRY(os::remove_tree(std::string(kConfigFolder) + "/" + name));
  }
  if (os::is_mount_point(kConfigFolder)) return {};
  return os::remove_tree(kConfigFolder);
}

void remove_service_files(Steps& steps, const std::vector<InstalledItem>& items) {
  bool reload = false;
  for (const InstalledItem& item : items) {
    if (item.kind == "unit" && os::is_directory("/run/systemd/system")) {
      steps.run("disable the service " + item.name, [&] {
        return run_program({"systemctl", "disable", "--quiet", item.name});
      });
      reload = true;
    } else if (item.kind == "openrc" && os::exists("/run/openrc")) {
      steps.run("disable the service " + item.name, [&] {
        return run_program({"rc-update", "-q", "del", item.name});
      });
    }
  }
  for (auto item = items.rbegin(); item != items.rend(); ++item) {
    if (item->kind != "file" || !os::exists(item->name)) continue;
    steps.run("remove " + item->name, [&] { return os::remove_file(item->name); });
  }
  if (reload && !steps.dry_run()) steps.note(run_program({"systemctl", "daemon-reload"}));
}

int uninstall(const Flags& flags) {
  Steps steps(flags.on("dry-run"));
  std::vector<std::string> data_dirs = data_dirs_of(flags.text("data-dir"));
  bool keep = flags.on("keep-data");
  for (const std::string& data_dir : data_dirs) {
    if (!keep) steps.note(check_data_dir(data_dir));
  }
  if (steps.exit_code() != 0) return 1;
  std::vector<InstalledItem> items = read_installed();
  stop_services(steps);
  for (const std::string& data_dir : data_dirs) {
    stop_holder(steps, data_dir);
    stop_workloads(steps, data_dir);
  }
  if (steps.exit_code() != 0) {
    std::fprintf(stderr,
                 "wherry: some of it is still there; files are kept so that this can be run "
                 "again\n");
    return 1;
  }
  for (const std::string& data_dir : data_dirs) {
    if (keep || !os::exists(data_dir)) continue;
    steps.run("remove " + data_dir, [&] { return os::remove_tree(data_dir); });
  }
  remove_service_files(steps, items);
  if (os::exists(kConfigFolder)) {
    steps.run(std::string("remove ") + kConfigFolder, [] { return remove_config_folder(); });
  }
  return steps.exit_code();
}

}  // namespace

int run_uninstall(int argc, const char* const* argv) {
  std::span<const char* const> words(argv + 1, static_cast<size_t>(argc - 1));
  Result<Flags> flags = Flags::parse(kFlags, words);
  if (!flags.ok() || !flags->arguments().empty()) {
    std::fprintf(stderr, "wherry uninstall: %s (see wherry uninstall --help)\n",
                 flags.ok() ? "it takes no arguments" : flags.error().message().c_str());
    return 2;
  }
  if (flags->on("help")) {
    std::printf(
        "Removes everything that Wherry made on this machine: service, pods, network, data,\n"
        "configuration and the program. Packages such as runc stay.\n\nUsage: wherry uninstall "
        "[flags]\n\nFlags:\n%s",
        kubectl::describe_flags(kFlags).c_str());
    return 0;
  }
  if (geteuid() != 0 && !flags->on("dry-run")) {
    std::fputs("wherry uninstall: this needs root: sudo wherry uninstall\n", stderr);
    return 1;
  }
  return uninstall(*flags);
}

}  // namespace wherry::command
