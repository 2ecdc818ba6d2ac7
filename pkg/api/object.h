#pragma once
// Object: an immutable API object as the compact JSON bytes that the store writes, the watch feed
// sends and GET returns, plus what indexes need. The parsed form is made when someone asks (2 us
// for 5 KB) and shared while held. Any thread.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

class Object;
using ObjectPtr = std::shared_ptr<const Object>;
using Revision = int64_t;  // One global counter over all writes; every object's resourceVersion.

// Where in an object's bytes stands what indexes need.
struct Places {
  struct Span {
    uint32_t at = 0;
    uint32_t size = 0;
  };
  Span api_version, kind, name, ns, uid;
  std::vector<std::pair<Span, Span>> labels;
  bool deleting = false;
  bool owned = false;
};

// An object ready to be stored, with a hole where metadata.resourceVersion goes; the store fills
// the hole at commit, since only then the revision is known.
struct Unstamped {
  std::string json;       // Compact, with "resourceVersion":"" in metadata.
  size_t version_at = 0;  // Byte offset of the hole, between the quotes.
  Places places;          // In `json`; of these only labels stand behind the hole.
};

// Serialises `object` (kind, apiVersion, metadata first; whatever resourceVersion it has is
// dropped). kInvalid when it has no metadata object.
Result<Unstamped> unstamped(json::Value object);

class Object {
 public:
  struct Label {
    std::string_view key;
    std::string_view value;
  };

  // From bytes that hold their resourceVersion already (read from disk or a peer).
  static Result<ObjectPtr> parse(std::string json);
  static ObjectPtr stamp(Unstamped object, Revision revision);
  // The same object at another revision. `object` has been stamped.
  static ObjectPtr restamp(const Object& object, Revision revision);

  const std::string& json() const { return json_; }
  std::string_view api_version() const { return view(places_.api_version); }
  std::string_view kind() const { return view(places_.kind); }
  std::string_view name() const { return view(places_.name); }
  std::string_view ns() const { return view(places_.ns); }  // Namespace; empty for cluster scope.
  std::string_view uid() const { return view(places_.uid); }
  Revision revision() const { return revision_; }
  bool deleting() const { return places_.deleting; }  // metadata.deletionTimestamp is set.
  bool owned() const { return places_.owned; }        // metadata.ownerReferences is not empty.
  std::vector<Label> labels() const;
  std::string_view label(std::string_view key) const;  // Empty when absent.

  // The parsed document; cached while anybody holds one.
  json::Document document() const EXCLUDES(mutex_);

 private:
  Object() = default;
  std::string_view view(Places::Span span) const {
    return std::string_view(json_).substr(span.at, span.size);
  }
  Result<void> index(json::Value root);

  std::string json_;
  Places places_;
  Revision revision_ = 0;

  mutable Mutex mutex_;
  mutable json::WeakDocument parsed_ GUARDED_BY(mutex_);
};

}  // namespace wherry::api
