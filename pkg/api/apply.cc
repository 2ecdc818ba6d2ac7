#include "api/apply.h"

#include <algorithm>
#include <map>

#include "api/decode.h"
#include "api/managed_fields.h"
#include "api/status.h"
#include "api/typed.h"
#include "base/mutex.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr std::string_view kBeforeFirstApply = "before-first-apply";

std::vector<std::vector<std::string_view>> reset_paths(const ApplyOptions& options) {
  std::vector<std::vector<std::string_view>> out;
  for (std::string_view path : options.reset_fields) out.push_back(split(path, '.'));
  return out;
}

void drop_path(json::Node at, std::span<const std::string_view> path) {
  if (path.size() == 1) {
    at.remove(path[0]);
  } else if (json::Node below = at[path[0]]) {
    drop_path(below, path.subspan(1));
  }
}

// A new object before anything is said about it, as Go holds it: parts that are not pointers are
// there.
json::Document zero_object(const Struct* schema) {
  static Mutex mutex;
  static std::map<const Struct*, json::Document> known;
  MutexLock lock(mutex);
  json::Document& zero = known[schema];
  if (zero) return zero;
  zero = json::Draft().freeze();
  if (schema == nullptr) return zero;
  Result<json::Draft> decoded = decode(*schema, zero.root());
  if (decoded.ok()) zero = decoded->freeze();
  return zero;
}

Manager self_of(const ApplyOptions& options, std::string_view operation) {
  Manager out;
  out.name = options.manager;
  out.operation = operation;
  out.api_version = options.api_version;
  out.subresource = options.subresource;
  return out;
}

// What changed between two objects, as the managers of each version see it.
class VersionedChanges {
 public:
  VersionedChanges(const Struct* schema, json::Value before, json::Value after,
                   const ApplyOptions& options)
      : before_(before), after_(after), options_(options) {
    own_ = &(by_version_[options.api_version] = compared(schema, before, after));
  }

  const Changes& own() const { return *own_; }
  // Null when the kind is not known in that version.
  const Changes* of(const Manager& manager) {
    if (options_.in_version == nullptr) return own_;
    auto found = by_version_.find(manager.api_version);
    if (found != by_version_.end()) return &found->second;
    std::optional<Versioned> before = options_.in_version(manager.api_version, before_);
    std::optional<Versioned> after = options_.in_version(manager.api_version, after_);
    if (!before || !after) return nullptr;
    Changes changes = compared(after->schema, before->object.root(), after->object.root());
    return &by_version_.emplace(manager.api_version, std::move(changes)).first->second;
  }
  // Takes what others changed from everybody but `self`, and what is gone from all.
  void take_from(ManagedFields& managed, const Manager* self) {
    std::erase_if(managed.managers(), [&](Manager& manager) {
      const Changes* changes = of(manager);
      if (changes == nullptr) return true;
      if (self == nullptr || !manager.same_holder(*self)) manager.fields.subtract(changes->changed);
      manager.fields.subtract(changes->removed);
      return false;
    });
  }

 private:
  Changes compared(const Struct* schema, json::Value before, json::Value after) const {
    Changes changes = compare(Shape::of_object(schema), before, after);
    for (const auto& path : reset_paths(options_)) {
      changes.changed.erase(path);
      changes.removed.erase(path);
    }
    for (std::string_view field :
         {std::string_view("managedFields"), std::string_view("resourceVersion")}) {
      const std::string_view path[] = {"metadata", field};
      changes.changed.erase(path);
      changes.removed.erase(path);
    }
    return changes;
  }

  const json::Value before_, after_;
  const ApplyOptions& options_;
  std::map<std::string, Changes, std::less<>> by_version_;
  const Changes* own_;
};

struct Conflict {
  const Manager* manager;
  std::vector<std::string> paths;
};

std::vector<Conflict> conflicts_with(const ManagedFields& managed, const Manager& self,
                                     VersionedChanges& changes) {
  std::vector<Conflict> out;
  for (const Manager& manager : managed.managers()) {
    const Changes* seen = manager.same_holder(self) ? nullptr : changes.of(manager);
    if (seen == nullptr) continue;
    std::vector<std::string> paths = manager.fields.intersection(seen->changed).paths();
    if (!paths.empty()) out.push_back({&manager, std::move(paths)});
  }
  std::sort(out.begin(), out.end(), [](const Conflict& a, const Conflict& b) {
    return a.manager->text() < b.manager->text();
  });
  return out;
}

