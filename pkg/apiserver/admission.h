#pragma once
// Admission: the rules a write must pass beside its own kind's, and the fields they fill in. Each
// rule is a file of its own and a line in the one table of admission.cc.
//
// A rule has two phases. mutate() runs before defaults and validation and may change the object.
// validate() runs when the object is final, before it is stored; it may add further changes to the
// transaction, which stand or fall with it. Both are asked again when a race was lost, so neither
// may leave anything behind.
//
// Any thread; a rule that holds state synchronises it itself.

#include <memory>
#include <vector>

#include "apiserver/admission_settings.h"
#include "apiserver/request.h"
#include "base/clock.h"
#include "json/json.h"
#include "store/store.h"

namespace wherry::apiserver {

class Authoriser;

enum class Operation { kCreate, kUpdate, kDelete };

struct AdmissionRequest {
  Operation operation;
  const Target& target;
  const User& user;
  std::vector<std::string>& warnings;  // Sent to the client, whatever becomes of its request.
  AuditNotes* notes;                   // Null: the request is not audited.
  bool dry_run = false;
  json::Value before = {};  // Absent on create; on delete known to validate() only.
  json::Node object = {};   // mutate() may change it; absent on delete.
  json::Value after = {};   // What validate() judges; absent on delete.
  bool patches = false;     // An update that came as a patch, or as what is applied.
};

// What goes with the object into the store: changes of other objects, each under the revision that
// was seen, and what is held until they are written.
struct Companions {
  std::vector<store::Write> writes;
  std::vector<std::shared_ptr<void>> held;
};

class Admission {
 public:
  virtual ~Admission() = default;
  virtual Result<void> mutate(const AdmissionRequest&) const { return {}; }
  virtual Result<void> validate(const AdmissionRequest&, Companions&) const { return {}; }
};

// Nothing is created in a namespace that is missing or on its way out; the namespaces every cluster
// has cannot be deleted.
std::unique_ptr<Admission> namespace_lifecycle(const store::Store& store);
// Containers get the defaults of the namespace's LimitRanges; nothing leaves their bounds.
std::unique_ptr<Admission> limit_ranger(const store::Store& store);
// Pods get their ServiceAccount, its pull secrets and its token volume.
std::unique_ptr<Admission> service_account(const store::Store& store);
// Pods tolerate a node that is not ready or unreachable for 300 s, unless they say otherwise.
std::unique_ptr<Admission> default_tolerations();
// A new Node takes no pods until it is seen to be ready.
std::unique_ptr<Admission> node_taint();
// Pods keep to the security level that their namespace's labels or the settings name.
std::unique_ptr<Admission> pod_security(const store::Store& store, PodSecuritySettings settings);
// Annotations of Pods that say what a field says by now become that field.
std::unique_ptr<Admission> app_armor_fields();
// Pods get the number of their PriorityClass.
std::unique_ptr<Admission> priority(const store::Store& store);
// Pods get their RuntimeClass's overhead, node selector and tolerations.
std::unique_ptr<Admission> runtime_class(const store::Store& store);
// Claims ask for admin access to devices only where the namespace is marked for it.
std::unique_ptr<Admission> admin_access(const store::Store& store);
// What a claim's status says is written by who binds it, and by its devices' drivers. Without an
// authoriser by everybody.
std::unique_ptr<Admission> claim_status(const Authoriser* authoriser);
// What is created counts against its namespace's quotas, and what is limited needs one.
std::unique_ptr<Admission> resource_quota(const store::Store& store, const Clock& clock,
                                          std::vector<LimitedResource> limited);

// What a node writes is about itself and about the pods that are bound to it.
std::unique_ptr<Admission> node_restriction(const store::Store& store,
                                            const Authoriser* authoriser);
// Nobody grants by a role or a binding what they do not hold, unless they may `escalate` the role
// or `bind` it. Without an authoriser everybody may.
std::unique_ptr<Admission> role_escalation(const Authoriser* authoriser);
// Requests for certificates: who asks is who asks; none makes an administrator; who approves or
// signs has the right to, of that signer. Without an authoriser everybody has.
std::unique_ptr<Admission> certificate_requester();
std::unique_ptr<Admission> certificate_subject();
std::unique_ptr<Admission> certificate_approval(const Authoriser* authoriser);
std::unique_ptr<Admission> certificate_signing(const Authoriser* authoriser);
// Claims, volumes and attributes classes stay as long as something uses them.
std::unique_ptr<Admission> in_use_protection();
// Pods have their images pulled anew, so that who runs them may have them.
std::unique_ptr<Admission> always_pull_images();
// Services get no externalIPs that they did not have.
std::unique_ptr<Admission> deny_external_addresses();
// Pods tolerate taints named as the extended resources they ask for.
std::unique_ptr<Admission> extended_resource_toleration();
// Owners are changed by who may delete the object, and held up by who may finalise them. Without an
// authoriser by everybody.
std::unique_ptr<Admission> owner_permission(const Authoriser* authoriser);
// Claims that name no class get the default one; so do Ingresses.
std::unique_ptr<Admission> default_storage_class(const store::Store& store);
std::unique_ptr<Admission> default_ingress_class(const store::Store& store);
// A claim only grows where its class allows it.
std::unique_ptr<Admission> claim_resize(const store::Store& store);
// Pods that have a node bear its zone and region as labels.
std::unique_ptr<Admission> pod_topology(const store::Store& store);

bool is_pod_create(const AdmissionRequest& request);
// Whether it writes a whole object of a kind of the core group.
bool is_whole(const AdmissionRequest& request, std::string_view plural);
// Whether a part is what it was, where nothing and an empty one are the same.
bool same_part(json::Value before, json::Value after);
// The object's name, or while it has none what it will be made from.
std::string name_of(const AdmissionRequest& request);

// What rules are made of.
struct AdmissionParts {
  const store::Store& store;
  const Clock& clock;
  const Authoriser* authoriser;
  const AdmissionSettings& settings;  // Checked.
};

// Those that the settings leave on, in the order in which they run.
std::vector<std::unique_ptr<Admission>> admissions_of(const AdmissionParts& parts);

}  // namespace wherry::apiserver
