#pragma once
// Watches: streams of changes to clients, one hub connection each and no thread.
//
// A watch begins with a state (or a revision) and goes on with the store's feed from exactly there,
// so nothing is lost or told twice. Events come on the store's publishing thread; each is encoded
// once per representation, whoever many watch. One thread sends the bookmarks, once a minute, while
// somebody wants any.
//
// Any thread may call serve().

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "apiserver/encode.h"
#include "apiserver/request.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "http/message.h"
#include "store/store.h"

namespace wherry::apiserver {

struct WatchOptions {
  Filter filter;
  std::string resource_version;
  std::string resource_version_match;
  bool bookmarks = false;
  bool continues = false;  // It names a continue token, which only a list can use.
  std::optional<bool> send_initial_events;
  std::optional<int64_t> timeout_seconds;
  Wanted wanted;
  std::string include_object;
};

// Encoded events, shared by the watches that want them in the same form. Any thread.
class EventEncoder {
 public:
  explicit EventEncoder(const Clock& clock) : clock_(clock) {}

  http::SharedBytes encode(std::string_view type, const Resource& resource, const ObjectPtr& object,
                           const WatchOptions& options) EXCLUDES(mutex_);

 private:
  using Key = std::tuple<const api::Object*, std::string, const Resource*, int, std::string>;
  struct Entry {
    ObjectPtr object;  // Keeps the key's address from being used again.
    http::SharedBytes bytes;
    std::list<Key>::iterator age;
  };

  const Clock& clock_;
  Mutex mutex_;
  std::map<Key, Entry> entries_ GUARDED_BY(mutex_);
  std::list<Key> oldest_first_ GUARDED_BY(mutex_);
  size_t bytes_ GUARDED_BY(mutex_) = 0;
};

class WatchStream;

class Watches {
 public:
  Watches(store::Store& store, const Clock& clock);
  ~Watches();
  Watches(const Watches&) = delete;

  // Answers with a stream; an error (bad options) is for the caller to render.
  Result<void> serve(const Target& target, const WatchOptions& options, http::Response& response);

 private:
  void tick(const std::stop_token& stop) EXCLUDES(mutex_);
  // All events up to the returned revision have been handed to every stream.
  Revision delivered();

  store::Store& store_;
  const Clock& clock_;
  EventEncoder encoder_;

  Mutex mutex_;
  CondVar changed_;
  std::vector<std::weak_ptr<WatchStream>> wanting_bookmarks_ GUARDED_BY(mutex_);

  std::jthread ticker_;
};

}  // namespace wherry::apiserver