// One conflict stands in the first line, several in a list by manager.
Error conflict_error(const std::vector<Conflict>& conflicts) {
  size_t count = 0;
  std::string list;
  std::vector<Cause> causes;
  for (const Conflict& conflict : conflicts) {
    count += conflict.paths.size();
    list += "\nconflicts with " + conflict.manager->text() + ":";
    for (const std::string& path : conflict.paths) {
      list += "\n- " + path;
      causes.push_back({"FieldManagerConflict", "conflict with " + conflict.manager->text(), path});
    }
  }
  std::string message;
  if (count == 1) {
    message = fmt::format("Apply failed with 1 conflict: conflict with {}: {}",
                          conflicts[0].manager->text(), conflicts[0].paths[0]);
  } else {
    message = fmt::format("Apply failed with {} conflicts: {}", count, list.substr(1));
  }
  Error error(Code::kConflict, std::move(message));
  error.details().causes = std::move(causes);
  return error;
}

// What kubectl wrote with client-side apply it may take over by server-side apply without a fight.
bool all_from_last_applied(const Struct* schema, json::Value live,
                           const std::vector<Conflict>& conflicts) {
  std::string_view text = live["metadata"]["annotations"][kLastApplied].as_string();
  Result<json::Document> config = json::Document::parse(text);
  if (text.empty() || !config.ok()) return false;
  std::vector<std::string> known = fields_stated(Shape::of_object(schema), config->root()).paths();
  for (const Conflict& conflict : conflicts) {
    for (const std::string& path : conflict.paths) {
      if (std::find(known.begin(), known.end(), path) == known.end()) return false;
    }
  }
  return true;
}

// An object that nobody applied before: all it holds is one manager's, from before our time.
void adopt_unmanaged(const Struct* schema, json::Value live, const ApplyOptions& options,
                     ManagedFields& managed) {
  json::Document zero = zero_object(schema);
  Manager before;
  before.name = kBeforeFirstApply;
  before.operation = "Update";
  before.api_version = options.api_version;
  before.time = format_time(options.now);
  before.fields = compare(Shape::of_object(schema), zero.root(), live).changed;
  for (const auto& path : reset_paths(options)) before.fields.erase(path);
  managed.managers().push_back(std::move(before));
  managed.tidy();
}

Error typed_error(json::Value applied, Error cause) {
  json::Value meta = applied["metadata"];
  std::string api_version(applied["apiVersion"].as_string());
  // Shown as group and version, of which the core group's name is empty.
  if (api_version.find('/') == std::string::npos) api_version = "/" + api_version;
  return Error::internal("failed to create typed patch object ({}/{}; {}, Kind={}): {}",
                         meta["namespace"].as_string(), meta["name"].as_string(), api_version,
                         applied["kind"].as_string(), cause.message());
}

// As Go writes a map.
void sort_members(json::Node node) {
  for (json::Node item : node.items()) sort_members(item);
  if (!node.is_object()) return;
  std::map<std::string, json::Node, std::less<>> sorted;
  for (const auto& [key, value] : node.members()) {
    sort_members(value);
    sorted.emplace(key, value);
  }
  json::Draft out;
  for (const auto& [key, value] : sorted) out.root().add(key, json::Draft(value).freeze().root());
  node.assign(out.root());
}

// Keeps the annotation of client-side apply in step, so that old kubectl can go on.
void renew_last_applied(json::Value live, json::Value applied, json::Node merged) {
  if (!live["metadata"]["annotations"][kLastApplied]) return;
  json::Draft sorted(applied);
  sort_members(sorted.root());
  merged.ensure_object("metadata")
      .ensure_object("annotations")
      .set(kLastApplied, sorted.dump() + "\n");
}

}  // namespace

