// delete and deletecollection: preconditions, grace periods, finalizers, propagation.

#include <algorithm>

#include "api/conversion.h"
#include "api/status.h"
#include "apiserver/bookkeeping.h"
#include "apiserver/machinery.h"

namespace wherry::apiserver {
namespace {

constexpr int kDeleteTries = 8;
constexpr std::string_view kOrphan = "orphan";
constexpr std::string_view kForeground = "foregroundDeletion";
constexpr int64_t kDefaultPodGrace = 30;

Result<void> check_options(const DeleteOptions& options) {
  api::FieldErrors errors;
  const std::string& policy = options.propagation_policy;
  if (options.orphan_dependents && !policy.empty()) {
    errors.invalid(api::Path("propagationPolicy"), policy,
                   "orphanDependents and deletionPropagation cannot be both set");
  }
  if (!policy.empty() && policy != "Background" && policy != "Foreground" && policy != "Orphan") {
    static constexpr std::string_view kKnown[] = {"Foreground", "Background", "Orphan", "nil"};
    errors.not_supported(api::Path("propagationPolicy"), policy, kKnown);
  }
  if (!errors.empty()) return errors.to_error("meta.k8s.io", "DeleteOptions", "");
  return {};
}

void set_finalizer(json::Node meta, std::string_view name, bool wanted) {
  std::vector<json::Node> items = meta["finalizers"].items();
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].as_string() != name) continue;
    if (!wanted) {
      meta["finalizers"].remove_at(i);
      if (meta["finalizers"].empty()) meta.remove("finalizers");
    }
    return;
  }
  if (wanted) meta.ensure_array("finalizers").push(name);
}

bool says_what_follows(const DeleteOptions& options) {
  return !options.propagation_policy.empty() || options.orphan_dependents.has_value();
}

// What becomes of dependents is carried by finalizers that the garbage collector acts on. Without a
// wish of the client the finalizers that are there stay, and count for more than the kind's habit.
void set_propagation(const Resource& resource, json::Node meta, const DeleteOptions& options) {
  bool orphan = options.propagation_policy == "Orphan" || options.orphan_dependents.value_or(false);
  bool foreground = options.propagation_policy == "Foreground";
  if (!says_what_follows(options)) {
    for (json::Node name : meta["finalizers"].items()) {
      if (name.as_string() == kOrphan || name.as_string() == kForeground) return;
    }
    if (!resource.orphans) return;
    orphan = true;
  }
  set_finalizer(meta, kOrphan, orphan);
  set_finalizer(meta, kForeground, foreground);
}

// How long a Pod is given. Nobody waits for one that no node runs, or that has ended.
int64_t grace_of(json::Value pod, const DeleteOptions& options) {
  std::string_view phase = pod["status"]["phase"].as_string();
  if (pod["spec"]["nodeName"].as_string().empty()) return 0;
  if (phase == "Succeeded" || phase == "Failed") return 0;
  if (options.grace_period_seconds) {
    // A negative period means the shortest that is not "at once".
    return *options.grace_period_seconds < 0 ? 1 : *options.grace_period_seconds;
  }
  return pod["spec"]["terminationGracePeriodSeconds"].as_int(kDefaultPodGrace);
}

void bump_generation(json::Node meta) {
  int64_t generation = meta["generation"].as_int();
  if (generation > 0) meta.set("generation", generation + 1);
}

// Upstream checks these in another place, and in other words.
Result<void> check_phased(const Target& target, const api::Object& live,
                          const DeleteOptions& options) {
  const std::string resource = target.resource->group_resource();
  if (options.uid && *options.uid != live.uid())
    return api::precondition_failed(resource, target.name, "UID", *options.uid, live.uid());
  const std::string version = std::to_string(live.revision());
  if (options.resource_version && *options.resource_version != version) {
    return api::precondition_failed(resource, target.name, "ResourceVersion",
                                    *options.resource_version, version);
  }
  return {};
}

}  // namespace

Result<void> check_preconditions(const Target& target, const api::Object& live,
                                 const DeleteOptions& options) {
  if (target.resource->phases) return check_phased(target, live, options);
  // Upstream names the kind here, not the resource.
  std::string kind(target.resource->kind);
  if (!target.resource->group.empty()) kind += fmt::format(".{}", target.resource->group);
  if (options.uid && *options.uid != live.uid()) {
    return api::conflict(
        kind, target.name,
        fmt::format("the UID in the precondition ({}) does not match the UID in record "
                    "({}). The object might have been deleted and then recreated",
                    *options.uid, live.uid()));
  }
  std::string version = std::to_string(live.revision());
  if (options.resource_version && *options.resource_version != version) {
    return api::conflict(
        kind, target.name,
        fmt::format("the ResourceVersion in the precondition ({}) does not match the "
                    "ResourceVersion in record ({}). The object might have been "
                    "modified",
                    *options.resource_version, version));
  }
  return {};
}

