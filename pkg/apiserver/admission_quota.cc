// ResourceQuota: what is created counts against every quota of its namespace that is about it, and
// is refused where that would be too much. Wording: Kubernetes, ResourceQuota admission.
//
// Nothing can slip through: a quota's status is charged in the transaction that stores the object,
// under the revision of the quota that was judged. Writers of one namespace take turns, so that
// they do not take that revision from each other. Releases (objects that go or end) are the quota
// controller's; it counts and writes under the same condition.
//
// What an administrator has limited (LimitedResource) is refused, too, where no quota is about it.

#include <set>

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

// A quota of the namespace that is about the object, with the names of what it limits.
struct Interested {
  ObjectPtr live;
  json::Document quota;
  std::vector<std::string_view> names;  // Views into it.
};

std::string scopes_text(const std::vector<api::QuotaScope>& scopes) {
  std::vector<std::string> parts;
  for (const api::QuotaScope& scope : scopes) {
    parts.push_back(
        fmt::format("{{{} {} [{}]}}", scope.name, scope.op, join(scope.values.strings(), " ")));
  }
  return join(parts, " ");
}

class QuotaAdmission final : public Admission {
 public:
  QuotaAdmission(const store::Store& store, const Clock& clock,
                 std::vector<LimitedResource> limited)
      : store_(store), clock_(clock), limited_(std::move(limited)) {}

  Result<void> validate(const AdmissionRequest& request, Companions& companions) const override {
    if (!is_charged(request)) return {};
    if (limited_.empty() && quotas_in(request.target.ns, 1).empty()) return {};
    const Time now = clock_.now();
    Resources added = added_by(request, now);
    if (added.empty()) return {};
    std::shared_ptr<void> turn = TRY(turns_.take(request.target.ns));
    std::vector<Interested> quotas = TRY(interested(request));
    TRY(check_limited(request, added, quotas));
    for (const Interested& quota : quotas) {
      TRY(charge(request, quota, added, now, companions.writes));
    }
    if (!companions.writes.empty()) companions.held.push_back(std::move(turn));
    return {};
  }

 private:
  // Refuses what does not state how much it needs of what one of them limits.
  Result<std::vector<Interested>> interested(const AdmissionRequest& request) const {
    const Resource& resource = *request.target.resource;
    const bool states = request.operation == Operation::kCreate && resource.quota != nullptr &&
                        resource.quota->unstated != nullptr;
    std::vector<Interested> out;
    for (const ObjectPtr& live : quotas_in(request.target.ns, SIZE_MAX)) {
      Interested one{live, live->document(), {}};
      json::Value quota = one.quota.root();
      one.names = api::quota_names(resource, quota["spec"]["hard"]);
      if (one.names.empty() || !api::quota_counts(quota, resource, request.after)) continue;
      std::string unstated =
          states ? resource.quota->unstated(request.after, one.names) : std::string();
      if (!unstated.empty()) {
        return refuse(request,
                      fmt::format("failed quota: {}: must specify {}", live->name(), unstated));
      }
      out.push_back(std::move(one));
    }
    return out;
  }

  // That what is limited is covered by one of `quotas`.
  Result<void> check_limited(const AdmissionRequest& request, const Resources& added,
                             const std::vector<Interested>& quotas) const {
    const Resource& resource = *request.target.resource;
    std::set<std::string_view> names;
    std::vector<api::QuotaScope> scopes;
    for (const LimitedResource& limited : limited_) {
      if (limited.group != resource.group || limited.resource != resource.plural) continue;
      for (const auto& [name, amount] : added) {
        for (const std::string& part : limited.contains) {
          if (name.find(part) != std::string::npos) names.insert(name);
        }
      }
      if (resource.quota == nullptr || resource.quota->in_scope == nullptr) continue;
      for (json::Value one : limited.scopes.root().items()) {
        api::QuotaScope scope = api::quota_scope(one);
        if (resource.quota->in_scope(request.after, scope)) scopes.push_back(scope);
      }
    }
    for (const Interested& quota : quotas) {
      for (std::string_view name : quota.names) names.erase(name);
      for (const api::QuotaScope& covered : api::quota_scopes(quota.quota.root())) {
        std::erase_if(scopes, [&](const auto& scope) { return scope.name == covered.name; });
      }
    }
    if (!names.empty()) {
      return refuse(request, fmt::format("insufficient quota to consume: {}", join(names, ",")));
    }
    if (scopes.empty()) return {};
    return Error(Code::kUnknown, fmt::format("insufficient quota to match these scopes: [{}]",
                                             scopes_text(scopes)));
  }

  std::vector<ObjectPtr> quotas_in(const std::string& ns, size_t at_most) const {
    std::vector<ObjectPtr> out;
    store_.snapshot("resourcequotas")->scan(ns, "", "", [&](const ObjectPtr& quota) {
      out.push_back(quota);
      return out.size() < at_most;
    });
    return out;
  }

  // One quota: refuses, or adds its new status to the transaction.
  Result<void> charge(const AdmissionRequest& request, const Interested& from,
                      const Resources& added, Time now, std::vector<store::Write>& writes) const {
    const api::Object& live = *from.live;
    json::Value quota = from.quota.root();
    // Just made, or just changed: its controller has not been there yet.
    json::Draft status(quota["status"]);
    if (!api::quota_is_counted(quota)) status = count(quota, request.target.ns, now);

    Resources requested, used, limited;
    json::Node amounts = status.root()["used"];
    for (std::string_view name : from.names) {
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
  const std::vector<LimitedResource> limited_;
  mutable Turns turns_;  // Self-synchronised.
};

}  // namespace

std::unique_ptr<Admission> resource_quota(const store::Store& store, const Clock& clock,
                                          std::vector<LimitedResource> limited) {
  return std::make_unique<QuotaAdmission>(store, clock, std::move(limited));
}

}  // namespace wherry::apiserver
