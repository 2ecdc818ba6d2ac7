#pragma once
// ImageStore: the images of this node: content by digest, layers unpacked once and shared, names.
//
// On disk, under the folder given (data-dir/agent/images):
//   blobs/sha256/HEX   manifests and configs, verified; layer blobs are dropped once unpacked
//   ingest/HEX         a download that is not complete yet; resumed by the next pull
//   l/N                an unpacked layer; short names, since overlay takes one page of them
//   index.json         names -> images, diff ids -> N; replaced atomically
//
// All methods may be called from any thread. Pulls of the same reference at the same time are made
// once. An image in use by a container must not be removed: the caller passes what is in use.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "container/reference.h"
#include "os/fd.h"

namespace wherry::container {

// What an image says about how to run it (OCI image config).
struct ImageConfig {
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> env;  // "A=b"
  std::string working_dir;
  std::string user;                        // "1000", "nginx", "1000:1000" or empty (root).
  std::string stop_signal;                 // "SIGTERM", "3" or empty.
  std::vector<std::string> exposed_ports;  // "80/tcp"
  std::vector<std::string> volumes;
  std::map<std::string, std::string> labels;
};

struct Image {
  std::string id;  // Digest of the config: "sha256:...". status.containerStatuses[].imageID.
  std::string
      digest;  // Digest of the manifest that was asked for (an index's own digest when it was one).
  std::vector<std::string> tags;     // "docker.io/library/nginx:latest"
  std::vector<std::string> digests;  // "docker.io/library/nginx@sha256:..."
  uint64_t size_bytes = 0;           // Unpacked layers.
  std::string created;               // RFC 3339, from the config.
  ImageConfig config;
  std::vector<std::string> layers;  // Unpacked folders, lowest first.

  // What status.containerStatuses[].imageID shows: name@digest when known, else the id.
  std::string image_id_text() const { return digests.empty() ? id : digests.front(); }
};

struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;  // OAuth2 refresh token, instead of a password.
  std::string registry_token;  // A bearer token to send as it is.
};

struct PullProgress {
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;
};

// A user of an image, by its own /etc/passwd and /etc/group.
struct ImageUser {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home = "/";
  std::string name;              // Empty when the image does not name this uid.
  std::vector<uint32_t> groups;  // Supplemental, from /etc/group.
};

class ImageStore {
 public:
  // Opens or creates the store; damaged parts are dropped, never fatal. `clock` stamps last use.
  static Result<std::unique_ptr<ImageStore>> open(const std::string& directory, const Clock& clock);
  ~ImageStore();

  // From the registry. kInvalid: bad name; kNotFound, kUnauthorized, kForbidden: the registry's
  // answer; kUnavailable: cannot be reached; kInternal: digest mismatch and other damage. Messages
  // name the cause, worded so that they can follow "Failed to pull image ...: ". Each of
  // `credentials` is tried in order, then none.
  Result<Image> pull(const std::string& reference, const std::vector<Credentials>& credentials,
                     const std::stop_token& stop,
                     const std::function<void(const PullProgress&)>& progress = {});

  // By any spelling of a name, by digest or by id; kNotFound otherwise.
  Result<Image> find(const std::string& reference) const;
  std::vector<Image> list() const;

  // A docker-archive or OCI layout as a tar, plain or compressed; gives the images' names. `name`
  // is given to an image that carries none.
  Result<std::vector<Image>> import_file(const std::string& path, const std::string& name = "");
  Result<std::vector<Image>> import_stream(int fd, const std::string& name = "");

  // Takes away one name (or with an id all of them); content goes when nothing names it any more.
  Result<void> remove(const std::string& reference);
  // Removes images not in `keep_ids` whose last use is older than `min_age`, oldest first, until
  // `bytes` are freed. Gives what was freed.
  Result<uint64_t> collect(uint64_t bytes, const std::set<std::string>& keep_ids, Duration min_age);
  uint64_t used_bytes() const;
  const std::string& directory() const { return directory_; }

  // Builds an image from files on this machine: one layer. Used for the demo image.
  struct LocalFile {
    std::string source;  // On the host; cloned or hard-linked when possible.
    std::string target;  // In the image: "wherry".
    unsigned mode = 0755;
  };
  Result<Image> add_local(const std::string& name, const std::vector<LocalFile>& files,
                          const ImageConfig& config, const std::string& fingerprint);

 private:
  struct State;
  struct Install;
  ImageStore(std::string directory, const Clock& clock);
  Result<void> load();
  Result<Image> install(const Install& request, const std::stop_token& stop);
  Result<std::vector<Image>> import_folder(const std::string& folder, const std::string& name);

  const std::string directory_;
  const Clock& clock_;
  std::unique_ptr<State> state_;
};

// `user` as in the image config or "uid[:gid]" or a name. kInvalid when a name is not in the image.
Result<ImageUser> resolve_user(const Image& image, const std::string& user);
// Reads a file of the image through its layers, highest first; links are followed inside the image.
Result<std::string> read_image_file(const Image& image, const std::string& path);

// wherry.local/hello:latest, made from the running binary; remade when the binary has changed.
Result<void> import_self_image(ImageStore& store);
inline constexpr std::string_view kSelfImageName = "wherry.local/hello:latest";
inline constexpr std::string_view kSelfRegistry = "wherry.local";  // Never asked: nobody's host.

}  // namespace wherry::container
