#include "container/manifest.h"

#include <sys/utsname.h>

#include "container/reference.h"
#include "json/json.h"

namespace wherry::container {
namespace {

constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view kDockerIndex =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";

std::vector<std::string> keys(json::Value object) {
  std::vector<std::string> out;
  for (auto [key, value] : object.members()) out.emplace_back(key);
  return out;
}

Result<Descriptor> descriptor(json::Value value) {
  Descriptor out;
  out.media_type = value["mediaType"].as_string();
  out.digest = value["digest"].as_string();
  out.size = static_cast<uint64_t>(value["size"].as_int());
  if (!valid_digest(out.digest))
    return Error::invalid("manifest with invalid digest {}", out.digest);
  return out;
}

// How well an index entry fits; negative when it does not.
int fit(json::Value platform, const Platform& wanted) {
  if (platform["os"].as_string() != "linux") return -1;
  if (platform["architecture"].as_string() != wanted.architecture) return -1;
  std::string_view variant = platform["variant"].as_string();
  if (variant == wanted.variant) return 3;
  if (variant.empty()) return 2;
  // An older ARM runs on a newer one; so does plain 64-bit code on any level of x86-64 below ours.
  if (wanted.architecture == "arm" && variant < wanted.variant) return 1;
  if (wanted.architecture == "arm64" && variant == "v8") return 2;
  return -1;
}

}  // namespace

std::string manifest_accept() {
  return fmt::format("{}, {}, {}, {}, */*", kOciManifest, kOciIndex, kDockerManifest, kDockerIndex);
}

Platform native_platform() {
  utsname names{};
  uname(&names);
  std::string_view machine = names.machine;
  if (machine == "x86_64") return {"amd64", ""};
  if (machine == "aarch64") return {"arm64", ""};
  if (machine.starts_with("armv7")) return {"arm", "v7"};
  if (machine.starts_with("armv6")) return {"arm", "v6"};
  if (machine == "i686" || machine == "i386") return {"386", ""};
  return {std::string(machine), ""};
}

bool is_index(std::string_view text, std::string_view media_type) {
  if (media_type.starts_with(kOciIndex) || media_type.starts_with(kDockerIndex)) return true;
  if (media_type.starts_with(kOciManifest) || media_type.starts_with(kDockerManifest)) return false;
  Result<json::Document> document = json::Document::parse(text);
  return document.ok() && document->root()["manifests"].is_array();
}

Result<Descriptor> choose_manifest(std::string_view index_text, const Platform& platform) {
  json::Document document = TRY(json::Document::parse(index_text));
  json::Value best;
  int best_fit = -1;
  json::Value list = document.root()["manifests"];
  for (json::Value entry : list.items()) {
    // Entries without a platform stand in layouts written for one.
    int score = entry["platform"].is_object() ? fit(entry["platform"], platform) : 0;
    if (score <= best_fit) continue;
    best = entry;
    best_fit = score;
  }
  if (!best) {
    return Error::not_found("no match for platform linux/{} in manifest list",
                            platform.architecture);
  }
  return descriptor(best);
}

Result<Manifest> parse_manifest(std::string_view text) {
  json::Document document = TRY(json::Document::parse(text));
  json::Value root = document.root();
  if (root["schemaVersion"].as_int() == 1) {
    return Error::invalid(
        "the image is in Docker's retired schema 1 form; push it again with a current tool");
  }
  if (!root["config"].is_object() || !root["layers"].is_array()) {
    return Error::invalid("the manifest has no config or layers");
  }
  Manifest out;
  out.config = TRY(descriptor(root["config"]));
  for (json::Value layer : root["layers"].items()) {
    Descriptor one = TRY(descriptor(layer));
    out.layers.push_back(std::move(one));
  }
  return out;
}

Result<ConfigDocument> parse_config(std::string_view text) {
  json::Document document = TRY(json::Document::parse(text));
  json::Value root = document.root();
  if (!root.is_object() || !root["rootfs"].is_object()) {
    return Error::invalid("this is no container image: its config has no rootfs");
  }
  ConfigDocument out;
  out.created = root["created"].as_string();
  out.diff_ids = root["rootfs"]["diff_ids"].strings();
  for (const std::string& diff_id : out.diff_ids) {
    if (!valid_digest(diff_id))
      return Error::invalid("image config with invalid diff id {}", diff_id);
  }
  json::Value config = root["config"];
  out.config.entrypoint = config["Entrypoint"].strings();
  out.config.command = config["Cmd"].strings();
  out.config.env = config["Env"].strings();
  out.config.working_dir = config["WorkingDir"].as_string();
  out.config.user = config["User"].as_string();
  out.config.stop_signal = config["StopSignal"].as_string();
  out.config.exposed_ports = keys(config["ExposedPorts"]);
  out.config.volumes = keys(config["Volumes"]);
  for (auto [key, value] : config["Labels"].members()) {
    out.config.labels[std::string(key)] = value.as_string();
  }
  return out;
}

std::string write_config(const ImageConfig& config, const std::vector<std::string>& diff_ids) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("architecture", native_platform().architecture);
  root.set("os", "linux");
  json::Node inner = root.set_object("config");
  auto put = [&](std::string_view key, const std::vector<std::string>& list) {
    if (list.empty()) return;
    json::Node node = inner.set_array(key);
    for (const std::string& item : list) node.push(item);
  };
  put("Entrypoint", config.entrypoint);
  put("Cmd", config.command);
  put("Env", config.env);
  if (!config.working_dir.empty()) inner.set("WorkingDir", config.working_dir);
  if (!config.user.empty()) inner.set("User", config.user);
  if (!config.stop_signal.empty()) inner.set("StopSignal", config.stop_signal);
  for (const std::string& port : config.exposed_ports)
    inner.ensure_object("ExposedPorts").set_object(port);
  for (const auto& [key, value] : config.labels) inner.ensure_object("Labels").set(key, value);
  json::Node rootfs = root.set_object("rootfs");
  rootfs.set("type", "layers");
  json::Node ids = rootfs.set_array("diff_ids");
  for (const std::string& diff_id : diff_ids) ids.push(diff_id);
  return draft.dump();
}

std::string write_manifest(const Descriptor& config, const std::vector<Descriptor>& layers) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("schemaVersion", 2);
  root.set("mediaType", kOciManifest);
  auto put = [](const json::Node& node, const Descriptor& from) {
    node.set("mediaType", from.media_type.empty() ? kOciConfig : std::string_view(from.media_type));
    node.set("digest", from.digest);
    node.set("size", static_cast<int64_t>(from.size));
  };
  put(root.set_object("config"), config);
  json::Node list = root.set_array("layers");
  for (const Descriptor& layer : layers) put(list.push_object(), layer);
  return draft.dump();
}

}  // namespace wherry::container
