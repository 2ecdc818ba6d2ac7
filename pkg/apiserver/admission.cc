#include "apiserver/admission.h"

namespace wherry::apiserver {

std::vector<std::unique_ptr<Admission>> default_admissions(const store::Store& store) {
  std::vector<std::unique_ptr<Admission>> all;
  all.push_back(namespace_lifecycle(store));
  all.push_back(service_account(store));
  all.push_back(default_tolerations());
  all.push_back(priority(store));
  return all;
}

bool is_pod_create(const AdmissionRequest& request) {
  return request.operation == Operation::kCreate && request.target.resource->plural == "pods" &&
         request.target.resource->group.empty() && request.target.subresource.empty();
}

}  // namespace wherry::apiserver
