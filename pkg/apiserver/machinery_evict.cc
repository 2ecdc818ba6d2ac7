// Eviction: deletes a pod if the PodDisruptionBudget that selects it has room. Wording: Kubernetes,
// the eviction subresource.
//
// The budget is spent and the pod marked in one transaction, each under the revision that was read,
// so that two evictions never spend the same room.

#include "api/disruption.h"
#include "api/selector.h"
#include "api/status.h"
#include "apiserver/bookkeeping.h"
#include "apiserver/machinery.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kBudgets = "poddisruptionbudgets.policy";
constexpr int kTries = 32;
constexpr size_t kDisruptedMax = 2000;
constexpr int kRetrySeconds = 10;

Error over_budget(std::string why, int retry_after_seconds) {
  Error error = api::too_many_requests(
      "Cannot evict pod as it would violate the pod's disruption budget.", retry_after_seconds);
  error.details().causes.push_back(
      {.reason = "DisruptionBudget", .message = std::move(why), .field = {}});
  return error;
}

// An ailing pod may go although nothing else may, where its budget holds or does not mind.
bool may_go_unready(json::Value budget, json::Value pod) {
  bool running = pod["status"]["phase"].as_string() == "Running";
  if (!running || api::pod_is_ready(pod)) return false;
  if (budget["spec"]["unhealthyPodEvictionPolicy"].as_string() == "AlwaysAllow") return true;
  int64_t healthy = budget["status"]["currentHealthy"].as_int();
  int64_t desired = budget["status"]["desiredHealthy"].as_int();
  return healthy >= desired && desired > 0;
}

// With its members in the order in which they are stored.
json::Document in_order(std::string_view resource, const json::Draft& changed) {
  json::Draft ordered(changed.root());
  put_in_order(api::resource(resource).schema, ordered);
  return ordered.freeze();
}

// The budget with one disruption less, or the refusal.
Result<json::Draft> spend(const api::Object& live, json::Value budget, std::string_view pod,
                          Time now) {
  json::Value status = budget["status"];
  int64_t generation = budget["metadata"]["generation"].as_int();
  std::string name(live.name());
  if (status["observedGeneration"].as_int() < generation) {
    return over_budget(
        fmt::format("The disruption budget {} is still being processed by the server.", name),
        kRetrySeconds);
  }
  int64_t allowed = status["disruptionsAllowed"].as_int();
  if (allowed < 0) return api::forbidden(kBudgets, name, "pdb disruptions allowed is negative");
  if (status["disruptedPods"].size() > kDisruptedMax) {
    return api::forbidden(kBudgets, name,
                          "DisruptedPods map too big - too many evictions not confirmed by PDB "
                          "controller");
  }
  if (allowed == 0) {
    for (json::Value condition : status["conditions"].items()) {
      if (condition["reason"].as_string() != "SyncFailed") continue;
      return over_budget(fmt::format("The disruption budget {} does not allow evicting pods "
                                     "currently because it failed sync: {}",
                                     name, condition["message"].as_string()),
                         0);
    }
    return over_budget(
        fmt::format("The disruption budget {} needs {} healthy pods and has {} "
                    "currently",
                    name, status["desiredHealthy"].as_int(), status["currentHealthy"].as_int()),
        0);
  }
  json::Draft changed(budget);
  json::Node after = changed.root()["status"];
  after.set("disruptionsAllowed", allowed - 1);
  after.ensure_object("disruptedPods").set(pod, format_time(now));
  api::set_disruption_allowed(after, generation, now);
  return changed;
}

json::Draft marked(json::Value pod, Time now) {
  json::Draft changed(pod);
  json::Node conditions = changed.root().ensure_object("status").ensure_array("conditions");
  json::Node found;
  for (json::Node condition : conditions.items()) {
    if (condition["type"].as_string() == "DisruptionTarget") found = condition;
  }
  if (found && found["status"].as_string() == "True") return changed;
  if (!found) found = conditions.push_object();
  found.set("type", "DisruptionTarget");
  found.set("status", "True");
  found.set_null("lastProbeTime");
  found.set("lastTransitionTime", format_time(now));
  found.set("reason", "EvictionByEvictionAPI");
  found.set("message", "Eviction API: evicting");
  return changed;
}

