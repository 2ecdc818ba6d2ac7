#pragma once
// FlowControl: API priority and fairness. Each request is classified by the FlowSchemas (by user,
// verb and what it is about) into a priority level and a flow within it, and takes seats of that
// level for as long as it is worked on; see flow_level.h for who waits for whom. It stands between
// authentication and authorisation, as upstream's does.
//
// The server has kSeats seats, three quarters of its workers, so that exempt requests find a worker
// whatever the others do. A request that must wait leaves its worker: its connection is parked with
// it, and when a seat falls free the connection comes before a worker again. A list takes one seat
// for each hundred objects, ten at most, since that is what makes the work. A seat is given back
// when the answer has been sent, or when the client does not take more of it: slow readers cost
// nothing but memory. Of long-running requests watches count until they have begun; exec, attach,
// port-forward, proxies and logs do not count.
//
// Threads: admit() any. A thread looks at its own copy of the pointer to the configuration, and
// takes a lock only when that has changed. Changes of the objects arrive on the store's publishing
// thread.

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "apiserver/flow_config.h"
#include "apiserver/routes.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "http/message.h"
#include "store/store.h"

namespace wherry::apiserver {

class FlowControl {
 public:
  static constexpr unsigned kSeats = 48;

  FlowControl(store::Store& store, const Clock& clock, unsigned seats = kSeats);
  ~FlowControl();
  FlowControl(const FlowControl&) = delete;

  // Reads the objects and follows their changes from then on. Once; before it everything may run.
  Result<void> start();

  enum class Verdict {
    kRun,
    kWait,     // The response says so; the handler returns and runs again later.
    kRefused,  // 429 has been written.
  };
  // Sets the headers that name schema and level, and ties the seats to the response.
  Verdict admit(http::Request& request, http::Response& response, const Attributes& asked);

 private:
  class Follower;
  using ConfigPtr = std::shared_ptr<const FlowConfig>;

  void rebuild() EXCLUDES(mutex_);
  const FlowConfig* config() EXCLUDES(mutex_);
  unsigned width(const http::Request& request, const Attributes& asked) const;

  store::Store& store_;
  const Clock& clock_;
  const unsigned server_seats_;
  // Never the same for two configurations of the process; 0 before start().
  std::atomic<uint64_t> generation_{0};

  Mutex mutex_;
  ConfigPtr config_ GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<FlowLevel>> levels_ GUARDED_BY(mutex_);

  std::unique_ptr<Follower> follower_;
};

}  // namespace wherry::apiserver
