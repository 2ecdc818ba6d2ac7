#include "agent/environment.h"

#include <algorithm>
#include <optional>

#include "agent/expand.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace wherry::agent {
namespace {

std::string variable_name(std::string_view text) {
  std::string name = to_upper(text);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// The value of `key`; Secrets hold base64, ConfigMaps text in data and base64 in binaryData.
std::optional<std::string> secret_value(json::Value secret, std::string_view key) {
  json::Value value = secret["data"][key];
  if (!value) return std::nullopt;
  return base64_decode(value.as_string());
}

Result<void> add_from(json::Value source, const Pod& pod, const EnvironmentSources& sources,
                      Environment* out) {
  std::string prefix(source["prefix"].as_string());
  if (json::Value reference = source["configMapRef"]) {
    api::ObjectPtr object = sources.config_map(reference["name"].as_string());
    if (object == nullptr) {
      if (reference["optional"].as_bool()) return {};
      return Error::not_found("configmap \"{}\" not found", reference["name"].as_string());
    }
    json::Document document = object->document();
    for (auto [key, value] : document.root()["data"].members()) {
      (*out)[prefix + std::string(key)] = value.as_string();
    }
  }
  if (json::Value reference = source["secretRef"]) {
    api::ObjectPtr object = sources.secret(reference["name"].as_string());
    if (object == nullptr) {
      if (reference["optional"].as_bool()) return {};
      return Error::not_found("secret \"{}\" not found", reference["name"].as_string());
    }
    json::Document document = object->document();
    for (auto [key, value] : document.root()["data"].members()) {
      (*out)[prefix + std::string(key)] = base64_decode(value.as_string()).value_or("");
    }
  }
  (void)pod;
  return {};
}

// Empty for an optional source that is missing: then the variable is not set at all.
Result<std::optional<std::string>> sourced_value(json::Value from, const Pod& pod,
                                                 json::Value container,
                                                 const EnvironmentSources& sources) {
  if (json::Value field = from["fieldRef"]) {
    std::string value = TRY(field_value(pod, sources.facts, field["fieldPath"].as_string()));
    return std::optional<std::string>(std::move(value));
  }
  if (json::Value field = from["resourceFieldRef"]) {
    std::string_view other = field["containerName"].as_string();
    json::Value target = other.empty() ? container : pod.container(other).spec;
    std::string value = TRY(resource_field(target, field["resource"].as_string(), field["divisor"],
                                           sources.allocatable));
    return std::optional<std::string>(std::move(value));
  }
  bool is_secret = static_cast<bool>(from["secretKeyRef"]);
  json::Value reference = is_secret ? from["secretKeyRef"] : from["configMapKeyRef"];
  if (!reference) return Error::bad_request("environment variable without a known source");
  std::string_view name = reference["name"].as_string();
  std::string_view key = reference["key"].as_string();
  bool optional = reference["optional"].as_bool();
  api::ObjectPtr object = is_secret ? sources.secret(name) : sources.config_map(name);
  if (object == nullptr) {
    if (optional) return std::optional<std::string>();
    return Error::not_found("{} \"{}\" not found", is_secret ? "secret" : "configmap", name);
  }
  json::Document document = object->document();
  std::optional<std::string> value;
  if (is_secret) {
    value = secret_value(document.root(), key);
  } else if (json::Value text = document.root()["data"][key]) {
    value = std::string(text.as_string());
  }
  if (!value && !optional) {
    return Error::not_found("couldn't find key {} in {} {}/{}", key,
                            is_secret ? "Secret" : "ConfigMap", pod.ns(), name);
  }
  return value;
}

}  // namespace

void add_service_variables(json::Value service, Environment* out) {
  std::string_view ip = service["spec"]["clusterIP"].as_string();
  if (ip.empty() || ip == "None") return;
  std::string name = variable_name(service["metadata"]["name"].as_string());
  json::Value ports = service["spec"]["ports"];
  if (ports.empty()) return;
  (*out)[name + "_SERVICE_HOST"] = ip;
  (*out)[name + "_SERVICE_PORT"] = std::to_string(ports.at(0)["port"].as_int());
  bool first = true;
  for (json::Value port : ports.items()) {
    std::string number = std::to_string(port["port"].as_int());
    if (std::string_view port_name = port["name"].as_string(); !port_name.empty()) {
      (*out)[name + "_SERVICE_PORT_" + variable_name(port_name)] = number;
    }
    std::string protocol(port["protocol"].as_string("TCP"));
    std::string host =
        ip.find(':') == std::string_view::npos ? std::string(ip) : "[" + std::string(ip) + "]";
    std::string url = to_lower(protocol) + "://" + host + ":" + number;
    if (first) (*out)[name + "_PORT"] = url;
    std::string link = name + "_PORT_" + number + "_" + to_upper(protocol);
    (*out)[link] = url;
    (*out)[link + "_PROTO"] = to_lower(protocol);
    (*out)[link + "_PORT"] = number;
    (*out)[link + "_ADDR"] = ip;
    first = false;
  }
}

Result<Environment> make_environment(const Pod& pod, json::Value container,
                                     const EnvironmentSources& sources) {
  Environment services;
  if (sources.kubernetes_service != nullptr) {
    json::Document document = sources.kubernetes_service->document();
    add_service_variables(document.root(), &services);
  }
  json::Value links = pod.spec()["enableServiceLinks"];
  if (!links || links.as_bool()) {
    for (const api::ObjectPtr& service : sources.services) {
      json::Document document = service->document();
      add_service_variables(document.root(), &services);
    }
  }

  Environment wanted;
  for (json::Value source : container["envFrom"].items()) {
    TRY(add_from(source, pod, sources, &wanted));
  }
  // Each variable may refer to those before it, and to Service variables that nothing overrides.
  auto lookup = [&](std::string_view name) -> std::optional<std::string> {
    if (auto found = wanted.find(std::string(name)); found != wanted.end()) return found->second;
    if (auto found = services.find(std::string(name)); found != services.end()) {
      return found->second;
    }
    return std::nullopt;
  };
  for (json::Value variable : container["env"].items()) {
    std::string name(variable["name"].as_string());
    if (json::Value from = variable["valueFrom"]) {
      std::optional<std::string> value = TRY(sourced_value(from, pod, container, sources));
      if (value) wanted[name] = *value;
    } else {
      wanted[name] = expand(variable["value"].as_string(), lookup);
    }
  }
  wanted.merge(services);
  return wanted;
}

std::vector<std::string> expand_arguments(json::Value list, const Environment& environment) {
  std::vector<std::string> out;
  for (json::Value item : list.items()) {
    out.push_back(
        expand(item.as_string(), [&](std::string_view name) -> std::optional<std::string> {
          auto found = environment.find(std::string(name));
          if (found == environment.end()) return std::nullopt;
          return found->second;
        }));
  }
  return out;
}

}  // namespace wherry::agent