Result<DeleteOptions> eviction_options(json::Value body) {
  json::Value wish = body["deleteOptions"];
  DeleteOptions options;
  if (wish["gracePeriodSeconds"].is_int()) {
    options.grace_period_seconds = wish["gracePeriodSeconds"].as_int();
  }
  json::Value conditions = wish["preconditions"];
  if (conditions["uid"].is_string()) options.uid = std::string(conditions["uid"].as_string());
  if (conditions["resourceVersion"].is_string()) {
    options.resource_version = std::string(conditions["resourceVersion"].as_string());
  }
  options.propagation_policy = wish["propagationPolicy"].as_string();
  for (json::Value item : wish["dryRun"].items()) options.dry_run |= item.as_string() == "All";
  return options;
}

// Budgets of the pod's namespace that select it.
Result<std::vector<ObjectPtr>> budgets_of(const store::Store& store, const api::Object& pod) {
  std::vector<ObjectPtr> out;
  store.snapshot(kBudgets)->scan(pod.ns(), "", "", [&](const ObjectPtr& budget) {
    json::Document document = budget->document();
    Result<api::Selector> selector =
        api::Selector::from_label_selector(document.root()["spec"]["selector"]);
    if (selector.ok() && selector->matches(pod)) out.push_back(budget);
    return true;
  });
  if (out.size() > 1) {
    return api::internal_error(
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
        "support.");
  }
  return out;
}

}  // namespace

Result<void> Machinery::mark_evicted(const Target& target, const DeleteOptions& options) {
  for (int attempt = 1;; ++attempt) {
    ObjectPtr live = store_.get(target.resource->group_resource(), target.ns, target.name);
    if (live == nullptr) return api::not_found(target.resource->group_resource(), target.name);
    TRY(check_preconditions(target, *live, options));
    json::Document pod = live->document();
    std::vector<store::Write> writes;
    if (!api::needs_no_budget(pod.root())) {
      for (const ObjectPtr& budget : TRY(budgets_of(store_, *live))) {
        json::Document document = budget->document();
        if (may_go_unready(document.root(), pod.root())) continue;
        json::Draft spent = TRY(spend(*budget, document.root(), target.name, clock_.now()));
        Target place{
            &api::resource(kBudgets), std::string(budget->ns()), std::string(budget->name()), {}};
        json::Document less = in_order(kBudgets, spent);
        writes.push_back(TRY(write_of(place, less.root(), budget->revision())));
      }
    }
    if (options.dry_run) return {};
    json::Document leaving = in_order("pods", marked(pod.root(), clock_.now()));
    writes.push_back(TRY(
        write_of({target.resource, target.ns, target.name, {}}, leaving.root(), live->revision())));
    Result<std::vector<ObjectPtr>> done = store_.commit(std::move(writes));
    if (done.ok()) return {};
    bool raced = done.error().is(Code::kConflict) || done.error().is(Code::kNotFound);
    if (!raced || attempt >= kTries) return std::move(done).error();
  }
}

Result<ObjectPtr> Machinery::evict(Context& context, const Target& target, json::Value body) {
  std::string_view kind = body["kind"].as_string();
  if (!kind.empty() && kind != "Eviction") {  // tidy: allow(kind): the form that was posted.
    return Error::bad_request(
        "{} in version \"v1\" cannot be handled as a Eviction: converting (v1.{}) to "
        "(policy.Eviction): unknown conversion",
        kind, kind);
  }
  std::string_view named = body["metadata"]["name"].as_string();
  if (!named.empty() && named != target.name) {
    return Error::bad_request("name in URL does not match name in Eviction object");
  }
  DeleteOptions options = TRY(eviction_options(body));
  Target pod_target = target;
  pod_target.subresource.clear();
  TRY(mark_evicted(pod_target, options));
  if (!options.dry_run) options.resource_version.reset();  // It held when the pod was marked.
  TRY(remove(context, pod_target, options));
  return success_object();
}

}  // namespace wherry::apiserver
