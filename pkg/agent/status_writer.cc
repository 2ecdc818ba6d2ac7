#include "agent/status_writer.h"

#include <algorithm>

#include "agent/pod_status.h"
#include "api/resource.h"
#include "base/log.h"

namespace wherry::agent {
namespace {

constexpr Duration kRetryFirst = std::chrono::milliseconds(500);
constexpr Duration kRetryMax = std::chrono::seconds(30);

}  // namespace

StatusWriter::StatusWriter(client::Client& client, const client::Lister& pods, const Clock& clock)
    : client_(client),
      pods_(pods),
      clock_(clock),
      pool_("pod-status", clock, [this](const std::string& uid) { return write(uid); }) {}

void StatusWriter::set(WantedStatus wanted) {
  std::string uid = wanted.uid;
  {
    MutexLock lock(mutex_);
    Entry& entry = entries_[uid];
    entry.wanted = std::move(wanted);
    entry.delay = Duration::zero();
  }
  pool_.wake(uid);
}

void StatusWriter::forget(const std::string& uid) {
  MutexLock lock(mutex_);
  entries_.erase(uid);
}

client::ObjectPtr StatusWriter::current(const Entry& entry) const {
  client::ObjectPtr cached = pods_.find(entry.wanted.ns, entry.wanted.name);
  if (cached == nullptr || cached->uid() != entry.wanted.uid) return nullptr;
  if (entry.written != nullptr && entry.written->revision() > cached->revision()) {
    return entry.written;
  }
  return cached;
}

Result<client::ObjectPtr> StatusWriter::write_status(const Entry& entry,
                                                     const client::ObjectPtr& current) {
  json::Document document = current->document();
  json::Draft patch =
      status_patch(document.root()["status"], entry.wanted.status.root(), entry.wanted.uid);
  if (!patch.root().is_object()) return current;
  json::Document frozen = patch.freeze();
  client::PatchOptions options;
  options.subresource = "status";
  options.field_manager = "kubelet";
  return client_.patch(api::resource("pods"), entry.wanted.ns, entry.wanted.name,
                       client::PatchType::kStrategic, frozen.root(), options);
}

std::optional<MonotonicTime> StatusWriter::write(const std::string& uid) {
  Entry entry;
  {
    MutexLock lock(mutex_);
    auto found = entries_.find(uid);
    if (found == entries_.end()) return std::nullopt;
    entry = found->second;
  }
  client::ObjectPtr now = current(entry);
  if (now == nullptr) return std::nullopt;  // Gone, or static and without a mirror.

  Result<client::ObjectPtr> written = write_status(entry, now);
  Result<void> done;
  if (!written.ok()) {
    done = std::move(written).error();
  } else if (entry.wanted.remove) {
    client::DeleteOptions options;
    options.uid = uid;
    options.grace_period_seconds = 0;
    done = ignore_not_found(
        client_.remove(api::resource("pods"), entry.wanted.ns, entry.wanted.name, options));
  }
  // A conflict means another UID under this name, which the next look at the cache tells.
  bool gone = !done.ok() && done.error().is(Code::kNotFound);

  MutexLock lock(mutex_);
  auto found = entries_.find(uid);
  if (found == entries_.end()) return std::nullopt;
  if (done.ok() || gone) {
    if (done.ok()) found->second.written = *written;
    return std::nullopt;
  }
  Duration& delay = found->second.delay;
  delay = delay == Duration::zero() ? kRetryFirst : std::min(delay * 2, kRetryMax);
  log::warn("status of pod {}/{}: {}; again in {} s", entry.wanted.ns, entry.wanted.name,
            done.error().message(), std::chrono::duration<double>(delay).count());
  return clock_.monotonic() + delay;
}

}  // namespace wherry::agent
