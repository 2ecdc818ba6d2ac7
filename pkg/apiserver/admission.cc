#include "apiserver/admission.h"

namespace wherry::apiserver {

std::vector<std::unique_ptr<Admission>> default_admissions(const store::Store& store,
                                                           const Clock& clock,
                                                           const Authoriser* authoriser) {
  std::vector<std::unique_ptr<Admission>> all;
  all.push_back(namespace_lifecycle(store));
  all.push_back(limit_ranger(store));
  all.push_back(service_account(store));
  all.push_back(node_restriction(store, authoriser));
  all.push_back(pod_security(store));
  all.push_back(default_tolerations());
  all.push_back(app_armor_fields());
  all.push_back(priority(store));
  all.push_back(runtime_class(store));
  all.push_back(node_taint());
  all.push_back(admin_access(store));
  all.push_back(role_escalation(authoriser));
  all.push_back(certificate_requests(authoriser));
  all.push_back(pod_topology(store));
  all.push_back(default_storage_class(store));
  all.push_back(default_ingress_class(store));
  all.push_back(claim_resize(store));
  all.push_back(resource_quota(store, clock));  // Last: what is refused elsewhere costs nothing.
  return all;
}

std::string name_of(const AdmissionRequest& request) {
  if (!request.target.name.empty()) return request.target.name;
  auto name_in = [](auto meta) {
    std::string_view name = meta["name"].as_string();
    return std::string(name.empty() ? meta["generateName"].as_string() : name);
  };
  return request.after ? name_in(request.after["metadata"]) : name_in(request.object["metadata"]);
}

bool is_pod_create(const AdmissionRequest& request) {
  return request.operation == Operation::kCreate && request.target.resource->plural == "pods" &&
         request.target.resource->group.empty() && request.target.subresource.empty();
}

}  // namespace wherry::apiserver
