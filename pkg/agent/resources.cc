#include "agent/resources.h"

#include <algorithm>
#include <vector>

namespace wherry::agent {
namespace {

using api::Quantity;

std::vector<json::Value> counted_containers(json::Value spec) {
  std::vector<json::Value> all;
  for (json::Value container : spec["initContainers"].items()) all.push_back(container);
  for (json::Value container : spec["containers"].items()) all.push_back(container);
  return all;
}

Quantity request_of(json::Value resources, std::string_view name) {
  json::Value request = resources["requests"][name];
  return Quantity::from(request ? request : resources["limits"][name]);
}

constexpr std::string_view kQosResources[] = {"cpu", "memory"};

}  // namespace

os::CgroupLimits to_os(const CgroupLimits& limits) {
  os::CgroupLimits out;
  out.cpu_shares = limits.cpu_shares;
  out.cpu_period_us = limits.cpu_period_us;
  if (limits.cpu_quota_us > 0) out.cpu_quota_us = limits.cpu_quota_us;
  if (limits.memory_limit_bytes > 0) out.memory_bytes = limits.memory_limit_bytes;
  return out;
}

std::string resources_text(json::Value container) {
  json::Value resources = container["resources"];
  return resources.is_object() ? resources.dump() : "{}";
}

std::string qos_class_of(json::Value spec) {
  bool any = false;
  bool guaranteed = true;
  auto judge = [&](json::Value resources) {
    for (std::string_view name : kQosResources) {
      Quantity limit = Quantity::from(resources["limits"][name]);
      Quantity request = request_of(resources, name);
      if (!limit.is_zero() || !request.is_zero()) any = true;
      if (limit.is_zero() || request != limit) guaranteed = false;
    }
  };
  if (spec["resources"]["requests"] || spec["resources"]["limits"]) {
    judge(spec["resources"]);  // Resources of the whole pod decide alone.
  } else {
    for (json::Value container : counted_containers(spec)) judge(container["resources"]);
  }
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

uint64_t shares_of_milli_cpu(int64_t milli) {
  if (milli <= 0) return 2;  // The kernel's minimum.
  return std::clamp<uint64_t>(static_cast<uint64_t>(milli) * 1024 / 1000, 2, 262'144);
}

int64_t quota_of_milli_cpu(int64_t milli) {
  if (milli <= 0) return -1;
  return std::max<int64_t>(milli * 100, 1000);  // The kernel takes no less than 1 ms.
}

CgroupLimits container_limits(json::Value container) {
  json::Value resources = container["resources"];
  CgroupLimits limits;
  limits.cpu_shares = shares_of_milli_cpu(request_of(resources, "cpu").milli_value());
  limits.cpu_quota_us =
      quota_of_milli_cpu(Quantity::from(resources["limits"]["cpu"]).milli_value());
  int64_t memory = Quantity::from(resources["limits"]["memory"]).value();
  if (memory > 0) limits.memory_limit_bytes = memory;
  return limits;
}

CgroupLimits pod_limits(json::Value spec) {
  Quantity cpu_request, cpu_limit, memory_limit;
  bool cpu_limited = true;
  bool memory_limited = true;
  for (json::Value container : spec["containers"].items()) {
    json::Value resources = container["resources"];
    cpu_request += request_of(resources, "cpu");
    cpu_limit += Quantity::from(resources["limits"]["cpu"]);
    memory_limit += Quantity::from(resources["limits"]["memory"]);
    if (Quantity::from(resources["limits"]["cpu"]).is_zero()) cpu_limited = false;
    if (Quantity::from(resources["limits"]["memory"]).is_zero()) memory_limited = false;
  }
  for (json::Value init : spec["initContainers"].items()) {
    json::Value resources = init["resources"];
    Quantity request = request_of(resources, "cpu");
    Quantity cpu = Quantity::from(resources["limits"]["cpu"]);
    Quantity memory = Quantity::from(resources["limits"]["memory"]);
    if (init["restartPolicy"].as_string() == "Always") {  // Runs beside the others.
      cpu_request += request;
      cpu_limit += cpu;
      memory_limit += memory;
    } else {
      cpu_request = std::max(cpu_request, request);
      cpu_limit = std::max(cpu_limit, cpu);
      memory_limit = std::max(memory_limit, memory);
    }
    if (cpu.is_zero()) cpu_limited = false;
    if (memory.is_zero()) memory_limited = false;
  }
  json::Value whole = spec["resources"];
  if (json::Value value = whole["requests"]["cpu"]) cpu_request = Quantity::from(value);
  if (json::Value value = whole["limits"]["cpu"]) {
    cpu_limit = Quantity::from(value);
    cpu_limited = true;
  }
  if (json::Value value = whole["limits"]["memory"]) {
    memory_limit = Quantity::from(value);
    memory_limited = true;
  }
  CgroupLimits limits;
  limits.cpu_shares = shares_of_milli_cpu(cpu_request.milli_value());
  if (cpu_limited) limits.cpu_quota_us = quota_of_milli_cpu(cpu_limit.milli_value());
  if (memory_limited && memory_limit.sign() > 0) limits.memory_limit_bytes = memory_limit.value();
  return limits;
}

int oom_score_adj(json::Value spec, json::Value container, int64_t memory_capacity_bytes) {
  constexpr int64_t kCriticalPriority = 2'000'000'000;
  if (spec["priority"].as_int() >= kCriticalPriority) return -997;
  std::string qos = qos_class_of(spec);
  if (qos == "Guaranteed") return -997;
  if (qos == "BestEffort" || memory_capacity_bytes <= 0) return 1000;
  // The more of the machine a container asked for, the later it is chosen.
  int64_t request = request_of(container["resources"], "memory").value();
  int64_t adjust = 1000 - static_cast<int64_t>(1000.0 * static_cast<double>(request) /
                                               static_cast<double>(memory_capacity_bytes));
  return static_cast<int>(std::clamp<int64_t>(adjust, 3, 999));
}

Result<std::string> resource_field(json::Value container, std::string_view resource,
                                   json::Value divisor, const NodeResources& allocatable) {
  size_t dot = resource.find('.');
  std::string_view list = resource.substr(0, dot);
  std::string_view name = dot == std::string_view::npos ? "" : resource.substr(dot + 1);
  bool known = name == "cpu" || name == "memory" || name == "ephemeral-storage" ||
               name.starts_with("hugepages-");
  if (!known || (list != "limits" && list != "requests")) {
    return Error::bad_request("unsupported container resource : {}", resource);
  }
  Quantity value = list == "limits" ? Quantity::from(container["resources"]["limits"][name])
                                    : request_of(container["resources"], name);
  if (list == "limits" && value.is_zero()) {
    if (name == "cpu") value = allocatable.cpu;
    if (name == "memory") value = allocatable.memory;
    if (name == "ephemeral-storage") value = allocatable.ephemeral_storage;
  }
  Quantity unit = Quantity::from(divisor);
  if (unit.is_zero()) unit = Quantity::of(1);
  if (name == "cpu") {
    int64_t step = std::max<int64_t>(unit.milli_value(), 1);
    return std::to_string((value.milli_value() + step - 1) / step);
  }
  int64_t step = std::max<int64_t>(unit.value(), 1);
  return std::to_string(value.value() / step + (value.value() % step > 0 ? 1 : 0));
}

}  // namespace wherry::agent
