#pragma once
// Unpacked layers, one folder each, shared by all images that have them. A layer is known by the
// digest of its uncompressed tar (diff id), which is checked while unpacking; one that had to be
// made for the layers below it by that and theirs. Any thread; a layer wanted by several at once is
// unpacked once.

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "container/byte_source.h"
#include "container/layer_graft.h"

namespace wherry::container {

struct Layer {
  std::string diff_id;
  uint64_t number = 0;  // Its folder's name.
  uint64_t bytes = 0;
  Loose loose;  // Empty once it was looked up.
};

class LayerStore {
 public:
  // `directory` exists; `known` are the layers that the index lists. What else lies there is left
  // over from a crash and removed with the first new layer.
  LayerStore(std::string directory, const std::vector<Layer>& known, bool privileged);

  // Hands the compressed or plain tar to the function it is given.
  using Take = std::function<Result<void>(ByteSource&)>;
  using Provide = std::function<Result<void>(const Take&)>;
  // Gives the layer, unpacking what `provide` brings when it is not there yet. It stays at least
  // until unpin(diff_id).
  Result<Layer> ensure(const std::string& diff_id, const Provide& provide,
                       const std::stop_token& stop);
  // For one built by other means: `fill` puts the files into a new folder, and notes what is known
  // of them.
  using Fill = std::function<Result<void>(const std::string& folder, Layer& layer)>;
  Result<Layer> build(const std::string& id, const Fill& fill, const std::stop_token& stop);
  // The layer as it has to be above `below` (what ensure() and onto() gave, lowest first): itself,
  // or another one, also pinned.
  Result<Layer> onto(const Layer& layer, const std::vector<Layer>& below,
                     const std::stop_token& stop);
  void unpin(const std::string& diff_id);

  bool has(const std::string& diff_id) const;
  std::string path(const std::string& diff_id) const;  // Empty when it is not there.
  std::vector<Layer> list() const;
  // Removes layers that are neither in `used` nor pinned; gives the bytes.
  uint64_t collect(const std::set<std::string>& used);
  // Everything written so far is on disk afterwards.
  void sync() const;

 private:
  std::string folder(uint64_t number) const { return directory_ + "/" + std::to_string(number); }
  void remove_leftovers();

  const std::string directory_;
  const bool privileged_;

  mutable Mutex mutex_;
  CondVar free_;
  std::map<std::string, Layer> layers_ GUARDED_BY(mutex_);
  std::map<std::string, int> pins_ GUARDED_BY(mutex_);
  std::set<std::string> busy_ GUARDED_BY(mutex_);
  std::vector<std::string> leftovers_ GUARDED_BY(mutex_);
  uint64_t next_ GUARDED_BY(mutex_) = 1;
};

}  // namespace wherry::container
