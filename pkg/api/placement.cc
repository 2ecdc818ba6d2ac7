#include "api/placement.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"

namespace wherry::api {
namespace {

void add(Resources& to, const Resources& more) {
  for (const auto& [name, amount] : more) to[name] += amount;
}

void raise(Resources& to, const Resources& at_least) {
  for (const auto& [name, amount] : at_least) {
    auto [found, fresh] = to.try_emplace(name, amount);
    if (!fresh) found->second = std::max(found->second, amount);
  }
}

Resources list_of(json::Value map) {
  Resources out;
  for (auto [name, amount] : map.members()) out[std::string(name)] = Quantity::from(amount);
  return out;
}

bool is_sidecar(json::Value container) {
  return container["restartPolicy"].as_string() == "Always";
}

bool matches_expression(json::Value expression, std::optional<std::string_view> value) {
  std::string_view op = expression["operator"].as_string();
  json::Value values = expression["values"];
  bool listed = false;
  for (json::Value one : values.items()) listed |= value && one.as_string() == *value;
  if (op == "In") return listed;
  if (op == "NotIn") return !listed;
  if (op == "Exists") return value.has_value();
  if (op == "DoesNotExist") return !value.has_value();
  auto have = value ? parse_int(*value) : std::nullopt;
  auto bound = parse_int(values.at(0).as_string());
  if (!have || !bound) return false;
  return op == "Gt" ? *have > *bound : op == "Lt" && *have < *bound;
}

std::optional<std::string_view> text_of(json::Value value) {
  if (!value) return std::nullopt;
  return value.as_string();
}

// `list` is "requests" or "limits".
Resources effective_amounts(json::Value pod_spec, std::string_view list) {
  Resources running;
  for (json::Value container : pod_spec["containers"].items()) {
    add(running, list_of(container["resources"][list]));
  }
  Resources sidecars;
  Resources peak;
  for (json::Value container : pod_spec["initContainers"].items()) {
    Resources wanted = list_of(container["resources"][list]);
    if (is_sidecar(container)) {
      add(sidecars, wanted);
      raise(peak, sidecars);
    } else {
      add(wanted, sidecars);  // Runs beside the sidecars that came before it.
      raise(peak, wanted);
    }
  }
  add(running, sidecars);
  raise(running, peak);
  // Pod-level amounts stand in place of the sum.
  for (auto& [name, amount] : list_of(pod_spec["resources"][list])) running[name] = amount;
  return running;
}

}  // namespace

Resources effective_requests(json::Value pod_spec) {
  Resources running = effective_amounts(pod_spec, "requests");
  add(running, list_of(pod_spec["overhead"]));
  return running;
}

Resources effective_limits(json::Value pod_spec) {
  Resources running = effective_amounts(pod_spec, "limits");
  for (const auto& [name, amount] : list_of(pod_spec["overhead"])) {
    auto found = running.find(name);
    if (found != running.end() && !found->second.is_zero()) found->second += amount;
  }
  return running;
}

bool is_extended_resource(std::string_view name) {
  return name.find('/') != std::string_view::npos &&
         name.find("kubernetes.io/") == std::string_view::npos && !name.starts_with("requests.");
}

bool PortUse::conflicts_with(const PortUse& other) const {
  if (port != other.port || protocol != other.protocol) return false;
  return host_ip == other.host_ip || host_ip == "0.0.0.0" || other.host_ip == "0.0.0.0";
}

std::vector<PortUse> host_ports(json::Value pod_spec) {
  std::vector<PortUse> out;
  auto collect = [&out](json::Value container) {
    for (json::Value port : container["ports"].items()) {
      int64_t number = port["hostPort"].as_int();
      if (number == 0) continue;
      std::string_view ip = port["hostIP"].as_string();
      out.push_back({std::string(ip.empty() ? "0.0.0.0" : ip),
                     std::string(port["protocol"].as_string("TCP")), number});
    }
  };
  for (json::Value container : pod_spec["containers"].items()) collect(container);
  for (json::Value container : pod_spec["initContainers"].items()) {
    if (is_sidecar(container)) collect(container);
  }
  return out;
}

bool tolerates(json::Value toleration, json::Value taint) {
  std::string_view effect = toleration["effect"].as_string();
  if (!effect.empty() && effect != taint["effect"].as_string()) return false;
  std::string_view key = toleration["key"].as_string();
  if (!key.empty() && key != taint["key"].as_string()) return false;
  std::string_view op = toleration["operator"].as_string();
  if (op == "Exists") return true;
  if (op.empty() || op == "Equal") {
    return !key.empty() && toleration["value"].as_string() == taint["value"].as_string();
  }
  auto wanted = parse_int(toleration["value"].as_string());
  auto have = parse_int(taint["value"].as_string());
  if (!wanted || !have) return false;
  return op == "Gt" ? *have > *wanted : op == "Lt" && *have < *wanted;
}

json::Value untolerated_taint(json::Value tolerations, json::Value taints,
                              std::string_view effect) {
  for (json::Value taint : taints.items()) {
    std::string_view has = taint["effect"].as_string();
    if (effect.empty() ? has == "PreferNoSchedule" : has != effect) continue;
    bool tolerated = false;
    for (json::Value toleration : tolerations.items()) tolerated |= tolerates(toleration, taint);
    if (!tolerated) return taint;
  }
  return {};
}

bool matches_node_selector_term(json::Value term, json::Value node) {
  if (term["matchExpressions"].empty() && term["matchFields"].empty()) return false;
  for (json::Value expression : term["matchExpressions"].items()) {
    json::Value label = node["metadata"]["labels"][expression["key"].as_string()];
    if (!matches_expression(expression, text_of(label))) return false;
  }
  for (json::Value expression : term["matchFields"].items()) {
    // Only metadata.name may be named here.
    bool is_name = expression["key"].as_string() == "metadata.name";
    json::Value name = is_name ? node["metadata"]["name"] : json::Value();
    if (!matches_expression(expression, text_of(name))) return false;
  }
  return true;
}

bool matches_node(json::Value pod_spec, json::Value node) {
  json::Value labels = node["metadata"]["labels"];
  for (auto [key, value] : pod_spec["nodeSelector"].members()) {
    if (!labels[key] || labels[key].as_string() != value.as_string()) return false;
  }
  json::Value required =
      pod_spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
  if (!required) return true;
  for (json::Value term : required["nodeSelectorTerms"].items()) {
    if (matches_node_selector_term(term, node)) return true;
  }
  return false;
}

}  // namespace wherry::api
