// Rolls a Deployment's pods from one template to the next by sizing its ReplicaSets.
// Spec: Kubernetes API reference, apps/v1 Deployment; concepts: Deployments.

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "controller/all.h"
#include "controller/deployment_plan.h"
#include "controller/owners.h"
#include "controller/pods.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kRevision = "deployment.kubernetes.io/revision";
constexpr std::string_view kRevisionHistory = "deployment.kubernetes.io/revision-history";
constexpr std::string_view kDesired = "deployment.kubernetes.io/desired-replicas";
constexpr std::string_view kMax = "deployment.kubernetes.io/max-replicas";
constexpr std::string_view kHash = "pod-template-hash";
constexpr std::string_view kNotCopied[] = {"kubectl.kubernetes.io/last-applied-configuration",
                                           kRevision,
                                           kRevisionHistory,
                                           kDesired,
                                           kMax,
                                           "deprecated.deployment.rollback.to"};

// A ReplicaSet of the Deployment, parsed.
struct Set {
  ObjectPtr object;
  json::Document document;
  json::Value spec() const { return document.root()["spec"]; }
  json::Value status() const { return document.root()["status"]; }
  std::string_view annotation(std::string_view key) const {
    return document.root()["metadata"]["annotations"][key].as_string();
  }
  std::string created() const {
    return std::string(document.root()["metadata"]["creationTimestamp"].as_string());
  }
  int64_t replicas() const { return spec()["replicas"].as_int(1); }
  int64_t revision() const { return parse_int(annotation(kRevision)).value_or(0); }
};

Set make_set(const ObjectPtr& object) { return {object, object->document()}; }

SetSize size_of(const Set& set) {
  return {std::string(set.object->name()), set.created(), set.replicas(),
          set.status()["availableReplicas"].as_int(), parse_int(set.annotation(kMax)).value_or(0)};
}

// The template without the label that this controller adds.
json::Draft bare_template(json::Value pod_template) {
  json::Draft draft(pod_template);
  json::Node labels = draft.root()["metadata"]["labels"];
  labels.remove(kHash);
  if (labels && labels.empty()) draft.root()["metadata"].remove("labels");
  return draft;
}

bool same_template(json::Value a, json::Value b) {
  json::Draft left = bare_template(a);
  json::Draft right = bare_template(b);
  return json::equal(left.root(), right.root());
}

// FNV-1a over the template's text and the collision count, in the letters that upstream uses.
std::string template_hash(json::Value pod_template, int64_t collisions) {
  uint32_t hash = 2166136261U;
  auto mix = [&hash](std::string_view text) {
    for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  };
  mix(pod_template.dump());
  if (collisions > 0) mix(std::to_string(collisions));
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (char digit : std::to_string(hash)) {
    out += kAlphabet[static_cast<unsigned char>(digit) % kAlphabet.size()];
  }
  return out;
}

struct State {
  ObjectPtr object;
  json::Document document;
  Rolling rolling;
  std::vector<Set> sets;     // All, oldest first.
  std::optional<Set> fresh;  // The one with the current template.
  json::Value root() const { return document.root(); }
  json::Value spec() const { return document.root()["spec"]; }
  std::vector<Set> old() const {
    std::vector<Set> out;
    for (const Set& set : sets) {
      if (!fresh || set.object->uid() != fresh->object->uid()) out.push_back(set);
    }
    return out;
  }
  int64_t total() const {
    int64_t sum = 0;
    for (const Set& set : sets) sum += set.replicas();
    return sum;
  }
};

