#pragma once
// Ending what runs on this machine: the service, and the pods that outlive it. Shared by stop and
// uninstall. One thread.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::command {

// /etc/wherry/installed: what install.sh made, one "<kind> <name>" a line.
struct InstalledItem {
  std::string kind;  // "file", "unit", "openrc", "pidfile", "data", "example".
  std::string name;
};
inline constexpr char kConfigFolder[] = "/etc/wherry";
inline constexpr char kInstalledFile[] = "/etc/wherry/installed";
std::vector<InstalledItem> read_installed();

// Prints what is done and does it, or only prints it. Goes on past failures and counts them.
class Steps {
 public:
  explicit Steps(bool dry_run) : dry_run_(dry_run) {}

  bool dry_run() const { return dry_run_; }
  template <typename Work>
  void run(const std::string& what, const Work& work) {
    say(what);
    if (!dry_run_) note(work());
  }
  void note(const Result<void>& done);
  int exit_code() const { return failures_ == 0 ? 0 : 1; }

 private:
  void say(const std::string& what) const;

  const bool dry_run_;
  int failures_ = 0;
};

// The services of install.sh, when there are; then whoever holds the data folder.
void stop_services(Steps& steps);
void stop_holder(Steps& steps, const std::string& data_dir);
// On a stopped node: pods, their network, mounts and control groups.
void stop_workloads(Steps& steps, const std::string& data_dir);

// What --data-dir means: what was given, else $WHERRY_DATA_DIR, else what install.sh noted (a
// machine may have several), else the default. Absolute.
std::vector<std::string> data_dirs_of(std::string_view given);
inline std::string data_dir_of(std::string_view given) { return data_dirs_of(given).front(); }

}  // namespace wherry::command
