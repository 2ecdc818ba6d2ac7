#include "api/pod_rules.h"
#include "api/quantity.h"

namespace wherry::api {
namespace {

// An image without a tag, or tagged latest, may change under its name.
bool may_change(std::string_view image) {
  size_t at = image.find('@');
  bool digest = at != std::string_view::npos;
  std::string_view name = image.substr(0, at);
  size_t slash = name.rfind('/');
  std::string_view last = slash == std::string_view::npos ? name : name.substr(slash + 1);
  size_t colon = last.rfind(':');
  if (colon == std::string_view::npos) return !digest;
  return last.substr(colon + 1) == "latest";
}

std::string_view pull_policy(std::string_view image) {
  return may_change(image) ? "Always" : "IfNotPresent";
}

void default_container(json::Node container) {
  if (container["imagePullPolicy"].as_string().empty()) {
    container.set("imagePullPolicy", pull_policy(container["image"].as_string()));
  }
}

// Only in a pod itself: a template leaves it open until it is used.
void default_host_ports(json::Node container) {
  for (json::Node port : container["ports"].items()) {
    if (port["hostPort"].as_int() == 0) port.set("hostPort", port["containerPort"].as_int());
  }
}

void requests_from_limits(json::Node resources) {
  json::Node limits = resources["limits"];
  if (!limits.is_object() || limits.empty()) return;
  json::Node requests = resources.ensure_object("requests");
  for (const json::Node::Member& limit : limits.members()) {
    if (!requests[limit.key]) requests.set(limit.key, limit.value);
  }
}

bool has_source(json::Node volume) {
  for (const json::Node::Member& member : volume.members()) {
    if (member.key != "name") return true;
  }
  return false;
}

}  // namespace

void default_pod_spec(json::Node spec) {
  if (!spec.is_object()) return;
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    for (json::Node container : spec[list].items()) default_container(container);
  }
  for (json::Node volume : spec["volumes"].items()) {
    if (!has_source(volume)) volume.set_object("emptyDir");
    json::Node image = volume["image"];
    if (image.is_object() && image["pullPolicy"].as_string().empty()) {
      image.set("pullPolicy", pull_policy(image["reference"].as_string()));
    }
  }
  // The old name of serviceAccountName is kept the same as the new one.
  std::string account(spec["serviceAccountName"].as_string());
  if (account.empty()) account = spec["serviceAccount"].as_string();
  if (!account.empty()) {
    spec.set("serviceAccountName", account);
    spec.set("serviceAccount", account);
  }
}

// The first address and the list of all say the same; the first rules.
static void default_addresses(json::Node status) {
  json::Node all = status["podIPs"];
  std::string first(status["podIP"].as_string());
  std::string listed(all.at(0)["ip"].as_string());
  if (first.empty() && !listed.empty()) {
    status.set("podIP", listed);
  } else if (!first.empty() && listed != first) {
    status.set_array("podIPs").push_object().set("ip", first);
  }
}

void default_pod(json::Node pod) {
  if (pod["status"].is_object()) default_addresses(pod["status"]);
  json::Node spec = pod["spec"];
  if (!spec.is_object()) return;
  default_pod_spec(spec);
  bool host_network = spec["hostNetwork"].as_bool();
  for (const char* list : {"initContainers", "containers"}) {
    for (json::Node container : spec[list].items()) {
      requests_from_limits(container["resources"]);
      if (host_network) default_host_ports(container);
    }
  }
  default_pod_resources(spec);
  if (!spec["enableServiceLinks"]) spec.set("enableServiceLinks", true);
}

std::string_view qos_class(json::Value spec) {
  // A pod is guaranteed when each container's cpu and memory requests equal its limits, or those of
  // the pod as a whole where it has any.
  bool any = false;
  bool guaranteed = true;
  auto judge = [&](json::Value resources) {
    for (const char* name : {"cpu", "memory"}) {
      Quantity limit = Quantity::from(resources["limits"][name]);
      json::Value asked = resources["requests"][name];
      Quantity request = asked ? Quantity::from(asked) : limit;
      if (limit.sign() > 0 || request.sign() > 0) any = true;
      if (limit.sign() <= 0 || request != limit) guaranteed = false;
    }
  };
  json::Value whole = spec["resources"];
  if (!whole["requests"].empty() || !whole["limits"].empty()) {
    judge(whole);
  } else {
    for (const char* list : {"containers", "initContainers"}) {
      for (json::Value container : spec[list].items()) judge(container["resources"]);
    }
  }
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

}  // namespace wherry::api
