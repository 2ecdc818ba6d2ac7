#include "apiserver/service_allocator.h"

#include <arpa/inet.h>

#include <algorithm>
#include <map>

#include "api/field_error.h"
#include "api/names.h"
#include "base/random.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

using api::FieldErrors;
using api::Path;

constexpr std::string_view kNone = "None";

std::optional<uint32_t> parse_address(std::string_view text) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) return std::nullopt;
  return ntohl(address.s_addr);
}

std::string format_address(uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, (address >> 16) & 255, (address >> 8) & 255,
                     address & 255);
}

Error invalid_service(std::string_view name, const FieldErrors& errors) {
  return errors.to_error("", "Service", name);
}

bool wants_node_ports(json::Value spec) {
  std::string_view type = spec["type"].as_string();
  if (type == "NodePort") return true;
  return type == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"].as_bool(true);
}
bool wants_node_ports(json::Node spec) {
  std::string_view type = spec["type"].as_string();
  if (type == "NodePort") return true;
  return type == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"].as_bool(true);
}

bool wants_health_port(json::Node spec) {
  return spec["type"].as_string() == "LoadBalancer" &&
         spec["externalTrafficPolicy"].as_string() == "Local";
}

// A Service's port is known by number and protocol: its name and node port may change.
std::string port_key(std::string_view protocol, int64_t port) {
  return fmt::format("{}/{}", protocol.empty() ? "TCP" : protocol, port);
}

Error wrong_addresses(json::Node service, json::Node shown, std::string_view problem) {
  FieldErrors errors;
  json::Draft copy(shown);
  json::Document list = copy.freeze();
  errors.invalid(Path("spec").child("clusterIPs"), list.root(), problem);
  return invalid_service(service["metadata"]["name"].as_string(), errors);
}

// Of the families there is IPv4 only: whether a Service can do with that.
FieldErrors family_problems(json::Node spec, bool headless_without_selector) {
  FieldErrors errors;
  Path path("spec");
  std::string policy(spec["ipFamilyPolicy"].as_string("SingleStack"));
  size_t index = 0;
  if (policy == "SingleStack" && spec["ipFamilies"].size() > 1 && !headless_without_selector &&
      spec["ipFamilies"].at(0).as_string() != spec["ipFamilies"].at(1).as_string()) {
    errors.invalid(path.child("ipFamilyPolicy"), policy,
                   "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are "
                   "specified");
    return errors;
  }
  if (headless_without_selector) return errors;
  if (policy == "RequireDualStack") {
    errors.invalid(path.child("ipFamilyPolicy"), policy,
                   "this cluster is not configured for dual-stack services");
  }
  for (json::Node family : spec["ipFamilies"].items()) {
    if (family.as_string() == "IPv6") {
      errors.invalid(path.child("ipFamilies").index(index), family.as_string(),
                     "not configured on this cluster");
    }
    ++index;
  }
  return errors;
}

void set_families(json::Node spec, bool headless_without_selector) {
  if (!spec["ipFamilyPolicy"]) {
    spec.set("ipFamilyPolicy", headless_without_selector ? "RequireDualStack" : "SingleStack");
  }
  if (spec["ipFamilies"].empty()) {
    json::Node families = spec.set_array("ipFamilies");
    families.push("IPv4");
    if (headless_without_selector && spec["ipFamilyPolicy"].as_string() != "SingleStack") {
      families.push("IPv6");
    }
  }
}

