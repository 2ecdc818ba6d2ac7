#include "agent/events.h"

#include "base/thread.h"

namespace wherry::agent {

client::Reference reference_to(const Pod& pod) {
  client::Reference reference;
  reference.api_version = "v1";
  reference.kind = "Pod";
  reference.ns = pod.ns();
  reference.name = pod.name();
  reference.uid = pod.uid();
  reference.resource_version = pod.metadata()["resourceVersion"].as_string();
  return reference;
}

client::Reference reference_to(const Pod& pod, ContainerKind kind, std::string_view container) {
  client::Reference reference = reference_to(pod);
  reference.field_path = field_path(kind, container);
  return reference;
}

void EventQueue::start() {
  thread_ = start_thread("events", [this](const std::stop_token& stop) { loop(stop); });
}

void EventQueue::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void EventQueue::record(const client::Reference& about, std::string_view type,
                        std::string_view reason, std::string_view message) {
  MutexLock lock(mutex_);
  if (queue_.size() >= kQueueMax) return;
  // 1,024 bytes is what the API takes for a message.
  queue_.push_back(
      {about, std::string(type), std::string(reason), std::string(message.substr(0, 1024))});
  changed_.notify_one();
}

void EventQueue::loop(const std::stop_token& stop) {
  while (true) {
    std::vector<Item> items;
    {
      MutexLock lock(mutex_);
      changed_.wait(mutex_, stop, [this]() NO_THREAD_SAFETY_ANALYSIS { return !queue_.empty(); });
      items.swap(queue_);
    }
    if (items.empty()) return;  // Asked to stop, and all is written.
    for (const Item& item : items) {
      recorder_.record(item.about, item.type, item.reason, item.message);
    }
  }
}

}  // namespace wherry::agent