class DeploymentController final : public Reconciler {
 public:
  explicit DeploymentController(const Context& context)
      : context_(context),
        deployments_(context.lister("deployments.apps")),
        sets_resource_(api::resource("replicasets.apps")),
        sets_(context.cache.lister(sets_resource_)),
        pods_(context.lister("pods")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override;

 private:
  Result<State> read(const ObjectPtr& deployment);
  Result<void> refresh(State& state);

  Result<void> sync(State& state);  // Paused, or spec.replicas changed in the middle.
  Result<void> roll(State& state);
  Result<void> recreate(State& state);
  Result<void> find_or_create(State& state);
  Result<void> update_fresh(State& state);
  Result<ObjectPtr> create_set(State& state, const std::string& hash, int64_t replicas);
  Result<void> scale(State& state, const Set& set, int64_t replicas);
  Result<void> scale_proportionally(State& state);
  Result<void> clean_up(State& state);
  bool scaling_needed(const State& state) const;
  bool complete(const State& state) const;

  Result<Requeue> write_status(State& state);
  Requeue set_progress(const State& state, json::Node status, json::Value before);
  Result<void> bump_collisions(const State& state);
  Result<void> mirror_revision(State& state);

  const Context& context_;
  const Lister& deployments_;
  const api::Resource& sets_resource_;
  const Lister& sets_;
  const Lister& pods_;
};

Result<State> DeploymentController::read(const ObjectPtr& deployment) {
  State state;
  state.object = deployment;
  state.document = deployment->document();
  state.rolling = rolling_of(state.spec());
  api::Selector selector = TRY(api::Selector::from_label_selector(state.spec()["selector"]));
  std::vector<ObjectPtr> mine = TRY(claim(context_, sets_resource_, *deployment, selector));
  for (const ObjectPtr& set : mine) state.sets.push_back(make_set(set));
  std::stable_sort(state.sets.begin(), state.sets.end(),
                   [](const Set& a, const Set& b) { return a.created() < b.created(); });
  for (const Set& set : state.sets) {
    if (same_template(set.spec()["template"], state.spec()["template"])) {
      state.fresh = set;
      break;  // The oldest wins, so that two of the same template never alternate.
    }
  }
  return state;
}

// After writes: what the sets are now.
Result<void> DeploymentController::refresh(State& state) {
  State now = TRY(read(state.object));
  state.sets = std::move(now.sets);
  state.fresh = std::move(now.fresh);
  return {};
}

Result<Requeue> DeploymentController::reconcile(const ObjectKey& key) {
  ObjectPtr deployment = deployments_.find(key.ns, key.name);
  if (deployment == nullptr) return Requeue::never();
  State state = TRY(read(deployment));
  if (!deployment->deleting()) {
    if (state.spec()["paused"].as_bool() || scaling_needed(state)) {
      TRY(sync(state));
    } else if (state.rolling.recreate) {
      TRY(recreate(state));
    } else {
      TRY(roll(state));
    }
  }
  TRY(refresh(state));
  return write_status(state);
}

bool DeploymentController::scaling_needed(const State& state) const {
  for (const Set& set : state.sets) {
    if (set.replicas() == 0) continue;
    auto desired = parse_int(set.annotation(kDesired));
    if (desired && *desired != state.rolling.replicas) return true;
  }
  return false;
}

Result<void> DeploymentController::sync(State& state) {
  if (state.fresh) TRY(update_fresh(state));
  TRY(scale_proportionally(state));
  if (state.spec()["paused"].as_bool()) TRY(clean_up(state));
  return {};
}

Result<void> DeploymentController::roll(State& state) {
  TRY(find_or_create(state));
  const Set fresh = *state.fresh;
  if (fresh.replicas() != state.rolling.replicas) {
    int64_t size = fresh.replicas() > state.rolling.replicas
                       ? state.rolling.replicas
                       : new_set_size(state.rolling, fresh.replicas(), state.total());
    if (size != fresh.replicas()) return scale(state, fresh, size);
  }
  std::vector<Set> old = state.old();
  std::vector<SetSize> sizes;
  for (const Set& set : old) sizes.push_back(size_of(set));
  std::vector<int64_t> wanted = old_set_sizes(state.rolling, sizes, size_of(fresh));
  bool changed = false;
  for (size_t i = 0; i < old.size(); ++i) {
    if (wanted[i] == old[i].replicas()) continue;
    TRY(scale(state, old[i], wanted[i]));
    changed = true;
  }
  if (!changed && complete(state)) TRY(clean_up(state));
  return {};
}

Result<void> DeploymentController::recreate(State& state) {
  bool changed = false;
  for (const Set& set : state.old()) {
    if (set.replicas() == 0) continue;
    TRY(scale(state, set, 0));
    changed = true;
  }
  if (changed) return {};
  // No new pod before every old one is gone.
  for (const Set& set : state.old()) {
    for (const ObjectPtr& pod : pods_.list(state.object->ns())) {
      json::Document document = pod->document();
      std::string_view phase = document.root()["status"]["phase"].as_string();
      bool finished = phase == "Succeeded" || phase == "Failed";
      if (!finished && controlled_by(*pod, set.object->uid())) return {};
    }
  }
  TRY(find_or_create(state));
  if (state.fresh->replicas() != state.rolling.replicas) {
    return scale(state, *state.fresh, state.rolling.replicas);
  }
  if (complete(state)) TRY(clean_up(state));
  return {};
}

// The sizes that a later change of spec.replicas is shared out by; set only together with a set's
// size.
enum class Sizes { kKeep, kSet };

// Annotations that every ReplicaSet of the Deployment carries. True when something changed.
bool annotate(json::Node metadata, const State& state, const std::string& revision, Sizes sizes) {
  json::Node annotations = metadata.ensure_object("annotations");
  bool changed = false;
  auto put = [&](std::string_view key, std::string_view value) {
    if (annotations[key].as_string() == value && annotations[key]) return;
    annotations.set(key, value);
    changed = true;
  };
  for (auto [key, value] : state.root()["metadata"]["annotations"].members()) {
    if (std::find(std::begin(kNotCopied), std::end(kNotCopied), key) == std::end(kNotCopied)) {
      put(key, value.as_string());
    }
  }
  std::string old_revision(annotations[kRevision].as_string());
  if (!revision.empty() && old_revision != revision) {
    if (!old_revision.empty()) {
      std::string history(annotations[kRevisionHistory].as_string());
      put(kRevisionHistory, history.empty() ? old_revision : history + "," + old_revision);
    }
    put(kRevision, revision);
  }
  if (sizes == Sizes::kKeep) return changed;
  put(kDesired, std::to_string(state.rolling.replicas));
  put(kMax, std::to_string(state.rolling.replicas + state.rolling.max_surge));
  return changed;
}

std::string next_revision(const State& state) {
  int64_t newest_old = 0;
  for (const Set& set : state.old()) newest_old = std::max(newest_old, set.revision());
  if (state.fresh && state.fresh->revision() > newest_old) {
    return std::to_string(state.fresh->revision());
  }
  return std::to_string(newest_old + 1);
}

Result<void> DeploymentController::update_fresh(State& state) {
  json::Draft draft(state.fresh->document.root());
  bool changed = annotate(draft.root()["metadata"], state, next_revision(state), Sizes::kKeep);
  int64_t min_ready = state.spec()["minReadySeconds"].as_int();
  if (draft.root()["spec"]["minReadySeconds"].as_int() != min_ready) {
    draft.root()["spec"].set("minReadySeconds", min_ready);
    changed = true;
  }
  if (changed) {
    json::Document after = draft.freeze();
    ObjectPtr written = TRY(context_.client.update(sets_resource_, state.object->ns(),
                                                   state.fresh->object->name(), after.root()));
    state.fresh = make_set(written);
    TRY(refresh(state));
  }
  return mirror_revision(state);
}

// The Deployment shows the revision of its newest ReplicaSet. Through the status: an annotation
// written there does not count as a new generation.
Result<void> DeploymentController::mirror_revision(State& state) {
  if (!state.fresh) return {};
  std::string_view wanted = state.fresh->annotation(kRevision);
  if (state.root()["metadata"]["annotations"][kRevision].as_string() == wanted) return {};
  json::Draft patch;
  patch.root().set_object("metadata").set_object("annotations").set(kRevision, wanted);
  json::Document document = patch.freeze();
  state.object = TRY(context_.client.patch(api::resource("deployments.apps"), state.object->ns(),
                                           state.object->name(), client::PatchType::kMerge,
                                           document.root(), {.subresource = "status"}));
  state.document = state.object->document();
  return {};
}

Result<void> DeploymentController::find_or_create(State& state) {
  if (state.fresh) return update_fresh(state);
  std::string hash =
      template_hash(state.spec()["template"], state.root()["status"]["collisionCount"].as_int());
  int64_t size = new_set_size(state.rolling, 0, state.total());
  Result<ObjectPtr> made = create_set(state, hash, size);
  if (!made.ok() && made.error().is(Code::kAlreadyExists)) {
    // Somebody else's of that name: another hash next time.
    TRY(bump_collisions(state));
    return std::move(made).error();
  }
  if (!made.ok()) {
    context_.events.warning(*state.object, "ReplicaSetCreateError",
                            "Failed to create new replica set: " + made.error().message());
    return std::move(made).error();
  }
  if (size > 0) {
    context_.events.normal(
        *state.object, "ScalingReplicaSet",
        fmt::format("Scaled up replica set {} from 0 to {}", (*made)->name(), size));
  }
  TRY(refresh(state));
  return mirror_revision(state);
}

Result<ObjectPtr> DeploymentController::create_set(State& state, const std::string& hash,
                                                   int64_t replicas) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("kind", "ReplicaSet");
  root.set("apiVersion", "apps/v1");
  json::Node metadata = root.set_object("metadata");
  metadata.set("name", fmt::format("{}-{}", state.object->name(), hash));
  metadata.set("namespace", state.object->ns());
  json::Node labels = metadata.set_object("labels");
  for (auto [key, value] : state.spec()["template"]["metadata"]["labels"].members()) {
    labels.set(key, value);
  }
  labels.set(kHash, hash);
  annotate(metadata, state, next_revision(state), Sizes::kSet);
  set_controller(metadata, *state.object);
  json::Node spec = root.set_object("spec");
  spec.set("replicas", replicas);
  if (state.spec()["minReadySeconds"]) spec.set("minReadySeconds", state.spec()["minReadySeconds"]);
  spec.set("selector", state.spec()["selector"]);
  spec["selector"].ensure_object("matchLabels").set(kHash, hash);
  spec.set("template", state.spec()["template"]);
  spec["template"].ensure_object("metadata").ensure_object("labels").set(kHash, hash);
  json::Document set = draft.freeze();
  return context_.client.create(sets_resource_, state.object->ns(), set.root());
}