// Of fields that the new type has no use for, those go that the writer left as they were.
void drop_unused(json::Value before, json::Node spec) {
  json::Value old = before["spec"];
  if (spec["type"].as_string() == "ExternalName" && old["type"].as_string() != "ExternalName" &&
      spec["clusterIP"].as_string() == old["clusterIP"].as_string()) {
    for (const char* field :
         {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"}) {
      spec.remove(field);
    }
  }
  if (wants_node_ports(old) && !wants_node_ports(spec)) {
    std::vector<json::Value> old_ports;
    for (json::Value port : old["ports"].items()) old_ports.push_back(port);
    size_t index = 0;
    for (json::Node port : spec["ports"].items()) {
      bool same = index < old_ports.size() &&
                  port["nodePort"].as_int() == old_ports[index]["nodePort"].as_int();
      if (same) port.remove("nodePort");
      ++index;
    }
  }
  if (!wants_health_port(spec) &&
      spec["healthCheckNodePort"].as_int() == old["healthCheckNodePort"].as_int()) {
    spec.remove("healthCheckNodePort");
  }
}

// What the old object was given stays, when the writer left it out.
void keep_allocated(json::Value before, json::Node spec) {
  json::Value old = before["spec"];
  bool wants_address = spec["type"].as_string() != "ExternalName";
  if (wants_address && old["type"].as_string() != "ExternalName" &&
      spec["clusterIP"].as_string().empty() && spec["clusterIPs"].empty()) {
    spec.set("clusterIP", old["clusterIP"]);
    spec.set("clusterIPs", old["clusterIPs"]);
  }
  if (wants_node_ports(spec) && wants_node_ports(old)) {
    std::map<std::string, int64_t> had;
    for (json::Value port : old["ports"].items()) {
      had[port_key(port["protocol"].as_string(), port["port"].as_int())] =
          port["nodePort"].as_int();
    }
    for (json::Node port : spec["ports"].items()) {
      if (port["nodePort"].as_int() != 0) continue;
      auto found = had.find(port_key(port["protocol"].as_string(), port["port"].as_int()));
      if (found != had.end() && found->second != 0) port.set("nodePort", found->second);
    }
  }
  if (wants_health_port(spec) && spec["healthCheckNodePort"].as_int() == 0 &&
      old["healthCheckNodePort"].as_int() != 0) {
    spec.set("healthCheckNodePort", old["healthCheckNodePort"]);
  }
}

}  // namespace

ServiceAllocator::Reservation::Reservation(Reservation&& other) noexcept {
  *this = std::move(other);
}

ServiceAllocator::Reservation& ServiceAllocator::Reservation::operator=(
    Reservation&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  owner_ = std::exchange(other.owner_, nullptr);
  addresses_ = std::move(other.addresses_);
  ports_ = std::move(other.ports_);
  freed_addresses_ = std::move(other.freed_addresses_);
  freed_ports_ = std::move(other.freed_ports_);
  return *this;
}

void ServiceAllocator::Reservation::give_back() {
  if (owner_ == nullptr) return;
  MutexLock lock(owner_->mutex_);
  for (uint32_t address : addresses_) owner_->addresses_.erase(address);
  for (uint32_t port : ports_) owner_->ports_.erase(port);
  owner_ = nullptr;
}

void ServiceAllocator::Reservation::keep() {
  if (owner_ == nullptr) return;
  MutexLock lock(owner_->mutex_);
  for (uint32_t address : freed_addresses_) owner_->addresses_.erase(address);
  for (uint32_t port : freed_ports_) owner_->ports_.erase(port);
  owner_ = nullptr;
}

ServiceAllocator::ServiceAllocator(std::string_view cidr, uint16_t port_first, uint16_t port_last)
    : row_(api::resource("services")), cidr_(cidr), port_first_(port_first), port_last_(port_last) {
  auto parts = split_once(cidr, "/");
  CHECK(parts.has_value());
  std::optional<uint32_t> address = parse_address(parts->first);
  std::optional<int64_t> bits = parse_int(parts->second);
  CHECK(address.has_value() && bits.has_value() && *bits >= 8 && *bits <= 30);
  count_ = 1U << (32 - *bits);
  first_ = *address & ~(count_ - 1);
}

ServiceAllocator::Wants ServiceAllocator::holdings(json::Value service) {
  Wants out;
  json::Value spec = service["spec"];
  if (auto address = parse_address(spec["clusterIP"].as_string()))
    out.addresses.push_back(*address);
  for (json::Value port : spec["ports"].items()) {
    int64_t number = port["nodePort"].as_int();
    if (number != 0) out.ports.push_back(static_cast<uint32_t>(number));
  }
  int64_t health = spec["healthCheckNodePort"].as_int();
  if (health != 0) out.ports.push_back(static_cast<uint32_t>(health));
  return out;
}

Result<void> ServiceAllocator::load(const store::Store& store) {
  store::SnapshotPtr services = store.snapshot(row_.group_resource());
  MutexLock lock(mutex_);
  services->scan("", "", "", [this](const api::ObjectPtr& object) NO_THREAD_SAFETY_ANALYSIS {
    json::Document document = object->document();
    Wants wants = holdings(document.root());
    addresses_.insert(wants.addresses.begin(), wants.addresses.end());
    ports_.insert(wants.ports.begin(), wants.ports.end());
    return true;
  });
  return {};
}

