#pragma once
// NodeGraph: which objects concern which node, because pods that are bound to it name them. Nobody
// asks as long as the only node runs in this process, so nothing is kept until the first question;
// then the store's feed keeps it up, which tells of a commit before its writer is answered.
//
// Any thread; one lock. Its watcher never blocks.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/object.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/strings.h"
#include "store/store.h"

namespace wherry::apiserver {

using api::ObjectPtr;
using api::Revision;

class NodeGraph final : public store::Watcher {
 public:
  explicit NodeGraph(store::Store& store) : store_(store) {}

  // Whether a pod on `node`, or a volume that one uses, names the object (a pod names itself). An
  // error when the feed cannot be followed.
  Result<bool> concerns(std::string_view node, std::string_view resource, std::string_view ns,
                        std::string_view name) EXCLUDES(start_mutex_, mutex_);

  void on_events(std::span<const store::EventPtr> events) override EXCLUDES(mutex_);

 private:
  template <typename T>
  using ByKey = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;
  struct Pod {
    std::string node;
    std::vector<std::string> keys;  // "secrets/NS/NAME", each once.
  };
  struct Volume {
    std::string claim;                 // "persistentvolumeclaims/NS/NAME".
    std::vector<std::string> secrets;  // "secrets/NS/NAME".
  };

  Result<void> start() REQUIRES(start_mutex_);
  void note_pod(const ObjectPtr& object, bool gone) REQUIRES(mutex_);
  void note_volume(const ObjectPtr& object, bool gone) REQUIRES(mutex_);
  bool named(std::string_view node, std::string_view key) const REQUIRES(mutex_);

  store::Store& store_;

  Mutex start_mutex_;  // Taken before mutex_.
  bool started_ GUARDED_BY(start_mutex_) = false;

  Mutex mutex_;
  ByKey<Pod> pods_ GUARDED_BY(mutex_);                   // By "NS/NAME".
  ByKey<std::map<std::string, int, std::less<>>> users_  // By key: nodes, and how many pods there.
      GUARDED_BY(mutex_);
  ByKey<Volume> volumes_ GUARDED_BY(mutex_);  // By name.
  // By Secret: the claims of the volumes that name it.
  ByKey<std::multiset<std::string>> secret_claims_ GUARDED_BY(mutex_);

  std::unique_ptr<store::Subscription> subscription_;  // Last: ends first.
};

}  // namespace wherry::apiserver
