#pragma once
// History: the recent events, oldest first, bounded by age, number and bytes. Not synchronised: the
// store guards it.

#include <deque>
#include <functional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "store/store.h"

namespace wherry::store {

class History {
 public:
  struct Limits {
    Duration age;
    size_t events;
    size_t bytes;
  };
  // Nothing before `start` is known.
  History(Limits limits, Revision start) : limits_(limits), trimmed_through_(start) {}

  void append(EventPtr event, MonotonicTime now);
  // Drops what is over a limit; returns the revision up to which events are gone.
  Revision trim(MonotonicTime now);

  Revision trimmed_through() const { return trimmed_through_; }
  size_t size() const { return items_.size(); }
  // Events of `resource` (any when empty) with a revision above `after`, oldest first.
  std::vector<EventPtr> after(std::string_view resource, Revision after) const;

 private:
  struct Item {
    EventPtr event;
    MonotonicTime at;
  };
  static size_t bytes_of(const Event& event) { return event.object->json().size(); }

  const Limits limits_;
  std::deque<Item> items_;
  size_t bytes_ = 0;
  Revision trimmed_through_;
};

}  // namespace wherry::store
