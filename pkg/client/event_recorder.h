#pragma once
// EventRecorder: writes core/v1 Events about objects, as upstream's recorder does: a repetition
// counts up the Event that is there, and an object that causes a storm is quietened (25 at once,
// then one in five minutes). Failures to write are logged, never returned: an event must not stop
// the work it reports.
//
// Any thread.

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "api/object.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "client/client.h"

namespace wherry::client {

// What an Event is about (core/v1 ObjectReference).
struct Reference {
  std::string api_version;
  std::string kind;
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
  std::string field_path;  // "spec.containers{web}" or empty.
};
Reference reference_to(const api::Object& object, std::string_view field_path = {});

class EventRecorder {
 public:
  // `component` is source.component and reportingController; `host` is source.host, empty off a
  // node.
  EventRecorder(Client& client, const Clock& clock, std::string component, std::string host = {});

  void normal(const Reference& about, std::string_view reason, std::string_view message) {
    record(about, "Normal", reason, message);
  }
  void warning(const Reference& about, std::string_view reason, std::string_view message) {
    record(about, "Warning", reason, message);
  }
  void normal(const api::Object& about, std::string_view reason, std::string_view message) {
    record(reference_to(about), "Normal", reason, message);
  }
  void warning(const api::Object& about, std::string_view reason, std::string_view message) {
    record(reference_to(about), "Warning", reason, message);
  }
  void record(const Reference& about, std::string_view type, std::string_view reason,
              std::string_view message) EXCLUDES(mutex_);
  // In the newer form (events.k8s.io/v1 fields: eventTime and action instead of counts); the
  // scheduler's.
  void record_action(const Reference& about, std::string_view type, std::string_view reason,
                     std::string_view action, std::string_view message);

 private:
  struct Known {
    std::string key;
    std::string name;  // Of the Event object.
    int64_t count = 0;
  };
  struct Bucket {
    double tokens;
    MonotonicTime filled;
  };
  bool allowed(const std::string& uid) REQUIRES(mutex_);
  std::string make_name(const Reference& about) const;
  json::Draft skeleton(const Reference& about, std::string_view type, std::string_view reason,
                       std::string_view message, const std::string& name) const;
  Result<void> create(const Reference& about, std::string_view type, std::string_view reason,
                      std::string_view message, const std::string& name);
  Result<void> count_up(const std::string& ns, const std::string& name, int64_t count);

  Client& client_;
  const Clock& clock_;
  const std::string component_;
  const std::string host_;

  Mutex mutex_;
  std::list<Known> recent_ GUARDED_BY(mutex_);  // Most recent first; bounded.
  std::unordered_map<std::string, std::list<Known>::iterator> by_key_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, Bucket> buckets_ GUARDED_BY(mutex_);
};

}  // namespace wherry::client
