// Keeps the status of ResourceQuotas: counts a quota's namespace when the quota is new or changed,
// and anew when something that it counts goes, ends or shrinks. What is created is charged by
// admission, in the transaction that stores it. Spec: Kubernetes documentation, resource quotas.
//
// The quota is read before what it counts, and written under the revision that was read: a charge
// that comes between makes the write fail, and the count is made again.

#include <algorithm>

#include "api/quota.h"
#include "controller/all.h"

namespace wherry::controller {
namespace {

constexpr int kTries = 10;
// Writes that were under way when the quota came did not know of it. They are done by then.
constexpr Duration kCountAgain = std::chrono::seconds(3);
constexpr std::chrono::hours kForever{24 * 365 * 100};

class ResourceQuota final : public Reconciler {
 public:
  explicit ResourceQuota(const Context& context)
      : context_(context), quotas_(context.lister("resourcequotas")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    for (int attempt = 1;; ++attempt) {
      ObjectPtr quota = quotas_.find(key.ns, key.name);
      if (quota == nullptr) return Requeue::never();
      Result<Requeue> done = count(*quota);
      bool raced = !done.ok() && done.error().is(Code::kConflict);
      if (!raced || attempt >= kTries) return done;
    }
  }

 private:
  Result<Requeue> count(const api::Object& live) {
    json::Document document = live.document();
    json::Value quota = document.root();
    const bool first = !api::quota_is_counted(quota);
    const Time now = context_.clock.now();
    std::optional<Duration> next;
    if (first) next = kCountAgain;
    auto objects = [&](const api::Resource& resource,
                       const std::function<void(json::Value)>& visit) {
      for (const ObjectPtr& object : context_.cache.lister(resource).list(live.ns())) {
        json::Document one = object->document();
        visit(one.root());
        std::optional<Duration> wait = expires_in(resource, one.root(), now);
        if (wait && (!next || *wait < *next)) next = wait;
      }
    };
    json::Draft status = api::count_quota(quota, objects, now);
    if (!json::equal(status.freeze().root(), quota["status"])) {
      json::Draft changed(quota);
      changed.root().set("status", status.root());
      json::Document wanted = changed.freeze();
      TRY(ignore_not_found(context_.client.update(api::resource("resourcequotas"), live.ns(),
                                                  live.name(), wanted.root(), "status")));
    }
    return next ? Requeue::after(*next) : Requeue::never();
  }

  // What is being deleted stops counting after a while, though it may still be there.
  static std::optional<Duration> expires_in(const api::Resource& resource, json::Value object,
                                            Time now) {
    json::Value meta = object["metadata"];
    std::optional<Time> going = parse_time(meta["deletionTimestamp"].as_string());
    if (!going || resource.quota == nullptr) return std::nullopt;
    if (api::quota_usage(resource, object, now) ==
        api::quota_usage(resource, object, now + kForever)) {
      return std::nullopt;
    }
    std::chrono::seconds grace(meta["deletionGracePeriodSeconds"].as_int());
    return *going + grace - now + std::chrono::seconds(1);
  }

  const Context& context_;
  const Lister& quotas_;
};

// Whether a quota that counts the object has to count anew.
bool concerns(json::Value quota, const Change& change, Time now) {
  const api::Resource& resource = *change.resource;
  std::vector<std::string_view> names = api::quota_names(resource, quota["spec"]["hard"]);
  if (names.empty()) return false;
  json::Document before = change.before->document();
  if (!api::quota_counts(quota, resource, before.root())) return false;
  if (change.after == nullptr) return true;
  if (resource.quota == nullptr) return false;  // Only counted: nothing shrinks.
  if (change.after->deleting() && !change.before->deleting()) return true;
  json::Document after = change.after->document();
  if (!api::quota_counts(quota, resource, after.root())) return true;
  return api::quota_usage(resource, before.root(), now) !=
         api::quota_usage(resource, after.root(), now);
}

// A quota that is new or asks for something else; and the quotas that count an object which went or
// changed.
void changed(const Change& change, const Context& context, Keys& out) {
  const bool is_quota =
      change.resource->plural == "resourcequotas" && change.resource->group.empty();
  if (is_quota && change.after != nullptr) {
    json::Document after = change.after->document();
    json::Document before = change.before == nullptr ? json::Document() : change.before->document();
    bool same =
        change.before != nullptr && json::equal(before.root()["spec"], after.root()["spec"]);
    if (!same || !api::quota_is_counted(after.root())) {
      out.push_back({std::string(change.after->ns()), std::string(change.after->name())});
    }
  }
  if (change.before == nullptr || !change.resource->namespaced()) return;
  for (const ObjectPtr& quota : context.lister("resourcequotas").list(change.before->ns())) {
    json::Document document = quota->document();
    if (concerns(document.root(), change, context.clock.now())) {
      out.push_back({std::string(quota->ns()), std::string(quota->name())});
    }
  }
}

}  // namespace

constinit const ControllerSpec kResourceQuota = {
    .name = "resourcequota-controller",
    .watches = {},
    .make = &make<ResourceQuota>,
    .watch_all = &changed,
    .workers = 2,
};

}  // namespace wherry::controller
