#pragma once
// Scheduler: gives each pod that has none a node. Pods wait in one queue, by priority and age; a
// pod that fits nowhere says why in its condition and an event, and waits for a change that can
// help it, never for a timer. Only a failed binding is tried again after a back-off.
//
// Threads: the cache's dispatcher calls note(); everything else happens on the one "scheduler"
// thread.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "client/client.h"
#include "client/event_recorder.h"
#include "scheduler/cluster.h"
#include "scheduler/filter.h"

namespace wherry::scheduler {

class Scheduler {
 public:
  static constexpr std::string_view kName = "default-scheduler";

  // Subscribes to pods and nodes: construct before the cache is started.
  Scheduler(client::Client& client, client::Cache& cache, const Clock& clock);
  ~Scheduler() { stop(); }
  Scheduler(const Scheduler&) = delete;
  void start();
  void stop();

  // One round by hand, for tests: takes in what was noted, then places what can be placed.
  void run_once();

 private:
  struct Waiting {
    PodPtr pod;
    uint32_t hints = 0;
  };
  // Order of the queue: high priority first, then first come.
  struct Place {
    int64_t priority;
    uint64_t arrival;
    std::string uid;
    bool operator<(const Place& other) const;
  };

  void run(const std::stop_token& stop);
  void note(const client::Change& change) EXCLUDES(mutex_);
  void take_in(const client::Change& change);
  void take_in_pod(const client::Change& change);
  void take_in_node(const client::Change& change);
  void enqueue(const PodPtr& pod);
  void forget(const std::string& uid);
  void wake(uint32_t hints);
  void wake_backed_off();

  void schedule(const PodPtr& pod);
  void bind(const PodPtr& pod, const std::string& node);
  void reject(const PodPtr& pod, const std::map<std::string, Rejection>& rejections);
  void preempt(const PodPtr& pod, const std::string& node, const std::vector<PodPtr>& victims);
  void set_condition(const PodInfo& pod, const std::string& message);
  NodeInfo with_nominated(const PodInfo& pod, const NodeInfo& node) const;

  client::Client& client_;
  const Clock& clock_;
  client::EventRecorder events_;

  Mutex mutex_;
  CondVar changed_;
  std::deque<client::Change> inbox_ GUARDED_BY(mutex_);

  // The scheduler's thread only.
  Cluster cluster_;
  std::set<Place> queue_;
  std::map<std::string, PodPtr> queued_;  // By UID.
  std::map<std::string, Place> places_;
  std::map<std::string, Waiting> unschedulable_;
  std::map<std::string, MonotonicTime> backed_off_;  // Failed bindings: not before.
  std::map<std::string, int> failures_;
  std::map<std::string, std::pair<std::string, PodPtr>> nominated_;  // UID -> node it made room on.
  std::map<std::string, std::string> said_;  // Last message in the condition.
  uint64_t arrivals_ = 0;

  std::jthread thread_;
};

// "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable."
std::string unschedulable_message(size_t nodes, const std::map<std::string, Rejection>& rejections);

}  // namespace wherry::scheduler