Result<json::Draft> apply(const Struct* schema, json::Value live, json::Value applied,
                          const ApplyOptions& options) {
  json::Value managed_sent = applied["metadata"]["managedFields"];
  if (managed_sent && !managed_sent.is_null()) {
    return Error::bad_request("metadata.managedFields must be nil");
  }
  Shape shape = Shape::of_object(schema);
  Result<void> fits = check_typed(shape, applied);
  if (!fits.ok()) return typed_error(applied, fits.error());

  // What a write resets is not taken over from it; a new object has nothing to be reset to.
  json::Draft config_draft(applied);
  if (live) {
    for (const auto& path : reset_paths(options)) drop_path(config_draft.root(), path);
  }
  json::Document config = config_draft.freeze();

  ManagedFields managed = ManagedFields::parse(live["metadata"]["managedFields"]);
  if (live && managed.empty()) adopt_unmanaged(schema, live, options, managed);

  json::Draft base = live ? json::Draft(live) : json::Draft();
  base.root()["metadata"].remove("managedFields");
  json::Document before = base.freeze();
  json::Draft merged(before.root());
  merge_applied(shape, merged.root(), config.root());

  std::erase_if(managed.managers(), [&](const Manager& manager) {
    bool foreign = options.in_version != nullptr && manager.api_version != options.api_version;
    return foreign && !options.in_version(manager.api_version, before.root());
  });
  Manager self = self_of(options, "Apply");
  FieldSet stated = fields_stated(shape, config.root());
  for (const auto& path : reset_paths(options)) stated.erase(path);
  FieldSet last;
  if (Manager* earlier = managed.find(self)) last = earlier->fields;
  FieldSet owned = stated;
  for (const Manager& manager : managed.managers()) {
    if (!manager.same_holder(self)) owned.add(manager.fields);
  }
  remove_unowned(shape, merged.root(), last, owned);
  if (options.normalise != nullptr) options.normalise(options.normalise_context, merged.root());

  json::Document after = merged.freeze();
  // A new object is nobody's yet: there is nothing to compare with.
  VersionedChanges changes(schema, live ? before.root() : after.root(), after.root(), options);
  bool changed = !live || !compare(shape, before.root(), after.root()).empty();
  std::vector<Conflict> conflicts = conflicts_with(managed, self, changes);
  if (!conflicts.empty() && !options.force) {
    bool kubectl = options.manager == "kubectl";
    if (!kubectl || !all_from_last_applied(schema, live, conflicts))
      return conflict_error(conflicts);
  }
  changes.take_from(managed, &self);
  if (managed.find(self) == nullptr) managed.managers().push_back(self);
  Manager* mine = managed.find(self);
  mine->fields = std::move(stated);
  mine->api_version = options.api_version;
  if (changed) mine->time = format_time(options.now);
  managed.tidy();
  if (options.manager == "kubectl" && options.subresource.empty()) {
    renew_last_applied(live, applied, merged.root());
  }
  managed.write(merged.root().ensure_object("metadata"));
  return merged;
}

void track_update(const Struct* schema, json::Value live, json::Node updated,
                  const ApplyOptions& options) {
  json::Document sent_document = updated.freeze();
  json::Value sent_entries = sent_document.root()["metadata"]["managedFields"];
  ManagedFields managed;
  bool reset = options.subresource.empty() && ManagedFields::is_reset(sent_entries);
  // Whoever asks to forget all managers asks not to become one.
  if (reset && live) {
    updated["metadata"].remove("managedFields");
    return;
  }
  if (!reset) {
    if (options.subresource.empty()) managed = ManagedFields::parse(sent_entries);
    // Clients that know nothing of managed fields must not lose them by leaving them out.
    if (managed.empty()) managed = ManagedFields::parse(live["metadata"]["managedFields"]);
  }

  json::Document zero;
  json::Value before = live;
  if (!live) {
    zero = zero_object(schema);
    before = zero.root();
  }
  VersionedChanges changes(schema, before, sent_document.root(), options);
  changes.take_from(managed, nullptr);
  Manager self = self_of(options, "Update");
  self.time = format_time(options.now);
  self.fields = changes.own().changed;
  ManagedFields mine;
  mine.managers().push_back(self);
  mine.tidy();
  if (!mine.empty()) {
    if (Manager* earlier = managed.find(self)) {
      earlier->fields.add(mine.managers()[0].fields);
      earlier->time = self.time;
    } else {
      managed.managers().push_back(std::move(mine.managers()[0]));
    }
  }
  managed.tidy();
  managed.write(updated.ensure_object("metadata"));
}

namespace {

// managedFields without the times, to see whether anything else differs.
json::Draft without_times(json::Value object) {
  json::Draft out(object);
  for (json::Node entry : out.root()["metadata"]["managedFields"].items()) entry.remove("time");
  return out;
}

}  // namespace

void keep_times_if_unchanged(json::Value live, json::Node updated) {
  json::Document document = updated.freeze();
  if (!json::equal(without_times(live).root(), without_times(document.root()).root())) return;
  updated["metadata"].set("managedFields", live["metadata"]["managedFields"]);
}

json::Draft fields_of(const Struct* schema, json::Value object) {
  ManagedFields managed;
  Manager manager;
  manager.operation = "Apply";
  manager.fields = fields_stated(Shape::of_object(schema), object);
  managed.managers().push_back(std::move(manager));
  managed.tidy();
  json::Draft out;
  if (!managed.empty()) managed.managers()[0].fields.write(out.root());
  return out;
}

std::string manager_from_user_agent(std::string_view user_agent) {
  constexpr size_t kBytesMax = 128;
  std::string_view name = user_agent.substr(0, user_agent.find('/'));
  return std::string(name.substr(0, kBytesMax));
}

}  // namespace wherry::api