void ServiceAllocator::release(const api::Resource& row, json::Value object) {
  if (!serves(row)) return;
  Wants wants = holdings(object);
  MutexLock lock(mutex_);
  for (uint32_t address : wants.addresses) addresses_.erase(address);
  for (uint32_t port : wants.ports) ports_.erase(port);
}

// The first part of the range is left to people who choose addresses by hand, as upstream does
// (KEP-3070); it is used when nothing else is free.
Result<uint32_t> ServiceAllocator::next_address() {
  uint32_t usable = count_ - 2;
  uint32_t low = std::min<uint32_t>(std::max<uint32_t>(16, usable / 16), 256);
  if (low >= usable) low = 0;
  uint32_t upper = usable - low;
  uint32_t start = static_cast<uint32_t>(random_u64() % upper);
  for (uint32_t i = 0; i < upper; ++i) {
    uint32_t address = first_ + 1 + low + (start + i) % upper;
    if (!addresses_.contains(address)) return address;
  }
  for (uint32_t i = 0; i < low; ++i) {
    if (!addresses_.contains(first_ + 1 + i)) return first_ + 1 + i;
  }
  return Error::internal("failed to allocate a serviceIP: range is full");
}

Result<uint32_t> ServiceAllocator::next_port(const std::set<uint32_t>& also_taken) {
  uint32_t size = port_last_ - port_first_ + 1U;
  uint32_t start = static_cast<uint32_t>(random_u64() % size);
  for (uint32_t i = 0; i < size; ++i) {
    uint32_t port = port_first_ + (start + i) % size;
    if (!ports_.contains(port) && !also_taken.contains(port)) return port;
  }
  return Error::internal("failed to allocate a nodePort: range is full");
}

std::string ServiceAllocator::address_problem(uint32_t address, std::string_view shown,
                                              Use use) const {
  bool outside = address <= first_ || address >= first_ + count_ - 1;
  if (outside && use == Use::kTrial) {
    return fmt::format(
        "the provided IP ({}) is not in the valid range. The range of valid IPs is {}", shown,
        cidr_);
  }
  if (outside) return "the provided network does not match the current range";
  if (use == Use::kReal && addresses_.contains(address)) return "provided IP is already allocated";
  return {};
}

Result<void> ServiceAllocator::reserve_address(json::Value before, json::Node after, Use use,
                                               Reservation& reservation) {
  json::Node spec = after["spec"];
  if (spec["type"].as_string() == "ExternalName") return {};
  if (spec["clusterIP"].as_string().empty() && !spec["clusterIPs"].empty()) {
    if (!before) {
      return wrong_addresses(after, spec["clusterIPs"],
                             "must be empty when `clusterIP` is not specified");
    }
    spec.set("clusterIP", spec["clusterIPs"].at(0));
  }
  std::string wanted(spec["clusterIP"].as_string());
  bool headless = wanted == kNone;
  FieldErrors families = family_problems(spec, headless && spec["selector"].empty());
  if (!families.empty()) return invalid_service(after["metadata"]["name"].as_string(), families);
  set_families(spec, headless && spec["selector"].empty());

  if (api::is_ipv6(wanted)) {
    FieldErrors errors;
    json::Draft list = json::Draft::array();
    list.root().push(wanted);
    json::Document shown = list.freeze();
    errors.invalid(Path("spec").child("clusterIPs").index(0), shown.root(),
                   "IPv6 is not configured on this cluster");
    return invalid_service(after["metadata"]["name"].as_string(), errors);
  }
  std::optional<uint32_t> address = parse_address(wanted);
  if (wanted.empty()) {
    address = TRY(next_address());
    spec.set("clusterIP", format_address(*address));
  } else if (address && before["spec"]["clusterIP"].as_string() != wanted) {
    std::string problem = address_problem(*address, wanted, use);
    if (!problem.empty()) {
      json::Draft list = json::Draft::array();
      list.root().push(wanted);
      return wrong_addresses(after, list.root(),
                             fmt::format("failed to allocate IP {}: {}", wanted, problem));
    }
  } else {
    address.reset();  // Headless, malformed (validation says so), or the one it had.
  }
  if (spec["clusterIPs"].empty()) spec.set_array("clusterIPs").push(spec["clusterIP"].as_string());
  if (address && addresses_.insert(*address).second) reservation.addresses_.push_back(*address);
  return {};
}

