#pragma once
// Ledger: what the pod network holds on this host, in files (drawn in pod_network.h). The kernel's
// network state ends with a reboot, so files need no fsync and those of an earlier boot are
// dropped. One thread at a time.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "network/address.h"
#include "network/pod_network.h"

namespace wherry::network {

// What set-up changed on the host.
struct HostNote {
  enum class Kind { kSysctl, kTable, kRoute, kAddress };
  Kind kind;
  std::string name;   // Path, table, range or address.
  std::string value;  // A sysctl's value before.
  bool operator==(const HostNote&) const = default;
};

class Ledger {
 public:
  // Makes the folder. A file that cannot be read counts as an address without a pod (uid empty), so
  // that nobody is given it before its interface has been removed.
  static Result<Ledger> open(std::string dir, std::string_view boot_id);
  // Without looking at the boot id or making anything; an absent folder is an empty ledger.
  static Result<Ledger> open_existing(std::string dir);

  // An address of `range` for the pod; its first two and its last are never given out. Addresses
  // are given in turn, so that one that was freed rests as long as possible.
  Result<PodAddress> take(const Cidr& range, const std::string& uid,
                          const std::vector<HostPort>& host_ports);
  // The address it had; empty when there was none.
  Result<std::optional<PodAddress>> release(std::string_view uid);
  std::vector<PodAddress> all() const;
  std::optional<PodAddress> find(std::string_view uid) const;

  // Written before the change is made. A sysctl that is noted already keeps its first value.
  Result<void> note(const HostNote& note);
  // After the change has been undone.
  Result<void> forget(const HostNote& note);
  const std::vector<HostNote>& notes() const { return notes_; }
  const std::string& dir() const { return dir_; }

 private:
  explicit Ledger(std::string dir) : dir_(std::move(dir)) {}
  Result<void> load();
  Result<void> check_host_ports(const std::string& uid, const std::vector<HostPort>& wanted) const;
  Result<void> write_notes() const;
  Result<void> write(const std::string& name, std::string_view content) const;
  std::string path(std::string_view name) const { return dir_ + "/" + std::string(name); }

  std::string dir_;
  std::map<Ipv4, PodAddress> pods_;
  std::vector<HostNote> notes_;
  Ipv4 last_;  // Given out most recently.
};

std::string host_interface(Ipv4 pod);  // "wv0a2a0005": names must be short and unique on the host.

}  // namespace wherry::network
