// The demo image: the running binary itself, one static file.

#include <sys/stat.h>

#include "container/image.h"
#include "os/file.h"

namespace wherry::container {

Result<void> import_self_image(ImageStore& store) {
  std::string binary = TRY(os::read_link("/proc/self/exe"));
  struct stat info {};
  // Through the link, so that a binary replaced while we run is still the one we are.
  if (stat("/proc/self/exe", &info) != 0) return Error::from_errno(errno, binary);
  std::string fingerprint =
      fmt::format("{}:{}.{:09}", info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  ImageConfig config;
  config.entrypoint = {"/wherry", "hello"};
  config.env = {"PATH=/"};
  config.exposed_ports = {"8080/tcp"};
  std::vector<ImageStore::LocalFile> files = {{"/proc/self/exe", "wherry", 0755}};
  TRY(store.add_local(std::string(kSelfImageName), files, config, fingerprint));
  return {};
}

}  // namespace wherry::container
