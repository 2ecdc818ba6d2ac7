#pragma once
// StatusWriter: brings the status that pod workers want to the API, newest wins, and makes the
// final delete of a pod whose containers are gone. Writes are retried until the pod is gone. Any
// thread.

#include <map>
#include <memory>
#include <string>

#include "agent/keyed_pool.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "client/client.h"
#include "json/json.h"

namespace wherry::agent {

struct WantedStatus {
  std::string uid, ns, name;
  json::Document status;
  bool remove = false;  // After the status is written: the last step of a graceful deletion.
};

class StatusSink {
 public:
  virtual ~StatusSink() = default;
  virtual void set(WantedStatus wanted) = 0;
  virtual void forget(const std::string& uid) = 0;
};

class StatusWriter final : public StatusSink {
 public:
  StatusWriter(client::Client& client, const client::Lister& pods, const Clock& clock);

  void start(int threads) { pool_.start(threads); }
  void stop() { pool_.stop(); }
  void set(WantedStatus wanted) override EXCLUDES(mutex_);
  // Somebody else has changed it: what is wanted is written again where it differs.
  void look_again(const std::string& uid) { pool_.wake(uid); }
  void forget(const std::string& uid) override EXCLUDES(mutex_);
  int run_due() { return pool_.run_due(); }  // For tests.

 private:
  struct Entry {
    WantedStatus wanted;
    client::ObjectPtr written;  // What the API answered to our last write.
    Duration delay{};
  };
  std::optional<MonotonicTime> write(const std::string& uid) EXCLUDES(mutex_);
  // The newest of what the cache and our last write say; null when the pod is gone.
  client::ObjectPtr current(const Entry& entry) const;
  Result<client::ObjectPtr> write_status(const Entry& entry, const client::ObjectPtr& current);

  client::Client& client_;
  const client::Lister& pods_;
  const Clock& clock_;

  Mutex mutex_;
  std::map<std::string, Entry> entries_ GUARDED_BY(mutex_);

  KeyedPool pool_;
};

}  // namespace wherry::agent
