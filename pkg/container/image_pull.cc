// Pulling: reference, registry, manifest, config, layers; each layer is fetched and unpacked by
// itself, several at a time.

#include <fcntl.h>

#include <algorithm>

#include "container/image.h"
#include "container/image_state.h"
#include "container/registry.h"
#include "os/file.h"

namespace wherry::container {
namespace {

// Adds up what the layers' threads report.
class ProgressSum {
 public:
  ProgressSum(uint64_t total, const std::function<void(const PullProgress&)>& tell)
      : tell_(tell), sum_{0, total} {}
  void add(uint64_t bytes) {
    if (!tell_) return;
    PullProgress now;
    {
      MutexLock lock(mutex_);
      sum_.done_bytes += bytes;
      now = sum_;
    }
    tell_(now);
  }

 private:
  const std::function<void(const PullProgress&)>& tell_;
  Mutex mutex_;
  PullProgress sum_ GUARDED_BY(mutex_);
};

LayerStore::Provide provide_blob(Registry& registry, const Descriptor& layer,
                                 const std::string& path, ProgressSum& progress) {
  return [&registry, &layer, path, &progress](const LayerStore::Take& take) -> Result<void> {
    auto work = [&]() -> Result<void> {
      TRY(registry.download(layer, path, [&](uint64_t bytes) { progress.add(bytes); }));
      os::Fd fd = TRY(os::open_file(path, O_RDONLY));
      std::unique_ptr<ByteSource> source = make_fd_source(fd.get());
      Result<void> taken = take(*source);
      // Unpacked, it is not needed any more; not unpackable, it will not be next time either.
      TRY(os::remove_file(path));
      return taken;
    };
    Result<void> outcome = work();
    if (outcome.ok()) return outcome;
    return std::move(outcome).error().with_prefix(
        fmt::format("failed to extract layer {}", layer.digest));
  };
}

}  // namespace

Result<Image> ImageStore::pull(const std::string& text, const std::vector<Credentials>& credentials,
                               const std::stop_token& stop,
                               const std::function<void(const PullProgress&)>& tell) {
  Reference reference = TRY(Reference::parse(text));
  // What was made here comes from nowhere else, whatever the pull policy.
  if (reference.registry == kSelfRegistry) return find(text);
  Registry registry(reference, credentials, stop);
  std::string full = reference.full();
  auto resolving = [&](Error error) {
    return std::move(error).with_prefix(fmt::format(
        "failed to pull and unpack image \"{}\": failed to resolve reference \"{}\"", full, full));
  };
  auto pulling = [&](Error error) {
    return std::move(error).with_prefix(
        fmt::format("failed to pull and unpack image \"{}\"", full));
  };

  Result<Registry::Fetched> fetched = registry.manifest(reference.tag_or_digest());
  if (!fetched.ok()) return resolving(std::move(fetched).error());
  Install request;
  request.digest = fetched->digest;
  auto gather = [&]() -> Result<Manifest> {
    std::string document = fetched->text;
    if (is_index(document, fetched->media_type)) {
      Descriptor chosen = TRY(choose_manifest(document, native_platform()));
      Registry::Fetched inner = TRY(registry.manifest(chosen.digest));
      document = std::move(inner.text);
    }
    Manifest manifest = TRY(parse_manifest(document));
    request.config_text = TRY(registry.small_blob(manifest.config));
    return manifest;
  };
  Result<Manifest> manifest = gather();
  if (!manifest.ok()) return pulling(std::move(manifest).error());

  if (reference.digest.empty()) request.names.push_back(full);
  request.digests.push_back(reference.name() + "@" + request.digest);
  uint64_t total = 0;
  for (const Descriptor& layer : manifest->layers) total += layer.size;
  ProgressSum progress(total, tell);
  for (const Descriptor& layer : manifest->layers) {
    std::string path = directory_ + "/ingest/" + layer.digest.substr(layer.digest.find(':') + 1);
    request.layers.push_back(provide_blob(registry, layer, path, progress));
  }
  Result<Image> image = install(request, stop);
  if (!image.ok()) return pulling(std::move(image).error());
  return image;
}

}  // namespace wherry::container
