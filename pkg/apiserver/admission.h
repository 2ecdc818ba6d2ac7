#pragma once
// Admission: the rules a write must pass beside its own kind's, and the fields they fill in. Each
// rule is a file of its own and a line in default_admissions(). Mutating happens before defaults
// and validation.
//
// Immutable after construction; any thread.

#include <memory>
#include <vector>

#include "apiserver/request.h"
#include "base/clock.h"
#include "json/json.h"
#include "store/store.h"

namespace wherry::apiserver {

enum class Operation { kCreate, kUpdate, kDelete };

struct AdmissionRequest {
  Operation operation;
  const Target& target;
  const User& user;
  json::Value before;  // Absent on create.
  json::Node object;   // May be changed; absent on delete.
};

class Admission {
 public:
  virtual ~Admission() = default;
  virtual Result<void> admit(const AdmissionRequest& request) const = 0;
};

// Nothing is created in a namespace that is missing or on its way out; the namespaces every cluster
// has cannot be deleted.
std::unique_ptr<Admission> namespace_lifecycle(const store::Store& store);
// Pods get their ServiceAccount, its pull secrets and its token volume.
std::unique_ptr<Admission> service_account(const store::Store& store);
// Pods tolerate a node that is not ready or unreachable for 300 s, unless they say otherwise.
std::unique_ptr<Admission> default_tolerations();
// A new Node takes no pods until it is seen to be ready.
std::unique_ptr<Admission> node_taint();
// Pods get the number of their PriorityClass.
std::unique_ptr<Admission> priority(const store::Store& store);
// Pods get their RuntimeClass's overhead, node selector and tolerations.
std::unique_ptr<Admission> runtime_class(const store::Store& store);

bool is_pod_create(const AdmissionRequest& request);
// The object's name, or while it has none what it will be made from.
std::string name_of(const AdmissionRequest& request);

// In the order in which they run.
std::vector<std::unique_ptr<Admission>> default_admissions(const store::Store& store);

}  // namespace wherry::apiserver
