#include "scheduler/pod_info.h"

namespace wherry::scheduler {
bool is_finished(json::Value pod) {
  std::string_view phase = pod["status"]["phase"].as_string();
  return phase == "Succeeded" || phase == "Failed";
}

PodPtr make_pod_info(const api::ObjectPtr& object) {
  auto pod = std::make_shared<PodInfo>();
  pod->object = object;
  pod->document = object->document();
  pod->ns = object->ns();
  pod->name = object->name();
  pod->uid = object->uid();
  json::Value spec = pod->spec();
  pod->node = spec["nodeName"].as_string();
  pod->priority = spec["priority"].as_int();
  pod->may_preempt = spec["preemptionPolicy"].as_string() != "Never";
  pod->requests = api::effective_requests(spec);
  pod->ports = api::host_ports(spec);
  return pod;
}

}  // namespace wherry::scheduler
