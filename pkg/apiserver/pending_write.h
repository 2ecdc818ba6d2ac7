#pragma once
// PendingWrite: a write that has been handed to the store. Its request waits for the disk without a
// worker (http/turn.h) and comes back with the outcome, and what it needs to be answered. So a
// batch that the store syncs costs no switch of threads for each write in it.
//
// Threads: settle() belongs to the store's; everything else to the worker that serves the request.

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "apiserver/negotiate.h"
#include "apiserver/request.h"
#include "apiserver/routes.h"
#include "http/message.h"
#include "http/turn.h"

namespace wherry::apiserver {

class PendingWrite final : public http::Turn {
 public:
  explicit PendingWrite(Wanted form, MonotonicTime now)
      : Turn(now + kPatience, Length::kBrief), wanted(std::move(form)) {}

  // Takes what `request` waited for off it; null when that was no write.
  static std::shared_ptr<PendingWrite> take(http::Request& request);

  // The store's word. Grants the turn.
  void settle(Result<std::vector<ObjectPtr>> done);
  // What it said; kTimeout when it has not.
  Result<ObjectPtr> outcome() const;
  // Another write came between, which the verb knows how to deal with.
  bool raced() const;

  const Wanted wanted;
  bool created = false;
  Route route;
  http::Headers headers;             // Of the answer, as far as it was.
  std::shared_ptr<const void> held;  // By the answer: seats.

 private:
  // A store that takes this long has a disk that hangs.
  static constexpr std::chrono::hours kPatience{1};

  std::optional<Result<std::vector<ObjectPtr>>> done_;  // Written before grant().
};

}  // namespace wherry::apiserver