Result<void> DeploymentController::bump_collisions(const State& state) {
  json::Draft patch;
  patch.root().set_object("status").set("collisionCount",
                                        state.root()["status"]["collisionCount"].as_int() + 1);
  json::Document document = patch.freeze();
  TRY(context_.client.patch(api::resource("deployments.apps"), state.object->ns(),
                            state.object->name(), client::PatchType::kMerge, document.root(),
                            {.subresource = "status"}));
  return {};
}

Result<void> DeploymentController::scale(State& state, const Set& set, int64_t replicas) {
  json::Draft draft(set.document.root());
  draft.root()["spec"].set("replicas", replicas);
  bool annotated = annotate(draft.root()["metadata"], state, "", Sizes::kSet);
  int64_t before = set.replicas();
  if (before == replicas && !annotated) return {};
  json::Document after = draft.freeze();
  TRY(context_.client.update(sets_resource_, state.object->ns(), set.object->name(), after.root()));
  if (before != replicas) {
    context_.events.normal(
        *state.object, "ScalingReplicaSet",
        fmt::format("Scaled {} replica set {} from {} to {}", replicas > before ? "up" : "down",
                    set.object->name(), before, replicas));
  }
  return {};
}

Result<void> DeploymentController::scale_proportionally(State& state) {
  std::vector<Set> active;
  for (const Set& set : state.sets) {
    if (set.replicas() > 0) active.push_back(set);
  }
  // One set in use (or none): it takes the whole size.
  if (active.size() <= 1) {
    const Set* only = !active.empty() ? &active[0] : state.fresh ? &*state.fresh : nullptr;
    if (only == nullptr || only->replicas() == state.rolling.replicas) return {};
    return scale(state, *only, state.rolling.replicas);
  }
  if (state.fresh && state.fresh->replicas() == state.rolling.replicas &&
      state.fresh->status()["availableReplicas"].as_int() == state.rolling.replicas) {
    for (const Set& set : state.old()) {
      if (set.replicas() > 0) TRY(scale(state, set, 0));
    }
    return {};
  }
  if (state.rolling.recreate) return {};
  std::vector<SetSize> sizes;
  for (const Set& set : active) sizes.push_back(size_of(set));
  std::vector<int64_t> wanted = proportional_sizes(state.rolling, sizes);
  for (size_t i = 0; i < active.size(); ++i) TRY(scale(state, active[i], wanted[i]));
  return {};
}

