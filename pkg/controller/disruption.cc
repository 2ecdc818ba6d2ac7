// Keeps the status of PodDisruptionBudgets: how many of their pods are healthy, how many must be,
// and how many may be taken away. Evictions spend that number themselves; a pod that was evicted
// counts as gone until it is, or for two minutes. Spec: Kubernetes documentation, disruptions.

#include <algorithm>
#include <map>

#include "api/disruption.h"
#include "api/selector.h"
#include "base/strings.h"
#include "controller/all.h"
#include "controller/deployment_plan.h"
#include "controller/owners.h"

namespace wherry::controller {
namespace {

constexpr int kTries = 5;
constexpr std::chrono::minutes kEvictionTakes{2};
constexpr const char* kUnmanaged =
    "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a "
    "result, the status of the PDB cannot be calculated correctly, which may result in undefined "
    "behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an "
    "integer value.";

bool selects(json::Value budget, const api::Object& pod) {
  Result<api::Selector> selector = api::Selector::from_label_selector(budget["spec"]["selector"]);
  return selector.ok() && selector->matches(pod);
}

struct Wanted {
  int64_t expected = 0;
  int64_t healthy = 0;
};

class Disruption final : public Reconciler {
 public:
  explicit Disruption(const Context& context)
      : context_(context),
        budgets_(context.lister("poddisruptionbudgets.policy")),
        pods_(context.lister("pods")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    for (int attempt = 1;; ++attempt) {
      ObjectPtr budget = budgets_.find(key.ns, key.name);
      if (budget == nullptr) return Requeue::never();
      Result<Requeue> done = sync(*budget);
      bool raced = !done.ok() && done.error().is(Code::kConflict);
      if (!raced || attempt >= kTries) return done;
    }
  }

 private:
  Result<Requeue> sync(const api::Object& live) {
    json::Document document = live.document();
    json::Value budget = document.root();
    const Time now = context_.clock.now();
    const int64_t generation = budget["metadata"]["generation"].as_int();
    std::vector<ObjectPtr> pods;
    for (const ObjectPtr& pod : pods_.list(live.ns())) {
      if (selects(budget, *pod)) pods.push_back(pod);
    }
    if (pods.empty()) context_.events.normal(live, "NoPods", "No matching pods found");

    json::Draft changed(budget);
    json::Node status = changed.root().ensure_object("status");
    Result<Wanted> wanted = wanted_of(live, budget, pods);
    if (!wanted.ok()) {
      context_.events.warning(
          live, "CalculateExpectedPodCountFailed",
          "Failed to calculate the number of expected pods: " + wanted.error().message());
      status.set("disruptionsAllowed", 0);
      api::set_disruption_allowed(status, generation, now, wanted.error().message());
      TRY(write(live, budget, changed));
      return std::move(wanted).error();
    }
    std::optional<Duration> next = keep_disrupted(live, budget, pods, status, now);
    int64_t healthy = 0;
    for (const ObjectPtr& pod : pods) {
      json::Document one = pod->document();
      bool going = pod->deleting() || status["disruptedPods"][pod->name()];
      if (!going && api::pod_is_ready(one.root())) ++healthy;
    }
    int64_t allowed = wanted->expected <= 0 ? 0 : std::max<int64_t>(0, healthy - wanted->healthy);
    status.set("disruptionsAllowed", allowed);
    status.set("currentHealthy", healthy);
    status.set("desiredHealthy", wanted->healthy);
    status.set("expectedPods", wanted->expected);
    status.set("observedGeneration", generation);
    api::set_disruption_allowed(status, generation, now);
    TRY(write(live, budget, changed));
    return next ? Requeue::after(*next) : Requeue::never();
  }

  // Drops the evictions that came about and those that did not in time; when to look again.
  std::optional<Duration> keep_disrupted(const api::Object& live, json::Value budget,
                                         const std::vector<ObjectPtr>& pods, json::Node status,
                                         Time now) {
    std::optional<Duration> next;
    for (auto [name, since] : budget["status"]["disruptedPods"].members()) {
      auto pod = std::ranges::find(pods, name, [](const ObjectPtr& one) { return one->name(); });
      std::optional<Time> evicted = parse_time(since.as_string());
      bool waits = pod != pods.end() && !(*pod)->deleting() && evicted;
      if (waits && *evicted + kEvictionTakes > now) {
        Duration left = *evicted + kEvictionTakes - now;
        if (!next || left < *next) next = left;
        continue;
      }
      if (waits) {
        context_.events.warning(**pod, "NotDeleted",
                                fmt::format("Pod was expected by PDB {}/{} to be deleted but it "
                                            "wasn't",
                                            live.ns(), live.name()));
      }
      status["disruptedPods"].remove(name);
    }
    if (status["disruptedPods"].empty()) status.remove("disruptedPods");
    return next;
  }

