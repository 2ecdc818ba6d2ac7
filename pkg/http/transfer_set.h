#pragma once
// TransferSet: many HTTP transfers on one thread: watches that stay open for hours and short
// requests beside them. Idle watches cost their connection and no wake-up.
//
// Threads: all calls and callbacks on the one that owns the set and calls run_once(); wake() from
// any.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"

namespace wherry::http {

class TransferSet {
 public:
  using Id = uint64_t;
  // As Client::stream: an error means that there was no full answer.
  using Done = std::function<void(Result<ClientResponse>)>;

  TransferSet();
  ~TransferSet();  // Ends what runs, without telling.
  TransferSet(const TransferSet&) = delete;
  TransferSet& operator=(const TransferSet&) = delete;

  // With `write` each piece of a 2xx body goes there, else the body comes whole with `done`. `done`
  // is called once, from run_once(). Connections are kept and used again.
  Id start(std::shared_ptr<const ClientOptions> options, ClientRequest request, Client::Write write,
           Done done);
  // Ends it without calling back. Not from the transfer's own `write`.
  void cancel(Id id);
  // Sleeps until something comes, wake() is called, or the deadline; then works it off.
  void run_once(std::optional<MonotonicTime> deadline);
  void wake();
  size_t size() const;

 private:
  struct Running;
  void finish(Running& running, int code);
  void expire();

  void* multi_;
  std::map<Id, std::unique_ptr<Running>> running_;
  Id next_id_ = 1;
};

}  // namespace wherry::http