// Old ReplicaSets beyond spec.revisionHistoryLimit go, those of the oldest revisions first.
Result<void> DeploymentController::clean_up(State& state) {
  json::Value limit = state.spec()["revisionHistoryLimit"];
  if (!limit) return {};
  std::vector<Set> idle;
  for (const Set& set : state.old()) {
    bool empty = set.replicas() == 0 && set.status()["replicas"].as_int() == 0;
    if (empty && !set.object->deleting()) idle.push_back(set);
  }
  std::stable_sort(idle.begin(), idle.end(),
                   [](const Set& a, const Set& b) { return a.revision() < b.revision(); });
  int64_t surplus = static_cast<int64_t>(idle.size()) - limit.as_int();
  for (int64_t i = 0; i < surplus; ++i) {
    const Set& set = idle[static_cast<size_t>(i)];
    TRY(ignore_not_found(context_.client.remove(sets_resource_, state.object->ns(),
                                                set.object->name(),
                                                {.uid = std::string(set.object->uid())})));
  }
  return {};
}

struct Totals {
  int64_t replicas = 0, updated = 0, ready = 0, available = 0, terminating = 0, wanted = 0;
};

Totals totals_of(const State& state) {
  Totals out;
  for (const Set& set : state.sets) {
    out.replicas += set.status()["replicas"].as_int();
    out.ready += set.status()["readyReplicas"].as_int();
    out.available += set.status()["availableReplicas"].as_int();
    out.terminating += set.status()["terminatingReplicas"].as_int();
    out.wanted += set.replicas();
  }
  if (state.fresh) out.updated = state.fresh->status()["replicas"].as_int();
  return out;
}

