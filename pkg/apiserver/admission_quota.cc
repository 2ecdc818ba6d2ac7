// ResourceQuota: what is created counts against every quota of its namespace that is about it, and
// is refused where that would be too much. Wording: Kubernetes, ResourceQuota admission.
//
// Nothing can slip through: a quota's status is charged in the transaction that stores the object,
// under the revision of the quota that was judged. Writers of one namespace take turns, so that
// they do not take that revision from each other. Releases (objects that go or end) are the quota
// controller's; it counts and writes under the same condition.

#include "api/object.h"
#include "api/quota.h"
#include "api/status.h"
#include "apiserver/admission.h"
#include "apiserver/bookkeeping.h"
#include "apiserver/turns.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

using api::Quantity;
using api::Resources;

bool is_charged(const AdmissionRequest& request) {
  const Target& target = request.target;
  if (!request.after || !target.resource->namespaced()) return false;
  if (request.operation == Operation::kCreate) return target.subresource.empty();
  const api::QuotaRules* rules = target.resource->quota;
  return rules != nullptr && rules->updates && target.subresource == rules->update_subresource;
}

// What the write adds to what is used; nothing of it is negative.
Resources added_by(const AdmissionRequest& request, Time now) {
  const Resource& resource = *request.target.resource;
  Resources added = api::quota_usage(resource, request.after, now);
  if (request.before) {
    for (const auto& [name, amount] : api::quota_usage(resource, request.before, now)) {
      auto found = added.find(name);
      if (found != added.end()) found->second -= amount;
    }
  }
  std::erase_if(added, [](const auto& item) { return item.second.sign() <= 0; });
  return added;
}

class QuotaAdmission final : public Admission {
 public:
  QuotaAdmission(const store::Store& store, const Clock& clock) : store_(store), clock_(clock) {}

  Result<void> validate(const AdmissionRequest& request, Companions& companions) const override {
    if (!is_charged(request) || quotas_in(request.target.ns, 1).empty()) return {};
    const Time now = clock_.now();
    Resources added = added_by(request, now);
    if (added.empty()) return {};
    std::shared_ptr<void> turn = TRY(turns_.take(request.target.ns));
    for (const ObjectPtr& quota : quotas_in(request.target.ns, SIZE_MAX)) {
      TRY(charge(request, *quota, added, now, companions.writes));
    }
    if (!companions.writes.empty()) companions.held.push_back(std::move(turn));
    return {};
  }

 private:
  std::vector<ObjectPtr> quotas_in(const std::string& ns, size_t at_most) const {
    std::vector<ObjectPtr> out;
    store_.snapshot("resourcequotas")->scan(ns, "", "", [&](const ObjectPtr& quota) {
      out.push_back(quota);
      return out.size() < at_most;
    });
    return out;
  }

  // One quota: refuses, or adds its new status to the transaction.
  Result<void> charge(const AdmissionRequest& request, const api::Object& live,
                      const Resources& added, Time now, std::vector<store::Write>& writes) const {
    const Resource& resource = *request.target.resource;
    json::Document document = live.document();
    json::Value quota = document.root();
    std::vector<std::string_view> names = api::quota_names(resource, quota["spec"]["hard"]);
    if (names.empty() || !api::quota_counts(quota, resource, request.after)) return {};
    if (request.operation == Operation::kCreate && resource.quota != nullptr &&
        resource.quota->unstated != nullptr) {
      std::string unstated = resource.quota->unstated(request.after, names);
      if (!unstated.empty()) {
        return refuse(request,
                      fmt::format("failed quota: {}: must specify {}", live.name(), unstated));
      }
    }
    // Just made, or just changed: its controller has not been there yet.
    json::Draft status(quota["status"]);
    if (!api::quota_is_counted(quota)) status = count(quota, request.target.ns, now);

    Resources requested, used, limited;
    json::Node amounts = status.root()["used"];
    for (std::string_view name : names) {
      auto delta = added.find(name);
      if (delta == added.end()) continue;
      Quantity before = Quantity::from_text(amounts[name].as_string());
      Quantity after = before + delta->second;
      Quantity most = Quantity::from(quota["spec"]["hard"][name]);
      amounts.set(name, after.text());
      std::string key(name);
      requested[key] = delta->second;
      if (after > most) {
        used[key] = before;
        limited[key] = most;
      }
    }
    if (requested.empty()) return {};
    if (!limited.empty()) {
      std::erase_if(requested, [&](const auto& item) { return !limited.contains(item.first); });
      return refuse(request, fmt::format("exceeded quota: {}, requested: {}, used: {}, limited: {}",
                                         live.name(), api::quota_text(requested),
                                         api::quota_text(used), api::quota_text(limited)));
    }
    if (request.dry_run) return {};
    writes.push_back(TRY(charged(live, quota, status)));
    return {};
  }

  json::Draft count(json::Value quota, const std::string& ns, Time now) const {
    auto objects = [&](const Resource& resource, const std::function<void(json::Value)>& visit) {
      store_.snapshot(resource.group_resource())->scan(ns, "", "", [&](const ObjectPtr& object) {
        json::Document document = object->document();
        visit(document.root());
        return true;
      });
    };
    return api::count_quota(quota, objects, now);
  }

  static Result<store::Write> charged(const api::Object& live, json::Value quota,
                                      const json::Draft& status) {
    json::Draft changed(quota);
    changed.root().set("status", status.root());
    put_in_order(api::resource("resourcequotas").schema, changed);
    store::Write write;
    write.resource = "resourcequotas";
    write.ns = live.ns();
    write.name = live.name();
    write.expected = live.revision();
    json::Document document = changed.freeze();
    write.value = TRY(api::unstamped(document.root()));
    return write;
  }

  static Error refuse(const AdmissionRequest& request, std::string_view why) {
    std::string name = request.target.name.empty() ? name_of(request) : request.target.name;
    return api::forbidden(request.target.resource->group_resource(), name, why);
  }

  const store::Store& store_;
  const Clock& clock_;
  mutable Turns turns_;  // Self-synchronised.
};

}  // namespace

std::unique_ptr<Admission> resource_quota(const store::Store& store, const Clock& clock) {
  return std::make_unique<QuotaAdmission>(store, clock);
}

}  // namespace wherry::apiserver
