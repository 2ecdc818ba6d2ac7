#include "apiserver/forms.h"

#include <utility>

namespace wherry::apiserver {
namespace {

constexpr size_t kEntryBytes = 256;  // Of the map and the structs, about.
// When room is needed: what has not been asked for as long as this makes way.
constexpr std::chrono::seconds kUnused{10};
constexpr std::chrono::seconds kSweepEvery{1};
// And without need.
constexpr std::chrono::minutes kForgotten{5};
constexpr std::chrono::minutes kTidyEvery{1};

}  // namespace

size_t Encoded::cost() const { return bytes.size() + deflated.bytes.size() + kEntryBytes; }

bool made_of(const std::weak_ptr<const api::Object>& weak, const api::ObjectPtr& object) {
  return !weak.owner_before(object) && !object.owner_before(weak);
}

std::vector<EncodedPtr> Forms::find(Kind kind, std::span<const api::ObjectPtr> objects, Time now) {
  std::vector<EncodedPtr> out(objects.size());
  MutexLock lock(mutex_);
  if (entries_.empty()) return out;
  for (size_t i = 0; i < objects.size(); ++i) {
    auto found = entries_.find({objects[i].get(), kind});
    if (found == entries_.end()) continue;
    Entry& entry = found->second;
    // An address may be used again after its object has gone.
    if (!made_of(entry.object, objects[i]) || entry.form->until <= now) continue;
    entry.used = now;
    out[i] = entry.form;
  }
  return out;
}

void Forms::keep(Kind kind, const api::ObjectPtr& object, EncodedPtr form, Time now) {
  MutexLock lock(mutex_);
  if (now - swept_ > kTidyEvery || now < swept_) sweep(now, kForgotten);
  const Key key{object.get(), kind};
  auto found = entries_.find(key);
  if (found != entries_.end()) {
    bytes_ -= found->second.form->cost();
    entries_.erase(found);
  }
  const size_t cost = form->cost();
  if (bytes_ + cost > bytes_max_ && now - swept_ > kSweepEvery) sweep(now, kUnused);
  if (bytes_ + cost > bytes_max_) return;
  bytes_ += cost;
  entries_.emplace(key, Entry{object, std::move(form), now});
}

size_t Forms::bytes() const {
  MutexLock lock(mutex_);
  return bytes_;
}

void Forms::sweep(Time now, Duration unused) {
  swept_ = now;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const Entry& entry = it->second;
    const bool stays = !entry.object.expired() && now - entry.used < unused;
    if (stays) {
      ++it;
      continue;
    }
    bytes_ -= entry.form->cost();
    it = entries_.erase(it);
  }
}

}  // namespace wherry::apiserver