bool DeploymentController::complete(const State& state) const {
  Totals totals = totals_of(state);
  return totals.updated == state.rolling.replicas && totals.replicas == state.rolling.replicas &&
         totals.available == state.rolling.replicas;
}

Result<Requeue> DeploymentController::write_status(State& state) {
  Totals totals = totals_of(state);
  json::Value before = state.root()["status"];
  json::Draft draft(state.root());
  json::Node status = draft.root().ensure_object("status");
  auto number = [&status](std::string_view key, int64_t value) {
    if (value == 0) {
      status.remove(key);
    } else {
      status.set(key, value);
    }
  };
  status.set("observedGeneration", state.root()["metadata"]["generation"]);
  number("replicas", totals.replicas);
  number("updatedReplicas", totals.updated);
  number("readyReplicas", totals.ready);
  number("availableReplicas", totals.available);
  number("unavailableReplicas", std::max<int64_t>(0, totals.wanted - totals.available));
  status.set("terminatingReplicas", totals.terminating);
  bool enough = totals.available >= state.rolling.replicas - state.rolling.max_unavailable;
  set_condition(status, "Available", enough ? "True" : "False",
                enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                enough ? "Deployment has minimum availability."
                       : "Deployment does not have minimum availability.",
                context_.clock.now(), true);
  Requeue requeue = set_progress(state, status, before);
  json::Value failure;
  for (const Set& set : state.sets) {
    json::Value found = find_condition(set.status(), "ReplicaFailure");
    if (found && (!failure || (state.fresh && set.object == state.fresh->object))) failure = found;
  }
  if (failure) {
    set_condition(status, "ReplicaFailure", failure["status"].as_string(),
                  failure["reason"].as_string(), failure["message"].as_string(),
                  context_.clock.now(), true);
  } else {
    remove_condition(status, "ReplicaFailure");
  }
  json::Document after = draft.freeze();
  if (json::equal(after.root()["status"], before)) return requeue;
  TRY(ignore_not_found(context_.client.update(api::resource("deployments.apps"), state.object->ns(),
                                              state.object->name(), after.root(), "status")));
  return requeue;
}