Result<void> ServiceAllocator::reserve_ports(json::Value before, json::Node after, Use use,
                                             Reservation& reservation) {
  json::Node spec = after["spec"];
  if (!wants_node_ports(spec)) return {};
  Wants had = holdings(before);
  std::set<uint32_t> mine(had.ports.begin(), had.ports.end());
  std::set<std::pair<std::string, int64_t>> claimed;
  std::map<int64_t, int64_t> by_port;  // One number may serve TCP and UDP of the same port.
  std::vector<json::Node> ports = spec["ports"].items();
  for (size_t i = 0; i < ports.size(); ++i) {
    int64_t number = ports[i]["nodePort"].as_int();
    if (number == 0) continue;
    auto wanted = static_cast<uint32_t>(number);
    // The same number may serve several protocols, each once.
    bool fresh = claimed.emplace(ports[i]["protocol"].as_string(), number).second;
    if (mine.contains(wanted) && fresh) {
      by_port[ports[i]["port"].as_int()] = number;
      continue;
    }
    FieldErrors errors;
    Path path = Path("spec").child("ports").index(i).child("nodePort");
    if (use == Use::kTrial) {
      if (!fresh) errors.invalid(path, number, "provided port is already allocated");
    } else if (number < port_first_ || number > port_last_) {
      errors.invalid(
          path, number,
          fmt::format("provided port is not in the valid range. The range of valid ports "
                      "is {}-{}",
                      port_first_, port_last_));
    } else if (ports_.contains(wanted)) {
      errors.invalid(path, number, "provided port is already allocated");
    }
    if (!errors.empty()) return invalid_service(after["metadata"]["name"].as_string(), errors);
    if (ports_.insert(wanted).second) reservation.ports_.push_back(wanted);
    mine.insert(wanted);
    by_port[ports[i]["port"].as_int()] = number;
  }
  for (json::Node port : ports) {
    if (port["nodePort"].as_int() != 0) continue;
    auto shared = by_port.find(port["port"].as_int());
    if (shared == by_port.end()) {
      uint32_t number = TRY(next_port(mine));
      ports_.insert(number);
      reservation.ports_.push_back(number);
      shared = by_port.emplace(port["port"].as_int(), number).first;
    }
    port.set("nodePort", shared->second);
  }
  if (wants_health_port(spec) && spec["healthCheckNodePort"].as_int() == 0) {
    uint32_t number = TRY(next_port(mine));
    ports_.insert(number);
    reservation.ports_.push_back(number);
    spec.set("healthCheckNodePort", static_cast<int64_t>(number));
  }
  return {};
}

Result<ServiceAllocator::Reservation> ServiceAllocator::reserve(const api::Resource& row,
                                                                json::Value before,
                                                                json::Node after, Use use) {
  if (!serves(row)) return Reservation();
  Reservation reservation(this);
  json::Node spec = after["spec"];
  if (!spec) return Reservation();
  if (before) {
    drop_unused(before, spec);
    keep_allocated(before, spec);
  }
  {
    MutexLock lock(mutex_);
    Result<void> done = reserve_address(before, after, use, reservation);
    if (done.ok()) done = reserve_ports(before, after, use, reservation);
    if (!done.ok()) {
      for (uint32_t address : reservation.addresses_) addresses_.erase(address);
      for (uint32_t port : reservation.ports_) ports_.erase(port);
      reservation.owner_ = nullptr;
      return std::move(done).error();
    }
  }
  if (use == Use::kTrial) return Reservation();  // `reservation` gives back what it took.
  Wants had = holdings(before);
  json::Document now = after.freeze();
  Wants has = holdings(now.root());
  for (uint32_t address : had.addresses) {
    if (std::find(has.addresses.begin(), has.addresses.end(), address) == has.addresses.end()) {
      reservation.freed_addresses_.push_back(address);
    }
  }
  for (uint32_t port : had.ports) {
    if (std::find(has.ports.begin(), has.ports.end(), port) == has.ports.end()) {
      reservation.freed_ports_.push_back(port);
    }
  }
  return reservation;
}

}  // namespace wherry::apiserver
