#include "store/history.h"

#include <algorithm>
#include <utility>

namespace wherry::store {

void History::append(EventPtr event, MonotonicTime now) {
  bytes_ += bytes_of(*event);
  items_.push_back({std::move(event), now});
}

Revision History::trim(MonotonicTime now) {
  while (!items_.empty()) {
    const Item& oldest = items_.front();
    bool over =
        items_.size() > limits_.events || bytes_ > limits_.bytes || now - oldest.at > limits_.age;
    if (!over) break;
    trimmed_through_ = oldest.event->revision;
    bytes_ -= bytes_of(*oldest.event);
    items_.pop_front();
  }
  return trimmed_through_;
}

std::vector<EventPtr> History::after(std::string_view resource, Revision after) const {
  auto first = std::upper_bound(
      items_.begin(), items_.end(), after,
      [](Revision revision, const Item& item) { return revision < item.event->revision; });
  std::vector<EventPtr> out;
  for (auto item = first; item != items_.end(); ++item) {
    if (resource.empty() || item->event->resource == resource) out.push_back(item->event);
  }
  return out;
}

}  // namespace wherry::store
