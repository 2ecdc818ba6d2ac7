#pragma once
// Reflector: keeps a copy of one collection (a resource, or a part of it that a field selector
// names) in step with the server: a list, then a watch from exactly there. A watch that ends is
// taken up again where it ended; one that is too far behind (410) begins with a new list, of which
// only the differences are told. Faults are met by a back-off with jitter. Bookmarks come once a
// minute, so a watch that is silent for longer has a dead connection and is dialled anew.
//
// Threads: the one of its TransferSet. No call changes the set from within a transfer's callback
// (libcurl forbids it): what is to be done next is noted, and step() does it.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "client/client.h"
#include "client/identity.h"
#include "http/transfer_set.h"

namespace wherry::client {

// Takes what a reflector learns.
class ReflectorSink {
 public:
  virtual ~ReflectorSink() = default;
  // The whole collection as of `revision`.
  virtual void replace(std::vector<ObjectPtr> objects, Revision revision) = 0;
  virtual void put(const ObjectPtr& object) = 0;
  virtual void erase(const ObjectPtr& last) = 0;
  virtual void bookmark(Revision revision) = 0;
  // The server cannot be reached or refuses (with the error), or answers again (without).
  virtual void trouble(const std::optional<Error>& error) = 0;
};

class Reflector {
 public:
  struct Source {
    const Resource* resource = nullptr;
    std::string server;  // "https://host:port"
    std::string ns;
    std::string field_selector;
    const Identity* identity = nullptr;  // Outlives the reflector.
  };

  Reflector(Source source, http::TransferSet& transfers, ReflectorSink& sink);
  ~Reflector();
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;

  // Begins what is due; gives when it wants to be called again, if at no event.
  std::optional<MonotonicTime> step(MonotonicTime now);
  bool synced() const { return synced_; }  // Has been listed once.

 private:
  void list();
  void listed(Result<http::ClientResponse> response);
  Result<void> take_list(const http::ClientResponse& response);
  void watch();
  bool take_bytes(std::string_view bytes);
  // False ends the watch.
  bool take_event(std::string_view line);
  void ended(Result<http::ClientResponse> response);
  // A watch that ends as soon as it began must not go round and round.
  void pause_if_brief();
  void fail(const Error& error);
  void succeed();
  http::ClientRequest request(bool watch) const;

  const Source source_;
  http::TransferSet& transfers_;
  ReflectorSink& sink_;

  std::string version_;  // Where the next watch begins; empty: list first.
  std::string line_;     // Of the watch, not complete yet.
  std::optional<http::TransferSet::Id> running_;
  MonotonicTime began_{};  // The watch.
  std::optional<MonotonicTime> retry_at_;
  int failures_ = 0;
  bool synced_ = false;
};

}  // namespace wherry::client
