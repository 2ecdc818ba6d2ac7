#include "agent/subpath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "agent/payload.h"
#include "base/strings.h"
#include "os/file.h"

namespace wherry::agent {
namespace {

os::Fd open_beneath(int root, const std::string& path) {
  struct open_how how {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return os::Fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
}

}  // namespace

Result<std::string> resolve_subpath(const std::string& volume, std::string_view subpath) {
  if (!safe_relative_path(subpath)) {
    return Error::invalid("unable to provision SubPath `{}`: must not be absolute or contain '..'",
                          subpath);
  }
  os::Fd root = TRY(os::open_file(volume, O_PATH | O_CLOEXEC));
  struct stat info {};
  if (::fstat(root.get(), &info) != 0) return Error::from_errno(errno, volume);

  std::string walked;
  os::Fd at;
  for (std::string_view part : split(subpath, '/')) {
    if (part.empty() || part == ".") continue;
    std::string next = walked.empty() ? std::string(part) : walked + "/" + std::string(part);
    os::Fd opened = open_beneath(root.get(), next);
    if (!opened && errno == ENOENT) {
      int parent = at ? at.get() : root.get();
      // A folder made for a subPath is as open as the volume itself.
      if (::mkdirat(parent, std::string(part).c_str(), 0750) == 0) {
        ::fchmodat(parent, std::string(part).c_str(), info.st_mode & 07777, 0);
        (void)!::fchownat(parent, std::string(part).c_str(), info.st_uid, info.st_gid, 0);
      }
      opened = open_beneath(root.get(), next);
    }
    if (!opened) {
      return Error::invalid(
          "unable to provision SubPath `{}`: {}", subpath,
          errno == EXDEV || errno == ELOOP ? "it leads out of the volume" : "cannot be opened");
    }
    at = std::move(opened);
    walked = next;
  }
  if (!at) return volume;
  return os::read_link("/proc/self/fd/" + std::to_string(at.get()));
}

}  // namespace wherry::agent
