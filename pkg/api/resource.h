#pragma once
// Resource: a kind is one constant row. Routing, discovery, OpenAPI, validation, printing and
// storage read the row; verbs are generic code. Hooks are pure functions special to the kind. Any
// thread.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/field_error.h"
#include "api/object.h"
#include "api/schema.h"
#include "base/clock.h"
#include "json/json.h"

namespace wherry::api {

enum class Scope : uint8_t { kNamespaced, kCluster };

// A column of the kind's table. `priority` 1 shows with -o wide only. Name and Age are explicit
// columns, in upstream's order. The cell is a JSON value pushed onto `cells` (string, number or
// bool).
struct Column {
  std::string_view name;
  std::string_view type = "string";  // "string", "integer", "date", "boolean", "number".
  std::string_view format = {};      // "name" for the name column.
  std::string_view description = {};
  int priority = 0;
  void (*cell)(json::Value object, Time now, json::Node cells) = nullptr;
};

// A field usable in field selectors beside metadata.name and metadata.namespace.
struct SelectableField {
  std::string_view path;                               // "spec.nodeName".
  std::string (*value)(json::Value object) = nullptr;  // Null: the string (or bool) at `path`.
};

struct Resource;

// The part of an object that a subresource reads and writes.
struct Subresource {
  std::string_view name;  // "status", "scale", "binding", "log", "exec", ...
  std::string_view kind;  // Kind it answers with: "Pod", "Scale", "Binding", "PodExecOptions".
  std::string_view group = {}, version = {};     // When they differ from the resource's own.
  std::span<const std::string_view> verbs = {};  // "get", "patch", "update", "create".
  const Struct* schema = nullptr;                // Body type; null for the resource's own or none.
  const Resource* form = nullptr;                // For an object of another kind: that kind's row.
  bool in_status = false;  // It writes the status, or with `narrow` a part of it.
  // For one that writes only a part: leaves in `after` what may be changed through it, the rest as
  // it was; and the rules of such a change, beside those of the kind.
  void (*narrow)(json::Value before, json::Node after, Time now) = nullptr;
  void (*validate_update)(json::Value before, json::Value after, FieldErrors& errors) = nullptr;
  // Paths that a write through it makes nobody the owner of; null: "spec" where it writes the
  // status.
  std::span<const std::string_view> reset_fields = {};
};

struct QuotaRules;  // api/quota.h

// Which rules see a changed object first: those of the whole, as for most kinds; those of the
// change; or those of the change alone.
enum class UpdateRules : uint8_t { kWholeFirst, kChangeFirst, kChangeOnly };

// What a kind checks of a changed object's metadata itself. The machinery has checked all of it
// already, so upstream tells each fault once more for every check.
enum class MetaChecks : uint8_t { kNone, kChange, kChangeAndWhole };

struct Resource {
  std::string_view group;  // "" for core.
  std::string_view version;
  std::string_view kind;
  std::string_view plural;
  std::string_view singular;
  std::span<const std::string_view> short_names = {};
  std::span<const std::string_view> categories = {};
  Scope scope = Scope::kNamespaced;
  std::span<const std::string_view> verbs = {};  // Empty: the eight standard ones.
  const Struct* schema = nullptr;
  std::span<const Column> columns = {};  // Empty: Name and Created At/Age only.
  std::span<const Subresource> subresources = {};
  std::span<const SelectableField> selectable_fields = {};
  bool lazy = false;  // Events, Leases: live in memory, reach the disk late.
  bool graceful_delete =
      false;  // Pods: deletionTimestamp first, removed at the end of the grace period.
  bool status_subresource = false;  // status is written only through /status (and reset on create).
  bool status_on_create = false;    // Not reset on create after all: Nodes register with one.
  bool generation = false;  // metadata.generation counts changes outside metadata and status.
  bool unconditional_update = true;  // PUT without resourceVersion overwrites.
  bool create_on_update = false;     // PUT of what is not there creates it.
  bool delete_gives_object = false;  // A delete answers with the object, not with a Status.
  bool orphans = false;              // A delete that says nothing of dependents leaves them behind.
  std::string_view delete_warning = {};  // Said when one does.
  // Without labels of its own an object takes those of its pod template, then and later.
  bool labels_of_template = false;
  bool warns_of_updates = true;  // `warnings` are given for updates too.
  bool phases = false;  // Namespaces: spec has finalizers too, and a phase shows the end coming.
  UpdateRules update_rules = UpdateRules::kWholeFirst;
  MetaChecks meta_checks = MetaChecks::kChange;
  bool finalizer_names = true;  // A finalizer has to be a standard one or to have a domain.

  // Defaults that depend on other fields; runs after the schema's own defaults, on every write.
  void (*apply_defaults)(json::Node object) = nullptr;
  // Resets and fills what the server owns, before validation (create: status, phases, ...).
  void (*prepare_create)(json::Node object, Time now) = nullptr;
  void (*prepare_update)(json::Value before, json::Node after, Time now) = nullptr;
  void (*validate)(json::Value object, FieldErrors& errors) = nullptr;
  void (*validate_update)(json::Value before, json::Value after, FieldErrors& errors) = nullptr;
  void (*validate_status_update)(json::Value before, json::Value after,
                                 FieldErrors& errors) = nullptr;
  bool (*valid_name)(std::string_view name, std::string* why) = nullptr;  // Null: DNS subdomain.
  // Why no Go object could be made of a sound one, in upstream's words; empty: one can.
  std::string (*conversion_fault)(json::Value object) = nullptr;
  // Legacy Warning headers for what the object uses.
  std::vector<std::string> (*warnings)(json::Value object) = nullptr;
  // Conditions of the object's row in a Table ("conditions" of `row`): Pods that have ended.
  void (*row_conditions)(json::Value object, json::Node row) = nullptr;
  // Where the kind holds a pod template: "spec.template".
  std::string_view pod_template = {};
  // What a ResourceQuota can limit of the kind beside the number of its objects.
  const QuotaRules* quota = nullptr;
  // Paths that a main-resource write makes nobody the owner of; null: "status" if the kind has that
  // subresource.
  std::span<const std::string_view> reset_fields = {};
  // For a second served version of a kind: the row whose form is stored, and the conversions
  // between this row's form and that one (null: they are the same). Both rewrite the object in
  // place, all but its apiVersion (conversion.h).
  const Resource* stored_as = nullptr;
  void (*to_stored)(json::Node object) = nullptr;
  void (*from_stored)(json::Node object) = nullptr;

  std::string group_resource()
      const {  // "pods", "deployments.apps": the store's and messages' name.
    return group.empty() ? std::string(plural) : std::string(plural) + "." + std::string(group);
  }
  std::string api_version() const {
    return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
  }
  bool namespaced() const { return scope == Scope::kNamespaced; }
  const Subresource* subresource(std::string_view name) const;
};

// Every built-in row, in discovery order; the readable list stands in table.cc.
std::span<const Resource* const> resources();
// Null when there is none. `resource` is the plural.
const Resource* find_resource(std::string_view group, std::string_view version,
                              std::string_view resource);
const Resource* find_kind(std::string_view group, std::string_view version, std::string_view kind);
// By "pods" or "deployments.apps", any version. CHECKs that it exists: for our own constants.
const Resource& resource(std::string_view group_resource);

}  // namespace wherry::api
