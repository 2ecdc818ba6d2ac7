#pragma once
// EventQueue: Events about pods and the node, written through client::EventRecorder by one thread
// of its own, so that no pod waits for the API. At most kQueueMax wait; beyond that new ones are
// dropped. Any thread may record.

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/pod.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "client/event_recorder.h"

namespace wherry::agent {

client::Reference reference_to(const Pod& pod);
client::Reference reference_to(const Pod& pod, ContainerKind kind, std::string_view container);

// The seam that tests record through.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void record(const client::Reference& about, std::string_view type,
                      std::string_view reason, std::string_view message) = 0;
  void normal(const client::Reference& about, std::string_view reason, std::string_view message) {
    record(about, "Normal", reason, message);
  }
  void warning(const client::Reference& about, std::string_view reason, std::string_view message) {
    record(about, "Warning", reason, message);
  }
};

class EventQueue final : public EventSink {
 public:
  static constexpr size_t kQueueMax = 1000;

  EventQueue(client::Client& client, const Clock& clock, const std::string& node_name)
      : recorder_(client, clock, "kubelet", node_name) {}

  void start();
  void stop();  // Writes what waits.
  void record(const client::Reference& about, std::string_view type, std::string_view reason,
              std::string_view message) override EXCLUDES(mutex_);

 private:
  struct Item {
    client::Reference about;
    std::string type, reason, message;
  };
  void loop(const std::stop_token& stop) EXCLUDES(mutex_);

  client::EventRecorder recorder_;

  Mutex mutex_;
  CondVar changed_;
  std::vector<Item> queue_ GUARDED_BY(mutex_);

  std::jthread thread_;
};

}  // namespace wherry::agent
