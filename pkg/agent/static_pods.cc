#include "agent/static_pods.h"

#include <algorithm>
#include <functional>

#include "base/log.h"
#include "base/strings.h"
#include "json/json.h"
#include "json/yaml.h"
#include "os/file.h"

namespace wherry::agent {
namespace {

// A UID in UUID form from the manifest's text. FNV-1a, so that it is the same on every machine.
std::string uid_of(std::string_view text) {
  uint64_t halves[2] = {0xcbf29ce484222325u, 0x84222325cbf29ce4u};
  for (uint64_t& half : halves) {
    for (unsigned char c : text) half = (half ^ c) * 0x100000001b3u;
  }
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", halves[0] >> 32,
                     (halves[0] >> 16) & 0xffff, halves[0] & 0xffff, halves[1] >> 48,
                     halves[1] & 0xffffffffffff);
}

}  // namespace

Result<api::ObjectPtr> static_pod(std::string_view manifest, std::string_view node_name) {
  json::Document document = TRY(json::parse_yaml(manifest));
  json::Value root = document.root();
  if (root["kind"].as_string() != "Pod") return Error::invalid("not a Pod");
  std::string_view name = root["metadata"]["name"].as_string();
  if (name.empty()) return Error::invalid("metadata.name is required");
  if (root["spec"]["containers"].empty()) return Error::invalid("spec.containers is required");
  json::Draft draft(root);
  json::Node meta = draft.root()["metadata"];
  std::string uid = uid_of(manifest);
  meta.set("name", std::string(name) + "-" + std::string(node_name));
  if (meta["namespace"].as_string().empty()) meta.set("namespace", "default");
  meta.set("uid", uid);
  meta.set("resourceVersion", "0");
  json::Node annotations = meta.ensure_object("annotations");
  annotations.set("kubernetes.io/config.source", "file");
  annotations.set("kubernetes.io/config.hash", uid);
  draft.root()["spec"].set("nodeName", node_name);
  return api::Object::parse(draft.dump());
}

std::vector<api::ObjectPtr> read_static_pods(const std::string& directory,
                                             std::string_view node_name) {
  std::vector<api::ObjectPtr> pods;
  Result<std::vector<std::string>> names = os::list_directory(directory);
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    bool known = name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
    if (!known || name.starts_with('.')) continue;
    std::string path = directory + "/" + name;
    Result<std::string> text = os::read_file(path);
    Result<api::ObjectPtr> pod =
        text.ok() ? static_pod(*text, node_name) : Result<api::ObjectPtr>(text.error());
    if (pod.ok()) {
      pods.push_back(std::move(*pod));
    } else {
      log::warn("{}: {}", path, pod.error().message());
    }
  }
  return pods;
}

}  // namespace wherry::agent
