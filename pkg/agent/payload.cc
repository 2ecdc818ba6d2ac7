#include "agent/payload.h"

#include "base/encoding.h"
#include "base/strings.h"

namespace wherry::agent {
namespace {

// Text files of a ConfigMap and decoded ones of either kind, by key.
std::map<std::string, std::string> contents_of(json::Value object, bool is_secret) {
  std::map<std::string, std::string> all;
  for (auto [key, value] : object["data"].members()) {
    std::string_view text = value.as_string();
    all[std::string(key)] = is_secret ? base64_decode(text).value_or("") : std::string(text);
  }
  for (auto [key, value] : object["binaryData"].members()) {
    all[std::string(key)] = base64_decode(value.as_string()).value_or("");
  }
  return all;
}

unsigned mode_of(json::Value mode, unsigned fallback) {
  return mode ? static_cast<unsigned>(mode.as_int()) & 0777 : fallback;
}

// `source` has name or secretName, items and optional.
Result<void> add_object(const Pod& pod, json::Value source, bool is_secret, unsigned default_mode,
                        const PayloadSources& sources, Payload* out) {
  std::string name(source["secretName"] ? source["secretName"].as_string()
                                        : source["name"].as_string());
  bool optional = source["optional"].as_bool();
  api::ObjectPtr object = is_secret ? sources.secret(name) : sources.config_map(name);
  if (object == nullptr) {
    if (optional) return {};
    return Error::not_found("{} \"{}\" not found", is_secret ? "secret" : "configmap", name);
  }
  json::Document document = object->document();
  std::map<std::string, std::string> contents = contents_of(document.root(), is_secret);
  json::Value items = source["items"];
  if (items.empty()) {
    for (auto& [key, content] : contents) (*out)[key] = {std::move(content), default_mode, {}};
    return {};
  }
  for (json::Value item : items.items()) {
    std::string key(item["key"].as_string());
    auto found = contents.find(key);
    if (found == contents.end()) {
      if (optional) continue;
      if (is_secret) return Error::not_found("references non-existent secret key: {}", key);
      return Error::not_found("configmap references non-existent config key: {}", key);
    }
    std::string path(item["path"].as_string());
    if (!safe_relative_path(path)) return Error::invalid("invalid path: {}", path);
    (*out)[path] = {found->second, mode_of(item["mode"], default_mode), {}};
  }
  (void)pod;
  return {};
}

Result<void> add_downward(const Pod& pod, json::Value items, unsigned default_mode,
                          const PayloadSources& sources, Payload* out) {
  for (json::Value item : items.items()) {
    std::string path(item["path"].as_string());
    if (!safe_relative_path(path)) return Error::invalid("invalid path: {}", path);
    std::string content;
    if (json::Value field = item["fieldRef"]) {
      content = TRY(field_value(pod, sources.facts, field["fieldPath"].as_string()));
    } else {
      json::Value resource = item["resourceFieldRef"];
      json::Value container = pod.container(resource["containerName"].as_string()).spec;
      content = TRY(resource_field(container, resource["resource"].as_string(), resource["divisor"],
                                   sources.allocatable));
    }
    (*out)[path] = {std::move(content), mode_of(item["mode"], default_mode), {}};
  }
  return {};
}

// The one user of all containers, if they share one: then a token may be theirs alone.
std::optional<uint32_t> single_user(const Pod& pod) {
  std::optional<int64_t> user;
  for (const ContainerView& view : pod.containers()) {
    json::Value own = view.spec["securityContext"]["runAsUser"];
    if (!own) own = pod.spec()["securityContext"]["runAsUser"];
    if (!own || (user && *user != own.as_int())) return std::nullopt;
    user = own.as_int();
  }
  if (!user) return std::nullopt;
  return static_cast<uint32_t>(*user);
}

Result<void> add_token(const Pod& pod, json::Value source, unsigned default_mode,
                       const PayloadSources& sources, Payload* out) {
  std::string path(source["path"].as_string());
  if (!safe_relative_path(path)) return Error::invalid("invalid path: {}", path);
  std::string token =
      TRY(sources.token(source["audience"].as_string(), source["expirationSeconds"].as_int(3600)));
  PayloadFile file{std::move(token), default_mode, {}};
  if (pod.spec()["securityContext"]["fsGroup"]) {
    file.mode = 0600;
  } else if (std::optional<uint32_t> user = single_user(pod)) {
    file.mode = 0600;
    file.owner = user;
  }
  (*out)[path] = std::move(file);
  return {};
}

}  // namespace

bool safe_relative_path(std::string_view path) {
  if (path.empty() || path.front() == '/') return false;
  for (std::string_view part : split(path, '/')) {
    if (part == "..") return false;
  }
  return path.find('\0') == std::string_view::npos;
}

bool is_payload_volume(json::Value volume) {
  return volume["configMap"] || volume["secret"] || volume["downwardAPI"] || volume["projected"];
}

Result<Payload> make_payload(const Pod& pod, json::Value volume, const PayloadSources& sources) {
  Payload out;
  if (json::Value source = volume["configMap"]) {
    TRY(add_object(pod, source, false, mode_of(source["defaultMode"], 0644), sources, &out));
  } else if (json::Value secret = volume["secret"]) {
    TRY(add_object(pod, secret, true, mode_of(secret["defaultMode"], 0644), sources, &out));
  } else if (json::Value downward = volume["downwardAPI"]) {
    TRY(add_downward(pod, downward["items"], mode_of(downward["defaultMode"], 0644), sources,
                     &out));
  } else if (json::Value projected = volume["projected"]) {
    unsigned mode = mode_of(projected["defaultMode"], 0644);
    for (json::Value part : projected["sources"].items()) {
      if (json::Value config = part["configMap"]) {
        TRY(add_object(pod, config, false, mode, sources, &out));
      }
      if (json::Value hidden = part["secret"]) {
        TRY(add_object(pod, hidden, true, mode, sources, &out));
      }
      if (json::Value fields = part["downwardAPI"]) {
        TRY(add_downward(pod, fields["items"], mode, sources, &out));
      }
      if (json::Value token = part["serviceAccountToken"]) {
        TRY(add_token(pod, token, mode, sources, &out));
      }
    }
  }
  return out;
}

References references_of(const Pod& pod) {
  References all;
  auto add = [](std::map<std::string, bool>* names, json::Value name, bool mounted) {
    if (name) (*names)[std::string(name.as_string())] |= mounted;
  };
  for (const ContainerView& view : pod.containers()) {
    for (json::Value source : view.spec["envFrom"].items()) {
      add(&all.config_maps, source["configMapRef"]["name"], false);
      add(&all.secrets, source["secretRef"]["name"], false);
    }
    for (json::Value variable : view.spec["env"].items()) {
      add(&all.config_maps, variable["valueFrom"]["configMapKeyRef"]["name"], false);
      add(&all.secrets, variable["valueFrom"]["secretKeyRef"]["name"], false);
    }
  }
  for (json::Value volume : pod.spec()["volumes"].items()) {
    add(&all.config_maps, volume["configMap"]["name"], true);
    add(&all.secrets, volume["secret"]["secretName"], true);
    for (json::Value part : volume["projected"]["sources"].items()) {
      add(&all.config_maps, part["configMap"]["name"], true);
      add(&all.secrets, part["secret"]["name"], true);
    }
  }
  for (json::Value secret : pod.spec()["imagePullSecrets"].items()) {
    add(&all.secrets, secret["name"], false);
  }
  return all;
}

}  // namespace wherry::agent