  Result<Wanted> wanted_of(const api::Object& live, json::Value budget,
                           const std::vector<ObjectPtr>& pods) {
    json::Value most = budget["spec"]["maxUnavailable"];
    json::Value least = budget["spec"]["minAvailable"];
    Wanted out;
    if (most) {
      out.expected = TRY(expected_scale(live, budget, pods));
      out.healthy = std::max<int64_t>(0, out.expected - scaled_value(most, out.expected, true));
    } else if (least.is_int()) {
      out.expected = static_cast<int64_t>(pods.size());
      out.healthy = least.as_int();
    } else if (least) {
      out.expected = TRY(expected_scale(live, budget, pods));
      out.healthy = scaled_value(least, out.expected, true);
    }
    return out;
  }

  // How many pods the controllers of the pods are to keep.
  Result<int64_t> expected_scale(const api::Object& live, json::Value budget,
                                 const std::vector<ObjectPtr>& pods) {
    std::map<std::string, int64_t> scales;
    bool unmanaged = false;
    for (const ObjectPtr& pod : pods) {
      ObjectPtr keeper = TRY(keeper_of(*pod));
      if (keeper == nullptr) {
        unmanaged = true;
        continue;
      }
      json::Document document = keeper->document();
      scales[std::string(keeper->uid())] = document.root()["spec"]["replicas"].as_int();
    }
    if (unmanaged) {
      Result<api::Selector> selector =
          api::Selector::from_label_selector(budget["spec"]["selector"]);
      context_.events.warning(
          live, "UnmanagedPods",
          fmt::format(fmt::runtime(kUnmanaged), selector.ok() ? selector->text() : std::string()));
    }
    int64_t sum = 0;
    for (const auto& [uid, scale] : scales) sum += scale;
    return sum;
  }

  // The outermost controller of a pod that can be scaled; null for a pod without one.
  Result<ObjectPtr> keeper_of(const api::Object& pod) {
    ObjectPtr keeper;
    std::optional<OwnerRef> owner = controller_of(pod);
    while (owner) {
      auto parts = split_once(owner->api_version, "/");
      const api::Resource* row = api::find_kind(
          parts ? parts->first : "", parts ? parts->second : owner->api_version, owner->kind);
      bool scalable = row != nullptr && row->subresource("scale") != nullptr;
      if (!scalable && keeper != nullptr) break;
      if (!scalable) {
        return Error::make(Code::kUnsupported, "{} does not implement the scale subresource",
                           row == nullptr ? to_lower(owner->kind) : row->group_resource());
      }
      ObjectPtr found = context_.cache.lister(*row).find(pod.ns(), owner->name);
      if (found == nullptr || found->uid() != owner->uid) break;
      keeper = found;
      owner = controller_of(*found);
    }
    return keeper;
  }

  Result<void> write(const api::Object& live, json::Value budget, const json::Draft& changed) {
    json::Document wanted = changed.freeze();
    if (json::equal(wanted.root()["status"], budget["status"])) return {};
    return ignore_not_found(context_.client.update(api::resource("poddisruptionbudgets.policy"),
                                                   live.ns(), live.name(), wanted.root(),
                                                   "status"));
  }

  const Context& context_;
  const Lister& budgets_;
  const Lister& pods_;
};

// Whether a budget has to be looked at is decided by the pods it selects, and its own spec.
void budget_changed(const Change& change, const Context&, Keys& out) {
  if (change.after == nullptr) return;
  out.push_back({std::string(change.after->ns()), std::string(change.after->name())});
}

void pod_changed(const Change& change, const Context& context, Keys& out) {
  const ObjectPtr& any = change.after != nullptr ? change.after : change.before;
  for (const ObjectPtr& budget : context.lister("poddisruptionbudgets.policy").list(any->ns())) {
    json::Document document = budget->document();
    bool concerned = (change.before != nullptr && selects(document.root(), *change.before)) ||
                     (change.after != nullptr && selects(document.root(), *change.after));
    if (concerned) out.push_back({std::string(budget->ns()), std::string(budget->name())});
  }
}

constexpr Watch kWatches[] = {{.resource = "poddisruptionbudgets.policy", .map = &budget_changed},
                              {.resource = "pods", .map = &pod_changed}};

}  // namespace

constinit const ControllerSpec kDisruption = {
    .name = "disruption-controller",
    .watches = kWatches,
    .make = &make<Disruption>,
    .event_component = "controllermanager",
};

}  // namespace wherry::controller
