#pragma once
// What a request asks of the machinery, whichever way it came: over HTTP or from a controller in
// this process. Plain values; no threads.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/decode.h"
#include "api/object.h"
#include "api/resource.h"
#include "api/selector.h"
#include "base/result.h"
#include "store/store.h"

namespace wherry::apiserver {

using api::ObjectPtr;
using api::Resource;
using api::Revision;

// Who asks. Groups hold "system:authenticated" for everybody that proved who they are.
struct User {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  std::vector<std::pair<std::string, std::vector<std::string>>> extra;

  bool in_group(std::string_view group) const;
};

// As the UserInfo of authentication.k8s.io/v1.
void put_user(json::Node node, const User& user);

inline constexpr std::string_view kAnonymous = "system:anonymous";
inline constexpr std::string_view kMasters = "system:masters";

// What the audit log says of a request beside what it sees itself. The first word on a matter
// stays, so that who is asked again when a race was lost may say it again.
class AuditNotes {
 public:
  using Note = std::pair<std::string, std::string>;

  void add(std::string_view about, std::string text);
  const std::vector<Note>& all() const { return notes_; }

 private:
  std::vector<Note> notes_;
};

// One request's surroundings. Belongs to the thread that serves the request.
struct Context {
  User user;
  std::string user_agent;             // Names the field manager when the request does not.
  std::vector<std::string> warnings;  // Sent back as Warning headers.
  AuditNotes* notes = nullptr;        // Null: the request is not audited.
  // While a verb goes on: the object as it was sent, when that holds empty lists or maps; and what
  // a patch made, where that is the object that was sent.
  json::Value sent = {};
  json::Document merged = {};
  // Set by who can come back for it: a write that needs nothing more than the store may be handed
  // over with this and end at once (Written::pending). An outcome that is a race leaves nothing
  // behind: the caller begins anew, without this.
  store::Store::Done later = nullptr;
};

// The object, or with an empty name the collection, that a request is about.
struct Target {
  const Resource* resource = nullptr;
  std::string ns;
  std::string name;
  std::string subresource;
};

using api::FieldValidation;
enum class PatchType { kJson, kMerge, kStrategic, kApply };

struct WriteOptions {
  bool dry_run = false;
  bool force = false;
  bool may_create = false;  // An update may make what is not there, where the kind allows it.
  bool must_exist = false;  // An apply does not make what is not there.
  FieldValidation field_validation = FieldValidation::kWarn;
  std::string field_manager;
  std::vector<std::string> repeated = {};  // What is to be said of keys that stand twice in YAML.
};

// Which objects of a collection are wanted.
struct Filter {
  api::Selector labels;
  std::vector<api::FieldRequirement> fields;

  bool everything() const { return labels.everything() && fields.empty(); }
  bool matches(const Resource& resource, const api::Object& object) const;
};

// Parses both selectors; kBadRequest for a field that `resource` cannot select by.
Result<Filter> parse_filter(const Resource& resource, std::string_view labels,
                            std::string_view fields);

struct ListOptions {
  Filter filter;
  int64_t limit = 0;
  std::string continue_token;
  std::string resource_version;
  std::string resource_version_match;
};

struct ListResult {
  Revision revision = 0;
  std::vector<ObjectPtr> items;
  std::string continue_token;
  std::optional<int64_t> remaining;
};

struct DeleteOptions {
  bool dry_run = false;
  std::optional<std::string> uid;               // Precondition.
  std::optional<std::string> resource_version;  // Precondition.
  std::optional<int64_t> grace_period_seconds;
  std::string propagation_policy;  // "", "Background", "Foreground", "Orphan".
  std::optional<bool> orphan_dependents;
};

// What a write left behind.
struct Written {
  ObjectPtr object;
  bool created = false;
  bool pending = false;  // The object is what Context::later will hear of.
};

struct Deleted {
  ObjectPtr object;      // As it is now, or as it was last.
  bool removed = false;  // False: it waits for its grace period or its finalizers.
};

}  // namespace wherry::apiserver
