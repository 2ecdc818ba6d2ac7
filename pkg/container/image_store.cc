#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "base/log.h"
#include "base/strings.h"
#include "base/thread.h"
#include "container/image.h"
#include "container/image_state.h"
#include "json/json.h"
#include "os/file.h"
#include "pki/pki.h"

namespace wherry::container {
namespace {

constexpr size_t kUnpackThreads = 3;

std::string blob_path(const std::string& directory, const std::string& digest) {
  return directory + "/blobs/sha256/" + digest.substr(digest.find(':') + 1);
}

void put_list(const json::Node& node, std::string_view key, const auto& values) {
  json::Node list = node.set_array(key);
  for (const std::string& value : values) list.push(value);
}

std::set<std::string> get_set(json::Value list) {
  std::vector<std::string> items = list.strings();
  return {items.begin(), items.end()};
}

std::string write_index(const std::map<std::string, ImageRecord>& images,
                        const std::vector<Layer>& layers) {
  json::Draft draft;
  json::Node list = draft.root().set_array("layers");
  for (const Layer& layer : layers) {
    json::Node node = list.push_object();
    node.set("diffID", layer.diff_id);
    node.set("number", static_cast<int64_t>(layer.number));
    node.set("bytes", static_cast<int64_t>(layer.bytes));
    if (!layer.loose.implied.empty()) put_list(node, "implied", layer.loose.implied);
    for (const auto& [name, link] : layer.loose.links) node.ensure_object("links").set(name, link);
  }
  list = draft.root().set_array("images");
  for (const auto& [id, record] : images) {
    json::Node node = list.push_object();
    node.set("id", id);
    node.set("digest", record.digest);
    put_list(node, "tags", record.tags);
    put_list(node, "digests", record.digests);
    if (record.layers != record.document.diff_ids) put_list(node, "layers", record.layers);
    if (!record.fingerprint.empty()) node.set("fingerprint", record.fingerprint);
    node.set("lastUsedUs", record.last_used.time_since_epoch().count());
  }
  return draft.dump();
}

Image to_image(const ImageRecord& record, const LayerStore& layers) {
  Image out;
  out.id = record.id;
  out.digest = record.digest;
  out.tags.assign(record.tags.begin(), record.tags.end());
  out.digests.assign(record.digests.begin(), record.digests.end());
  out.created = record.document.created;
  out.config = record.document.config;
  std::map<std::string, uint64_t> bytes;
  for (const Layer& layer : layers.list()) bytes[layer.diff_id] = layer.bytes;
  // overlayfs refuses the same folder twice; of equal layers only the uppermost shows anyway.
  const std::vector<std::string>& ids = record.layers;
  for (auto at = ids.begin(); at != ids.end(); ++at) {
    if (std::find(at + 1, ids.end(), *at) != ids.end()) continue;
    out.layers.push_back(layers.path(*at));
    out.size_bytes += bytes[*at];
  }
  return out;
}

std::set<std::string> used_layers(const std::map<std::string, ImageRecord>& images) {
  std::set<std::string> used;
  for (const auto& [id, record] : images) {
    used.insert(record.layers.begin(), record.layers.end());
  }
  return used;
}

// Whether `text` names the record: any spelling of a name, "name@digest", a digest, an id or its
// start.
bool names(const ImageRecord& record, const std::string& text) {
  constexpr size_t kShortIdMin = 12;
  if (text == record.id || text == record.digest || "sha256:" + text == record.id) return true;
  if (text.size() >= kShortIdMin && record.id.substr(7).starts_with(text)) return true;
  Result<Reference> reference = Reference::parse(text);
  if (!reference.ok()) return false;
  std::string full = reference->full();
  return record.tags.count(full) != 0 || record.digests.count(full) != 0;
}

// Lets go of layers at the end.
struct Pins {
  explicit Pins(LayerStore& store) : layers(store) {}
  Pins(const Pins&) = delete;
  ~Pins() {
    for (const std::string& id : ids) layers.unpin(id);
  }
  LayerStore& layers;
  std::vector<std::string> ids;
};

// The layers as they lie upon each other; what is missing is unpacked, several at a time.
Result<std::vector<Layer>> unpack_all(LayerStore& layers, const std::vector<std::string>& diff_ids,
                                      const std::vector<LayerStore::Provide>& provided, Pins& pins,
                                      const std::stop_token& stop) {
  size_t count = provided.size();
  std::vector<std::optional<Result<Layer>>> results(count);
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  auto work = [&](const std::stop_token&) {
    for (size_t i = next++; i < count && !failed; i = next++) {
      results[i] = layers.ensure(diff_ids[i], provided[i], stop);
      if (!results[i]->ok()) failed = true;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < std::min(count, kUnpackThreads); ++i) {
      threads.push_back(start_thread("unpack", work));
    }
    work(stop);
  }
  for (const std::optional<Result<Layer>>& result : results) {
    if (result && result->ok()) pins.ids.push_back((*result)->diff_id);
  }
  std::vector<Layer> stack;
  for (const std::optional<Result<Layer>>& result : results) {
    if (!result) continue;  // Another one failed first.
    Layer layer = TRY(layers.onto(TRY(Result<Layer>(*result)), stack, stop));
    if (layer.diff_id != (*result)->diff_id) pins.ids.push_back(layer.diff_id);
    stack.push_back(std::move(layer));
  }
  return stack;
}

}  // namespace

ImageStore::ImageStore(std::string directory, const Clock& clock)
    : directory_(std::move(directory)), clock_(clock) {}

ImageStore::~ImageStore() = default;

Result<std::unique_ptr<ImageStore>> ImageStore::open(const std::string& directory,
                                                     const Clock& clock) {
  for (const char* name : {"/blobs/sha256", "/ingest", "/l"}) {
    TRY(os::make_directories(directory + name, 0700));
  }
  // Containers that drop privileges reach their files through these folders; what is in the images
  // decides.
  for (const char* name : {"", "/l"}) TRY(os::change_mode(directory + name, 0711));
  std::unique_ptr<ImageStore> store(new ImageStore(directory, clock));
  TRY(store->load());
  return store;
}

Result<void> ImageStore::load() {
  std::string path = directory_ + "/index.json";
  json::Document document;
  if (os::exists(path)) {
    std::string text = TRY(os::read_file(path));
    Result<json::Document> parsed = json::Document::parse(text);
    if (parsed.ok()) {
      document = std::move(parsed).value();
    } else {
      log::warn("image index is damaged ({}); images will be pulled again",
                parsed.error().message());
    }
  }
  std::vector<Layer> layers;
  for (json::Value value : document.root()["layers"].items()) {
    Layer layer;
    layer.diff_id = value["diffID"].as_string();
    layer.number = static_cast<uint64_t>(value["number"].as_int());
    layer.bytes = static_cast<uint64_t>(value["bytes"].as_int());
    layer.loose.implied = value["implied"].strings();
    for (auto [name, link] : value["links"].members())
      layer.loose.links.emplace(name, link.as_string());
    layers.push_back(std::move(layer));
  }
  state_ = std::make_unique<State>(directory_ + "/l", layers, geteuid() == 0);
  MutexLock lock(state_->mutex);
  for (json::Value value : document.root()["images"].items()) {
    ImageRecord record;
    record.id = value["id"].as_string();
    record.digest = value["digest"].as_string();
    record.tags = get_set(value["tags"]);
    record.digests = get_set(value["digests"]);
    record.fingerprint = value["fingerprint"].as_string();
    record.last_used = Time(std::chrono::microseconds(value["lastUsedUs"].as_int()));
    Result<std::string> text = os::read_file(blob_path(directory_, record.id));
    if (!text.ok() || "sha256:" + pki::sha256_hex(*text) != record.id) continue;
    Result<ConfigDocument> config = parse_config(*text);
    if (!config.ok()) continue;
    record.document = std::move(config).value();
    record.layers = value["layers"].strings();
    if (record.layers.empty()) record.layers = record.document.diff_ids;
    bool whole = std::all_of(record.layers.begin(), record.layers.end(),
                             [&](const std::string& layer) { return state_->layers.has(layer); });
    if (whole) state_->images[record.id] = std::move(record);
  }
  return {};
}

Result<Image> ImageStore::install(const Install& request, const std::stop_token& stop) {
  ConfigDocument document = TRY(parse_config(request.config_text));
  const std::vector<std::string>& diff_ids = document.diff_ids;
  if (diff_ids.size() != request.layers.size()) {
    return Error::invalid("mismatched image: {} layers, {} diff ids", request.layers.size(),
                          diff_ids.size());
  }
  LayerStore& layers = state_->layers;
  std::set<std::string> before;
  for (const Layer& layer : layers.list()) before.insert(layer.diff_id);
  Pins pins(layers);
  std::vector<Layer> stack = TRY(unpack_all(layers, diff_ids, request.layers, pins, stop));
  // Before the index says that the layers are there, they are.
  bool fresh = std::any_of(stack.begin(), stack.end(),
                           [&](const Layer& layer) { return before.count(layer.diff_id) == 0; });
  if (fresh) layers.sync();

  std::string id = "sha256:" + pki::sha256_hex(request.config_text);
  auto publish = [&]() -> Result<Image> {
    TRY(os::write_file_atomic(blob_path(directory_, id), request.config_text, 0600));
    MutexLock lock(state_->mutex);
    std::map<std::string, ImageRecord> images = state_->images;
    for (auto& [other_id, other] : images) {
      for (const std::string& name : request.names) other.tags.erase(name);
    }
    ImageRecord& record = images[id];
    record.id = id;
    record.digest = request.digest;
    record.tags.insert(request.names.begin(), request.names.end());
    record.digests.insert(request.digests.begin(), request.digests.end());
    record.fingerprint = request.fingerprint;
    record.document = document;
    record.layers.clear();
    for (const Layer& layer : stack) record.layers.push_back(layer.diff_id);
    record.last_used = clock_.now();
    std::string text = write_index(images, state_->layers.list());
    TRY(os::write_file_atomic(directory_ + "/index.json", text, 0600));
    state_->images = std::move(images);
    return to_image(state_->images[id], state_->layers);
  };
  return publish();
}

Result<Image> ImageStore::find(const std::string& reference) const {
  MutexLock lock(state_->mutex);
  for (auto& [id, record] : state_->images) {
    if (!names(record, reference)) continue;
    record.last_used = clock_.now();
    return to_image(record, state_->layers);
  }
  return Error::not_found("no such image: {}", reference);
}

std::vector<Image> ImageStore::list() const {
  MutexLock lock(state_->mutex);
  std::vector<Image> out;
  for (const auto& [id, record] : state_->images) out.push_back(to_image(record, state_->layers));
  return out;
}

Result<void> ImageStore::remove(const std::string& reference) {
  std::set<std::string> used;
  std::string gone;
  {
    MutexLock lock(state_->mutex);
    std::map<std::string, ImageRecord> images = state_->images;
    auto found = std::find_if(images.begin(), images.end(),
                              [&](const auto& entry) { return names(entry.second, reference); });
    if (found == images.end()) return Error::not_found("no such image: {}", reference);
    ImageRecord& record = found->second;
    Result<Reference> parsed = Reference::parse(reference);
    bool by_name = parsed.ok() && record.tags.erase(parsed->full()) > 0;
    if (!by_name || record.tags.empty()) {
      gone = record.id;
      images.erase(found);
    }
    std::string text = write_index(images, state_->layers.list());
    TRY(os::write_file_atomic(directory_ + "/index.json", text, 0600));
    state_->images = std::move(images);
    used = used_layers(state_->images);
  }
  if (gone.empty()) return {};
  state_->layers.collect(used);
  return os::remove_file(blob_path(directory_, gone));
}

Result<uint64_t> ImageStore::collect(uint64_t bytes, const std::set<std::string>& keep_ids,
                                     Duration min_age) {
  std::vector<ImageRecord> candidates;
  uint64_t before = used_bytes();
  {
    MutexLock lock(state_->mutex);
    for (const auto& [id, record] : state_->images) {
      // No registry has a local image; one that lost its name to a newer version may go.
      bool local = !record.fingerprint.empty() && !record.tags.empty();
      if (!local && keep_ids.count(id) == 0 && clock_.now() - record.last_used >= min_age) {
        candidates.push_back(record);
      }
    }
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const ImageRecord& a, const ImageRecord& b) { return a.last_used < b.last_used; });
  for (const ImageRecord& record : candidates) {
    if (before - std::min(before, used_bytes()) >= bytes) break;
    TRY(ignore_not_found(remove(record.id)));
  }
  return before - std::min(before, used_bytes());
}