// The Progressing condition; asks for a pass when the deadline would be over.
Requeue DeploymentController::set_progress(const State& state, json::Node status,
                                           json::Value before) {
  Time now = context_.clock.now();
  json::Value condition = find_condition(before, "Progressing");
  std::string_view reason = condition["reason"].as_string();
  json::Value deadline = state.spec()["progressDeadlineSeconds"];
  if (!deadline || deadline.as_int() >= INT32_MAX) {
    remove_condition(status, "Progressing");
    return Requeue::never();
  }
  if (state.spec()["paused"].as_bool()) {
    if (reason != "ProgressDeadlineExceeded") {
      set_condition(status, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused",
                    now, true);
    }
    return Requeue::never();
  }
  if (reason == "DeploymentPaused") {
    set_condition(status, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed",
                  now, true);
    return Requeue::after(std::chrono::seconds(1));
  }
  if (!state.fresh) {
    return Requeue::never();
  }
  std::string set = fmt::format("ReplicaSet \"{}\"", state.fresh->object->name());
  if (complete(state)) {
    // A finished roll-out stays finished: scaling later is no new one.
    if (reason != "NewReplicaSetAvailable" || condition["message"].as_string().find(set) != 0) {
      set_condition(status, "Progressing", "True", "NewReplicaSetAvailable",
                    set + " has successfully progressed.", now, true);
    }
    return Requeue::never();
  }
  Totals totals = totals_of(state);
  int64_t old_before = before["replicas"].as_int() - before["updatedReplicas"].as_int();
  int64_t old_now = totals.replicas - totals.updated;
  bool progressing = totals.updated > before["updatedReplicas"].as_int() || old_now < old_before ||
                     totals.ready > before["readyReplicas"].as_int() ||
                     totals.available > before["availableReplicas"].as_int();
  bool new_roll_out =
      reason == "NewReplicaSetAvailable" && condition["message"].as_string().find(set) != 0;
  if (!condition || new_roll_out) {
    set_condition(status, "Progressing", "True", "NewReplicaSetCreated",
                  fmt::format("Created new replica set \"{}\"", state.fresh->object->name()), now,
                  true);
    condition = {};
  }
  if (progressing) {
    // Every step starts the deadline anew, so lastUpdateTime moves although the text may stay.
    remove_condition(status, "Progressing");
    set_condition(status, "Progressing", "True", "ReplicaSetUpdated", set + " is progressing.", now,
                  true);
    if (condition["status"].as_string() == "True") {
      for (json::Node one : status["conditions"].items()) {
        if (one["type"].as_string() == "Progressing") {
          one.set("lastTransitionTime", condition["lastTransitionTime"]);
        }
      }
    }
    return Requeue::after(std::chrono::seconds(deadline.as_int() + 1));
  }
  if (!condition) return Requeue::after(std::chrono::seconds(deadline.as_int() + 1));
  if (reason == "ProgressDeadlineExceeded" || reason == "NewReplicaSetAvailable")
    return Requeue::never();
  std::optional<Time> since = parse_time(condition["lastUpdateTime"].as_string());
  Duration left = since.value_or(now) + std::chrono::seconds(deadline.as_int()) - now;
  if (left < Duration::zero()) {
    set_condition(status, "Progressing", "False", "ProgressDeadlineExceeded",
                  set + " has timed out progressing.", now, true);
    return Requeue::never();
  }
  return Requeue::after(left + std::chrono::seconds(1));
}

void set_keys(const Change& change, const Context& context, Keys& out) {
  owner_keys(change, "Deployment", out);
  if (!out.empty() || change.after == nullptr || change.after->deleting()) return;
  if (!controller_of(*change.after)) {
    selecting_keys(*change.after, context.lister("deployments.apps"), false, out);
  }
}

// Recreate waits for the last old pod; its going is the only pod event that matters here.
void pod_keys(const Change& change, const Context& context, Keys& out) {
  if (change.after != nullptr) return;
  std::optional<OwnerRef> owner = controller_of(*change.before);
  if (!owner || owner->kind != "ReplicaSet") return;
  ObjectPtr set = context.lister("replicasets.apps").find(change.before->ns(), owner->name);
  if (set == nullptr) return;
  std::optional<OwnerRef> deployment = controller_of(*set);
  if (deployment) out.push_back({std::string(set->ns()), deployment->name});
}

constexpr Watch kWatches[] = {{.resource = "deployments.apps"},
                              {.resource = "replicasets.apps", .map = &set_keys},
                              {.resource = "pods", .map = &pod_keys}};

}  // namespace

constinit const ControllerSpec kDeployment = {
    .name = "deployment-controller",
    .watches = kWatches,
    .make = &make<DeploymentController>,
    .workers = 2,
};

}  // namespace wherry::controller
