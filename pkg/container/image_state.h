#pragma once
// The inside of ImageStore, shared by its files (image_store.cc, image_import.cc, image_pull.cc).

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "container/image.h"
#include "container/layer_store.h"
#include "container/manifest.h"

namespace wherry::container {

struct ImageRecord {
  std::string id;
  std::string digest;
  std::set<std::string> tags;
  std::set<std::string> digests;
  std::string fingerprint;  // Of a local image: what it was made from.
  ConfigDocument document;
  std::vector<std::string> layers;  // What LayerStore knows them by, lowest first.
  Time last_used{};
};

struct ImageStore::State {
  State(std::string directory, const std::vector<Layer>& known, bool privileged)
      : layers(std::move(directory), known, privileged) {}
  LayerStore layers;

  mutable Mutex mutex;
  std::map<std::string, ImageRecord> images GUARDED_BY(mutex);  // By id.
};

// What install() needs to make an image known.
struct ImageStore::Install {
  std::string digest;  // Of the manifest or index that was asked for.
  std::string config_text;
  std::vector<std::string> names;  // "docker.io/library/x:latest"
  std::vector<std::string> digests;
  std::string fingerprint;
  std::vector<LayerStore::Provide> layers;  // Lowest first, one for each diff id.
};

}  // namespace wherry::container
