#include "container/layer_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "container/layer_graft.h"
#include "container/unpack.h"
#include "os/file.h"
#include "pki/pki.h"

namespace wherry::container {

LayerStore::LayerStore(std::string directory, const std::vector<Layer>& known, bool privileged)
    : directory_(std::move(directory)), privileged_(privileged) {
  std::set<std::string> names;
  for (const Layer& layer : known) {
    if (!os::is_directory(folder(layer.number))) continue;
    layers_[layer.diff_id] = layer;
    names.insert(std::to_string(layer.number));
  }
  Result<std::vector<std::string>> found = os::list_directory(directory_);
  if (!found.ok()) return;
  for (const std::string& name : *found) {
    next_ = std::max(next_, parse_uint(name.substr(0, name.find('.'))).value_or(0) + 1);
    if (names.count(name) == 0) leftovers_.push_back(name);
  }
}

void LayerStore::remove_leftovers() {
  std::vector<std::string> names;
  {
    MutexLock lock(mutex_);
    names.swap(leftovers_);
  }
  for (const std::string& name : names) {
    Result<void> removed = os::remove_tree(directory_ + "/" + name);
    if (!removed.ok()) log::warn("left-over layer: {}", removed.error().message());
  }
}

Result<Layer> LayerStore::ensure(const std::string& diff_id, const Provide& provide,
                                 const std::stop_token& stop) {
  auto fill = [&](const std::string& target, Layer& layer) -> Result<void> {
    return provide([&](ByteSource& compressed) -> Result<void> {
      std::unique_ptr<ByteSource> plain = TRY(inflate(compressed));
      HashingSource hashing(*plain);
      UnpackOptions options;
      options.privileged = privileged_;
      Unpacked unpacked = TRY(unpack_layer(hashing, target, options));
      layer.bytes = unpacked.bytes;
      layer.loose = {std::move(unpacked.implied), std::move(unpacked.links)};
      std::string have = TRY(hashing.finish());
      if (have != diff_id) {
        return Error::invalid("the layer's content has digest {}, its image says {}", have,
                              diff_id);
      }
      return {};
    });
  };
  return build(diff_id, fill, stop);
}

Result<Layer> LayerStore::onto(const Layer& layer, const std::vector<Layer>& below,
                               const std::stop_token& stop) {
  if (layer.loose.implied.empty() && layer.loose.links.empty()) return layer;
  Folders folders;
  std::string chain;
  for (const Layer& lower : below) {
    folders.insert(folders.begin(), folder(lower.number));
    chain += lower.diff_id + " ";
  }
  if (!wants_graft(layer.loose, folders)) return layer;
  auto fill = [&](const std::string& target, Layer& made) -> Result<void> {
    made.bytes = layer.bytes;  // Although they are shared while both are there.
    return graft_layer(folder(layer.number), layer.loose, folders, target);
  };
  return build(layer.diff_id + "+" + pki::sha256_hex(chain).substr(0, 16), fill, stop);
}

Result<Layer> LayerStore::build(const std::string& diff_id, const Fill& fill,
                                const std::stop_token& stop) {
  remove_leftovers();
  Layer layer;
  {
    MutexLock lock(mutex_);
    if (!free_.wait(mutex_, stop, [&]() REQUIRES(mutex_) { return busy_.count(diff_id) == 0; })) {
      return Error::timeout("unpacking was cancelled");
    }
    ++pins_[diff_id];
    auto found = layers_.find(diff_id);
    if (found != layers_.end()) return found->second;
    busy_.insert(diff_id);
    layer.diff_id = diff_id;
    layer.number = next_++;
  }
  std::string target = folder(layer.number);
  std::string temporary = target + ".new";
  auto make = [&]() -> Result<void> {
    TRY(os::make_directories(temporary, 0755));
    TRY(os::change_mode(temporary, 0755));
    TRY(fill(temporary, layer));
    return os::rename_path(temporary, target);
  };
  Result<void> made = make();
  if (!made.ok()) {
    Result<void> removed = os::remove_tree(temporary);
    if (!removed.ok()) log::warn("half a layer: {}", removed.error().message());
    unpin(diff_id);
  }
  {
    MutexLock lock(mutex_);
    busy_.erase(diff_id);
    if (made.ok()) layers_[diff_id] = layer;
  }
  free_.notify_all();
  if (!made.ok()) return std::move(made).error();
  return layer;
}

void LayerStore::unpin(const std::string& diff_id) {
  MutexLock lock(mutex_);
  auto found = pins_.find(diff_id);
  if (found != pins_.end() && --found->second <= 0) pins_.erase(found);
}

bool LayerStore::has(const std::string& diff_id) const {
  MutexLock lock(mutex_);
  return layers_.count(diff_id) != 0;
}

std::string LayerStore::path(const std::string& diff_id) const {
  MutexLock lock(mutex_);
  auto found = layers_.find(diff_id);
  return found != layers_.end() ? folder(found->second.number) : "";
}

std::vector<Layer> LayerStore::list() const {
  MutexLock lock(mutex_);
  std::vector<Layer> out;
  for (const auto& [diff_id, layer] : layers_) out.push_back(layer);
  return out;
}

uint64_t LayerStore::collect(const std::set<std::string>& used) {
  std::vector<Layer> unused;
  {
    MutexLock lock(mutex_);
    for (auto at = layers_.begin(); at != layers_.end();) {
      bool keep = used.count(at->first) != 0 || pins_.count(at->first) != 0;
      if (!keep) unused.push_back(at->second);
      at = keep ? std::next(at) : layers_.erase(at);
    }
  }
  uint64_t bytes = 0;
  for (const Layer& layer : unused) {
    Result<void> removed = os::remove_tree(folder(layer.number));
    if (!removed.ok()) log::warn("removing a layer: {}", removed.error().message());
    bytes += layer.bytes;
  }
  return bytes;
}

void LayerStore::sync() const {
  Result<os::Fd> folder_fd = os::open_file(directory_, O_RDONLY | O_DIRECTORY);
  if (folder_fd.ok()) syncfs(folder_fd->get());
}

}  // namespace wherry::container
