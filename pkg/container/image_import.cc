// Images from archives: what `docker save`, `podman save`, `skopeo copy` and `ctr export` write.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "container/byte_source.h"
#include "container/image.h"
#include "container/image_state.h"
#include "container/tar.h"
#include "json/json.h"
#include "os/file.h"
#include "pki/pki.h"

namespace wherry::container {
namespace {

constexpr std::string_view kRefAnnotation = "org.opencontainers.image.ref.name";
constexpr std::string_view kNameAnnotation = "io.containerd.image.name";
constexpr size_t kDocumentBytesMax = 8 << 20;

bool safe_name(std::string_view name) {
  for (std::string_view part : split(name, '/')) {
    if (part == "..") return false;
  }
  return !name.empty();
}

// Takes the archive apart into plain files of `folder`; links inside it become copies by name.
Result<void> extract(ByteSource& source, const std::string& folder) {
  std::unique_ptr<ByteSource> plain = TRY(inflate(source));
  TarReader reader(*plain);
  std::vector<char> buffer(128 << 10);
  while (true) {
    std::optional<TarEntry> entry = TRY(reader.next());
    if (!entry) return {};
    if (!safe_name(entry->name))
      return Error::invalid("archive entry {} leaves the archive", quote(entry->name));
    std::string path = folder + "/" + entry->name;
    size_t slash = path.rfind('/');
    if (entry->type == TarType::kSymlink || entry->type == TarType::kHardLink) {
      // Old docker archives name a shared layer by a link to another layer of the archive.
      std::string base =
          entry->type == TarType::kSymlink ? entry->name.substr(0, entry->name.rfind('/') + 1) : "";
      std::string target = base + entry->link;
      while (target.find("/../") != std::string::npos) {
        size_t up = target.find("/../");
        size_t before = up == 0 ? std::string::npos : target.rfind('/', up - 1);
        target.erase(before == std::string::npos ? 0 : before + 1,
                     up + 4 - (before == std::string::npos ? 0 : before + 1));
      }
      if (!safe_name(target))
        return Error::invalid("archive link {} leaves the archive", quote(entry->name));
      TRY(os::make_directories(path.substr(0, slash), 0700));
      TRY(os::remove_file(path));
      if (link((folder + "/" + target).c_str(), path.c_str()) != 0)
        return Error::from_errno(errno, entry->name);
      continue;
    }
    if (entry->type == TarType::kDirectory) {
      TRY(os::make_directories(path, 0700));
      continue;
    }
    if (entry->type != TarType::kFile) continue;
    TRY(os::make_directories(path.substr(0, slash), 0700));
    os::Fd file = TRY(os::open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    while (true) {
      size_t count = TRY(reader.read(buffer.data(), buffer.size()));
      if (count == 0) break;
      TRY(os::write_all(file.get(), std::string_view(buffer.data(), count)));
    }
  }
}

Result<std::string> read_document(const std::string& path) {
  os::Fd fd = TRY(os::open_file(path, O_RDONLY));
  return os::read_all(fd.get(), kDocumentBytesMax);
}

LayerStore::Provide provide_file(std::string path) {
  return [path = std::move(path)](const LayerStore::Take& take) -> Result<void> {
    os::Fd fd = TRY(os::open_file(path, O_RDONLY));
    std::unique_ptr<ByteSource> source = make_fd_source(fd.get());
    return take(*source);
  };
}

std::string layout_blob(const std::string& folder, const std::string& digest) {
  return folder + "/blobs/sha256/" + digest.substr(digest.find(':') + 1);
}

Result<std::string> read_blob(const std::string& folder, const std::string& digest) {
  std::string text = TRY(read_document(layout_blob(folder, digest)));
  if ("sha256:" + pki::sha256_hex(text) != digest)
    return Error::invalid("blob {} is damaged", digest);
  return text;
}

// What an OCI layout's index calls an image: a full name, or only a tag.
std::string layout_name(json::Value entry, const std::string& fallback) {
  for (std::string_view key : {kNameAnnotation, kRefAnnotation}) {
    std::string_view name = entry["annotations"][key].as_string();
    if (name.empty()) continue;
    if (name.find('/') != std::string_view::npos || name.find(':') != std::string_view::npos) {
      return std::string(name);
    }
    if (!fallback.empty()) return fallback;
    if (key == kRefAnnotation) return std::string(name);
  }
  return fallback;
}

}  // namespace

Result<std::vector<Image>> ImageStore::import_file(const std::string& path,
                                                   const std::string& name) {
  os::Fd fd = TRY(os::open_file(path, O_RDONLY));
  return import_stream(fd.get(), name);
}

Result<std::vector<Image>> ImageStore::import_stream(int fd, const std::string& name) {
  os::TempDirectory folder = TRY(os::TempDirectory::make(directory_ + "/ingest"));
  std::unique_ptr<ByteSource> source = make_fd_source(fd);
  TRY(extract(*source, folder.path()));
  return import_folder(folder.path(), name);
}

Result<std::vector<Image>> ImageStore::import_folder(const std::string& folder,
                                                     const std::string& name) {
  std::vector<Install> requests;
  bool layout = !os::exists(folder + "/manifest.json");
  if (!layout) {
    std::string text = TRY(read_document(folder + "/manifest.json"));
    json::Document document = TRY(json::Document::parse(text));
    for (json::Value entry : document.root().items()) {
      Install request;
      if (!safe_name(entry["Config"].as_string()))
        return Error::invalid("the archive's manifest names no config");
      request.config_text =
          TRY(read_document(folder + "/" + std::string(entry["Config"].as_string())));
      request.digest = "sha256:" + pki::sha256_hex(request.config_text);
      for (json::Value tag : entry["RepoTags"].items()) request.names.emplace_back(tag.as_string());
      for (json::Value layer : entry["Layers"].items()) {
        if (!safe_name(layer.as_string()))
          return Error::invalid("the archive's manifest names a strange layer");
        request.layers.push_back(provide_file(folder + "/" + std::string(layer.as_string())));
      }
      requests.push_back(std::move(request));
    }
  } else if (os::exists(folder + "/index.json")) {
    std::string text = TRY(read_document(folder + "/index.json"));
    json::Document document = TRY(json::Document::parse(text));
    for (json::Value entry : document.root()["manifests"].items()) {
      Install request;
      std::string digest(entry["digest"].as_string());
      if (!valid_digest(digest)) return Error::invalid("the layout's index names no digest");
      request.digest = digest;
      std::string manifest_text = TRY(read_blob(folder, digest));
      if (is_index(manifest_text, entry["mediaType"].as_string())) {
        Descriptor chosen = TRY(choose_manifest(manifest_text, native_platform()));
        manifest_text = TRY(read_blob(folder, chosen.digest));
      }
      Manifest manifest = TRY(parse_manifest(manifest_text));
      request.config_text = TRY(read_blob(folder, manifest.config.digest));
      for (const Descriptor& layer : manifest.layers) {
        request.layers.push_back(provide_file(layout_blob(folder, layer.digest)));
      }
      std::string given = layout_name(entry, name);
      if (!given.empty()) request.names.push_back(given);
      requests.push_back(std::move(request));
    }
  } else {
    return Error::invalid("this is no image archive: it has neither manifest.json nor index.json");
  }

  std::vector<Image> images;
  std::stop_source never;
  for (Install& request : requests) {
    if (request.names.empty() && !name.empty()) request.names.push_back(name);
    for (std::string& one : request.names) {
      Reference reference = TRY(Reference::parse(one));
      one = reference.full();
      // A docker archive does not say what its manifest's digest is in a registry.
      if (layout) request.digests.push_back(reference.name() + "@" + request.digest);
    }
    Image image = TRY(install(request, never.get_token()));
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace wherry::container
