#pragma once
// Store: current state in SQLite, history in memory (see docs/design.md, section 4).
//
// One global revision counts every write. One writer thread owns the one writing connection;
// requests queue to it, it commits all that wait in one transaction and one fsync, then publishes
// the events in commit order and answers. Reads and lists are served from ordered,
// structure-sharing maps in memory: a Snapshot is a consistent view that costs nothing to hold. Any
// thread may call anything.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/clock.h"
#include "base/result.h"
#include "store/value_codec.h"

namespace wherry::store {

using api::ObjectPtr;
using api::Revision;

enum class EventType { kAdded, kModified, kDeleted };

// One committed change. For kDeleted `object` is the last state stamped with the deletion's own
// revision.
struct Event {
  EventType type;
  Revision revision;
  std::string_view resource;  // "pods", "deployments.apps"; lives as long as the store.
  ObjectPtr object;
  ObjectPtr previous;  // Null for kAdded.
};
using EventPtr = std::shared_ptr<const Event>;

// Receives events in commit order on the store's publishing thread, before the commit that made
// them returns to its caller. Must not block and must not call back into the Store's write side.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void on_events(std::span<const EventPtr> events) = 0;
};

// Ends the watch when destroyed; after that on_events is not running and is not called again.
class Subscription {
 public:
  virtual ~Subscription() = default;
};

// One change of a transaction. The whole transaction fails, and nothing is written, when one
// condition does not hold: kAlreadyExists, kNotFound or kConflict, whose details() name the object
// by its resource (in kind) and name.
struct Write {
  std::string resource;
  std::string ns;  // Empty for cluster scope.
  std::string name;
  std::optional<api::Unstamped> value;  // Empty: delete.
  // What must be there now: 0 nothing, kAny some object, otherwise exactly that revision.
  static constexpr Revision kAny = -1;
  Revision expected = 0;
};

// A consistent view of one resource at one revision: ordered by (namespace, name). Cheap to copy.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  virtual Revision revision() const = 0;
  virtual size_t size() const = 0;
  virtual ObjectPtr find(std::string_view ns, std::string_view name) const = 0;
  // Calls visit for each object of `ns` (all namespaces when empty) that comes after (after_ns,
  // after_name) in order, until it returns false.
  virtual void scan(std::string_view ns, std::string_view after_ns, std::string_view after_name,
                    const std::function<bool(const ObjectPtr&)>& visit) const = 0;
  // Number of objects of `ns` after that position: for remainingItemCount.
  virtual size_t count_after(std::string_view ns, std::string_view after_ns,
                             std::string_view after_name) const = 0;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

struct Options {
  std::string path;                // The database file; its folder exists.
  std::vector<std::string> lazy;   // Resources that live in memory and reach the disk late.
  std::vector<std::string> coded;  // Resources whose values go through `codec` to the disk.
  std::shared_ptr<const ValueCodec> codec;  // Null: none is coded.
  std::chrono::seconds history{300};        // Short log and in-memory events are kept this long ...
  size_t history_events_max = 20'000;       // ... or this many, or this many bytes of objects.
  size_t history_bytes_max = 32U << 20;
  std::chrono::seconds lazy_flush{300};
  std::string vfs;  // SQLite VFS; empty for the usual one. Tests inject disk faults here.
};

struct Metrics {
  uint64_t commits = 0, writes = 0, disk_bytes = 0, events = 0, objects = 0;
  uint64_t wal_bytes = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // All or nothing, durable when it returns. The objects as stored, in the order of `writes` (for a
  // delete the last state, stamped with the deletion's revision). kStorageFull when the disk is
  // full, kUnavailable after a commit with unknown outcome until the store has re-read itself.
  virtual Result<std::vector<ObjectPtr>> commit(std::vector<Write> writes) = 0;

  // The same without waiting: `done` hears of the outcome, in any case and once, on the store's own
  // thread, which it must not hold up, and after all watchers have heard of the events.
  using Done = std::function<void(Result<std::vector<ObjectPtr>>)>;
  virtual void commit_later(std::vector<Write> writes, Done done) = 0;

  virtual Revision revision() const = 0;  // Of the newest published commit.
  virtual ObjectPtr get(std::string_view resource, std::string_view ns,
                        std::string_view name) const = 0;
  virtual SnapshotPtr snapshot(std::string_view resource) const = 0;
  // The view as it was at `revision`; kExpired when that is older than the history kept.
  virtual Result<SnapshotPtr> snapshot_at(std::string_view resource, Revision revision) const = 0;

  // Events of `resource` (all resources when empty) after `after`, first those that happened
  // already, then new ones, without gap or repetition. kExpired when `after` is older than the
  // history kept.
  virtual Result<std::unique_ptr<Subscription>> watch(std::string_view resource, Revision after,
                                                      Watcher& watcher) = 0;
  // The oldest revision a watch can still start from.
  virtual Revision oldest_revision() const = 0;

  virtual Metrics metrics() const = 0;
  // Writes what is held back (Leases, Events) to disk: at shutdown and in tests.
  virtual Result<void> flush() = 0;

  // Whether values were read at the start that Options::codec would write in another manner.
  virtual bool has_stale_values() const = 0;
  // From now on `codec` writes; all coded values, those in the log too, are written anew in one
  // transaction, and no trace of the former bytes stays in the file. After an error the former
  // codec goes on and nothing has changed.
  virtual Result<void> recode(std::shared_ptr<const ValueCodec> codec) = 0;
};

// Opens or creates the database and reads all of it. `clock` outlives the store.
Result<std::unique_ptr<Store>> open(Options options, const Clock& clock);

}  // namespace wherry::store