uint64_t ImageStore::used_bytes() const {
  uint64_t bytes = 0;
  for (const Layer& layer : state_->layers.list()) bytes += layer.bytes;
  return bytes;
}

Result<Image> ImageStore::add_local(const std::string& name, const std::vector<LocalFile>& files,
                                    const ImageConfig& config, const std::string& fingerprint) {
  Reference reference = TRY(Reference::parse(name));
  {
    MutexLock lock(state_->mutex);
    for (const auto& [id, record] : state_->images) {
      if (record.tags.count(reference.full()) != 0 && record.fingerprint == fingerprint) {
        return to_image(record, state_->layers);
      }
    }
  }
  // There is no tar to hash: the fingerprint stands for the content.
  std::string diff_id = "sha256:" + pki::sha256_hex(reference.full() + "\n" + fingerprint);
  auto fill = [&](const std::string& folder, Layer& layer) -> Result<void> {
    for (const LocalFile& file : files) {
      std::string target = folder + "/" + file.target;
      TRY(os::make_directories(target.substr(0, target.rfind('/')), 0755));
      TRY(os::duplicate_file(file.source, target, file.mode));
      struct stat info {};
      if (stat(target.c_str(), &info) == 0) layer.bytes += static_cast<uint64_t>(info.st_size);
    }
    return {};
  };
  std::stop_token never;  // Without a source: nothing stops this.
  TRY(state_->layers.build(diff_id, fill, never));
  Install request;
  request.config_text = write_config(config, {diff_id});
  request.digest = "sha256:" + pki::sha256_hex(request.config_text);
  request.names = {reference.full()};
  request.fingerprint = fingerprint;
  request.layers = {[](const LayerStore::Take&) -> Result<void> { return {}; }};  // It is there.
  Result<Image> image = install(request, never);
  state_->layers.unpin(diff_id);
  return image;
}

}  // namespace wherry::container
