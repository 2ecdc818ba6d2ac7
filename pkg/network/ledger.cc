#include "network/ledger.h"

#include <algorithm>

#include "base/strings.h"
#include "json/json.h"
#include "os/file.h"

namespace wherry::network {
namespace {

constexpr std::string_view kPods = "pods";
constexpr std::string_view kHost = "host";
constexpr std::string_view kBoot = "boot";
constexpr uint32_t kReservedAtStart = 2;  // The range's own address, and one for the node.

std::string to_json(const PodAddress& pod) {
  json::Draft draft;
  draft.root().set("uid", pod.uid);
  draft.root().set("interface", pod.interface);
  json::Node ports = draft.root().set_array("hostPorts");
  for (const HostPort& port : pod.host_ports) {
    json::Node item = ports.push_object();
    item.set("protocol", port.protocol);
    item.set("hostIP", port.host_ip);
    item.set("hostPort", static_cast<int64_t>(port.host_port));
    item.set("containerPort", static_cast<int64_t>(port.container_port));
  }
  return draft.dump();
}

PodAddress from_json(Ipv4 address, std::string_view text) {
  PodAddress pod{
      .uid = {}, .ip = address.text(), .interface = host_interface(address), .host_ports = {}};
  auto document = json::Document::parse(text);
  if (!document.ok()) return pod;
  pod.uid = document->root()["uid"].as_string();
  for (json::Value item : document->root()["hostPorts"].items()) {
    pod.host_ports.push_back({std::string(item["protocol"].as_string("TCP")),
                              std::string(item["hostIP"].as_string()),
                              static_cast<uint16_t>(item["hostPort"].as_int()),
                              static_cast<uint16_t>(item["containerPort"].as_int())});
  }
  return pod;
}

std::string_view kind_word(HostNote::Kind kind) {
  switch (kind) {
    case HostNote::Kind::kSysctl: return "sysctl";
    case HostNote::Kind::kTable: return "table";
    case HostNote::Kind::kRoute: return "route";
    case HostNote::Kind::kAddress: return "address";
  }
  return {};
}

std::optional<HostNote> parse_note(std::string_view line) {
  auto words = split(line, ' ');
  if (words.size() < 2) return std::nullopt;
  using enum HostNote::Kind;
  for (auto kind : {kSysctl, kTable, kRoute, kAddress}) {
    if (words[0] != kind_word(kind)) continue;
    return HostNote{kind, std::string(words[1]), words.size() > 2 ? std::string(words[2]) : ""};
  }
  return std::nullopt;
}

bool any_address(const std::string& ip) { return ip.empty() || ip == "0.0.0.0" || ip == "::"; }

bool collide(const HostPort& a, const HostPort& b) {
  return a.host_port == b.host_port && a.protocol == b.protocol &&
         (any_address(a.host_ip) || any_address(b.host_ip) || a.host_ip == b.host_ip);
}

}  // namespace

std::string host_interface(Ipv4 pod) { return fmt::format("wv{:08x}", pod.bits); }

Result<Ledger> Ledger::open(std::string dir, std::string_view boot_id) {
  Ledger ledger(std::move(dir));
  auto boot = os::read_file(ledger.path(kBoot));
  if (!boot.ok() || trim(*boot) != trim(boot_id)) {
    TRY(os::remove_tree(ledger.dir_));
    TRY(os::make_directories(ledger.path(kPods), 0700));
    TRY(ledger.write(std::string(kBoot), trim(boot_id)));
    return ledger;
  }
  TRY(os::make_directories(ledger.path(kPods), 0700));
  TRY(ledger.load());
  return ledger;
}

Result<Ledger> Ledger::open_existing(std::string dir) {
  Ledger ledger(std::move(dir));
  TRY(ledger.load());
  return ledger;
}

Result<void> Ledger::load() {
  auto names = os::list_directory(path(kPods));
  if (!names.ok() && !names.error().is(Code::kNotFound)) return std::move(names).error();
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    auto address = Ipv4::parse(name);
    if (!address) continue;  // A file whose writing was cut short.
    auto text = os::read_file(path(kPods) + "/" + name);
    pods_[*address] = from_json(*address, text.ok() ? *text : std::string());
    last_ = std::max(last_, *address);
  }
  auto host = os::read_file(path(kHost));
  if (!host.ok()) return ignore_not_found(std::move(host));
  for (std::string_view line : split(*host, '\n')) {
    if (auto parsed = parse_note(line)) notes_.push_back(*std::move(parsed));
  }
  return {};
}

