#include "agent/field_ref.h"

#include <map>

#include "base/strings.h"

namespace wherry::agent {
namespace {

// Sorted key="value" lines, the last without an end of line.
std::string map_lines(json::Value map) {
  std::map<std::string_view, std::string_view> sorted;
  for (auto [key, value] : map.members()) sorted[key] = value.as_string();
  std::string out;
  for (auto [key, value] : sorted) {
    if (!out.empty()) out += '\n';
    out += std::string(key) + "=" + quote(value);
  }
  return out;
}

// "labels['x']" gives x for "labels".
bool subscript(std::string_view path, std::string_view list, std::string_view* key) {
  if (!path.starts_with(list)) return false;
  std::string_view rest = path.substr(list.size());
  if (rest.size() < 5 || !rest.starts_with("['") || !rest.ends_with("']")) return false;
  *key = rest.substr(2, rest.size() - 4);
  return true;
}

}  // namespace

Result<std::string> field_value(const Pod& pod, const PodFacts& facts, std::string_view path) {
  json::Value meta = pod.metadata();
  std::string_view key;
  if (subscript(path, "metadata.annotations", &key)) {
    return std::string(meta["annotations"][key].as_string());
  }
  if (subscript(path, "metadata.labels", &key)) return std::string(meta["labels"][key].as_string());
  if (path == "metadata.annotations") return map_lines(meta["annotations"]);
  if (path == "metadata.labels") return map_lines(meta["labels"]);
  if (path == "metadata.name") return pod.name();
  if (path == "metadata.namespace") return pod.ns();
  if (path == "metadata.uid") return pod.uid();
  if (path == "spec.nodeName") return facts.node_name;
  if (path == "spec.serviceAccountName") {
    return std::string(pod.spec()["serviceAccountName"].as_string());
  }
  if (path == "status.podIP") return facts.pod_ips.empty() ? std::string() : facts.pod_ips[0];
  if (path == "status.podIPs") return join(facts.pod_ips, ",");
  if (path == "status.hostIP") return facts.host_ips.empty() ? std::string() : facts.host_ips[0];
  if (path == "status.hostIPs") return join(facts.host_ips, ",");
  return Error::bad_request("unsupported fieldPath: {}", path);
}

}  // namespace wherry::agent