Result<Deleted> Machinery::remove(Context& context, const Target& target,
                                  const DeleteOptions& options) {
  TRY(check_options(options));
  const Resource& stored = api::stored_rules(*target.resource);
  const Target stored_target{&stored, target.ns, target.name, target.subresource};
  AdmissionRequest request{Operation::kDelete, stored_target, context.user,
                           context.warnings,   context.notes, options.dry_run};
  TRY(mutate(request));
  if (!says_what_follows(options) && !stored.delete_warning.empty())
    context.warnings.emplace_back(stored.delete_warning);
  const std::string resource = target.resource->group_resource();
  ObjectPtr marked;
  for (int attempt = 1;; ++attempt) {
    ObjectPtr live = store_.get(stored.group_resource(), target.ns, target.name);
    // Its node was quicker to take it away after the mark than this request.
    bool ours_is_gone = marked != nullptr && (live == nullptr || live->uid() != marked->uid());
    if (ours_is_gone) return Deleted{marked, true};
    if (live == nullptr) return api::not_found(resource, target.name);
    if (marked == nullptr) {
      TRY(check_preconditions(target, *live, options));
      json::Document document = live->document();
      request.before = document.root();
      Companions none;
      TRY(validate(request, none));
      request.before = json::Value();
      CHECK(none.writes.empty());  // Nothing goes with a delete.
    }
    Result<Deleted> deleted = remove_once(target, live, options, marked);
    bool lost_race = marked != nullptr && !deleted.ok() && deleted.error().is(Code::kNotFound);
    if (lost_race) return Deleted{marked, true};
    if (deleted.ok() || !deleted.error().is(Code::kConflict) || attempt >= kDeleteTries) {
      return deleted;
    }
  }
}

Result<Deleted> Machinery::remove_once(const Target& target, const ObjectPtr& live,
                                       const DeleteOptions& options, ObjectPtr& marked) {
  json::Document document = live->document();
  json::Value before = document.root();
  json::Draft object(before);
  json::Node meta = object.root()["metadata"];
  set_propagation(api::stored_rules(*target.resource), meta, options);

  const bool graceful = target.resource->graceful_delete;
  // Namespaces have a second list of finalizers, and a phase that shows that they are going.
  const bool phases = target.resource->phases;
  const bool held = !object.root()["spec"]["finalizers"].empty() || !meta["finalizers"].empty();
  int64_t grace = graceful ? grace_of(before, options) : 0;
  if (live->deleting() && graceful && !options.grace_period_seconds && grace != 0) {
    grace =
        meta["deletionGracePeriodSeconds"].as_int();  // A second delete may only shorten the wait.
  }
  const bool first = !live->deleting();
  if (first || grace < meta["deletionGracePeriodSeconds"].as_int()) {
    meta.set("deletionTimestamp", format_time(clock_.now() + std::chrono::seconds(grace)));
    if (!phases) meta.set("deletionGracePeriodSeconds", grace);
    if (first) bump_generation(meta);
  }
  if (first && phases) object.root().ensure_object("status").set("phase", "Terminating");
  if (grace == 0 && !held && (!first || !graceful)) {
    Deleted deleted = TRY(gone(target, live, before, options));
    // The answer shows the mark, though nobody will find it in the store.
    put_in_order(api::stored_rules(*target.resource).schema, object);
    if (graceful || phases) deleted.object = TRY(loose_object(object, deleted.object->revision()));
    return deleted;
  }
  put_in_order(api::stored_rules(*target.resource).schema, object);
  json::Document after = object.freeze();
  if (json::equal(before, after.root())) return Deleted{live, false};
  if (options.dry_run) return Deleted{TRY(loose_object(object, live->revision())), false};
  ObjectPtr now = TRY(commit(target, after.root(), live->revision()));
  if (!graceful || held || grace != 0) return Deleted{now, false};
  // Watchers of Pods see the mark before the end, whoever is in a hurry.
  marked = now;
  return gone(target, now, before, options);
}

Result<Deleted> Machinery::gone(const Target& target, const ObjectPtr& live, json::Value before,
                                const DeleteOptions& options) {
  if (options.dry_run) return Deleted{live, true};
  ObjectPtr last = TRY(commit(target, json::Value(), live->revision()));
  allocator_.release(*target.resource, before);
  return Deleted{last, true};
}

Result<ListResult> Machinery::remove_collection(Context& context, const Target& target,
                                                const ListOptions& which,
                                                const DeleteOptions& options) {
  ListResult found = TRY(list(target, which));
  for (const ObjectPtr& object : found.items) {
    Target one{target.resource, std::string(object->ns()), std::string(object->name()), {}};
    DeleteOptions mine = options;
    if (!mine.uid) mine.uid = std::string(object->uid());
    Result<Deleted> deleted = remove(context, one, mine);
    if (deleted.ok()) continue;
    // Somebody else was faster, or made it anew under the same name.
    bool asked = options.uid || options.resource_version;
    bool raced = deleted.error().is(Code::kConflict) && !asked;
    if (deleted.error().is(Code::kNotFound) || raced) continue;
    return std::move(deleted).error();
  }
  return found;
}

}  // namespace wherry::apiserver