Result<void> Ledger::write(const std::string& name, std::string_view content) const {
  std::string target = path(name);
  std::string fresh = target + ".new";
  TRY(os::write_file_plain(fresh, content));
  return os::rename_path(fresh, target);
}

Result<void> Ledger::check_host_ports(const std::string& uid,
                                      const std::vector<HostPort>& wanted) const {
  for (const HostPort& port : wanted) {
    for (const auto& [address, pod] : pods_) {
      if (pod.uid == uid) continue;
      for (const HostPort& taken : pod.host_ports) {
        if (!collide(port, taken)) continue;
        return Error::conflict("host port {}/{} is taken by pod {}", port.host_port, port.protocol,
                               pod.uid);
      }
    }
  }
  return {};
}

Result<PodAddress> Ledger::take(const Cidr& range, const std::string& uid,
                                const std::vector<HostPort>& host_ports) {
  TRY(check_host_ports(uid, host_ports));
  uint64_t usable = range.size() > kReservedAtStart + 1 ? range.size() - kReservedAtStart - 1 : 0;
  uint32_t first = range.base.bits + kReservedAtStart;
  uint64_t start = range.contains(last_) && last_.bits >= first ? last_.bits - first + 1 : 0;
  for (uint64_t i = 0; i < usable; ++i) {
    Ipv4 address{first + static_cast<uint32_t>((start + i) % usable)};
    if (pods_.contains(address)) continue;
    PodAddress pod{uid, address.text(), host_interface(address), host_ports};
    TRY(write(std::string(kPods) + "/" + pod.ip, to_json(pod)));
    pods_[address] = pod;
    last_ = address;
    return pod;
  }
  return Error::unavailable("no free address in {}: {} pods hold all of them", range.text(),
                            pods_.size());
}

Result<std::optional<PodAddress>> Ledger::release(std::string_view uid) {
  for (auto at = pods_.begin(); at != pods_.end(); ++at) {
    if (at->second.uid != uid) continue;
    PodAddress pod = at->second;
    TRY(os::remove_file(path(kPods) + "/" + pod.ip));
    pods_.erase(at);
    return std::optional<PodAddress>(std::move(pod));
  }
  return std::optional<PodAddress>();
}

std::vector<PodAddress> Ledger::all() const {
  std::vector<PodAddress> pods;
  for (const auto& [address, pod] : pods_) pods.push_back(pod);
  return pods;
}

std::optional<PodAddress> Ledger::find(std::string_view uid) const {
  for (const auto& [address, pod] : pods_) {
    if (pod.uid == uid) return pod;
  }
  return std::nullopt;
}

Result<void> Ledger::note(const HostNote& wanted) {
  for (const HostNote& known : notes_) {
    if (known.kind == wanted.kind && known.name == wanted.name) return {};
  }
  notes_.push_back(wanted);
  return write_notes();
}

Result<void> Ledger::forget(const HostNote& note) {
  std::erase_if(notes_, [&note](const HostNote& known) {
    return known.kind == note.kind && known.name == note.name;
  });
  return write_notes();
}

Result<void> Ledger::write_notes() const {
  std::string text;
  for (const HostNote& known : notes_) {
    text += fmt::format("{} {} {}\n", kind_word(known.kind), known.name, known.value);
  }
  return write(std::string(kHost), text);
}

}  // namespace wherry::network
