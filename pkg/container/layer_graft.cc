#include "container/layer_graft.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>

#include "base/strings.h"
#include "os/file.h"

namespace wherry::container {
namespace {

constexpr unsigned kPlainMode = 0755;
constexpr int kLinksMax = 40;  // As the kernel.

struct Found {
  std::string path;  // On the disk.
  struct stat info;
};

std::string join(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

bool is_whiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == 0; }

bool is_opaque(const std::string& path) {
  for (const char* name : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
    char value = 0;
    if (lgetxattr(path.c_str(), name, &value, 1) == 1 && value == 'y') return true;
  }
  return false;
}

// What the layers together have at `path`, whose folders are no links; the way overlayfs looks.
std::optional<Found> look(const Folders& below, const std::string& path) {
  for (const std::string& layer : below) {
    Found found{layer, {}};
    bool here = true, last = is_opaque(layer);
    std::vector<std::string_view> parts = split(path, '/');
    for (size_t i = 0; i < parts.size(); ++i) {
      found.path += "/" + std::string(parts[i]);
      here = lstat(found.path.c_str(), &found.info) == 0;
      if (!here) break;
      if (is_whiteout(found.info)) return {};
      if (i + 1 == parts.size()) break;
      if (!S_ISDIR(found.info.st_mode)) return {};
      last = last || is_opaque(found.path);
    }
    if (here) return found;
    if (last) return {};
  }
  return {};
}

// Whether `layer` lets the layers below it show through at `path`.
bool shows_below(const std::string& layer, const std::string& path) {
  std::string at = layer;
  if (is_opaque(at)) return false;
  for (std::string_view part : split(path, '/')) {
    at += "/" + std::string(part);
    struct stat info {};
    if (lstat(at.c_str(), &info) != 0) return true;
    if (!S_ISDIR(info.st_mode) || is_opaque(at)) return false;
  }
  return true;
}

// Where a path leads when links are followed inside the root. What is not there stays as it is.
Result<std::string> resolve(const Folders& below, const std::string& path) {
  std::vector<std::string> left;  // The next part last.
  auto push = [&](const std::string& more) {
    std::vector<std::string_view> parts = split(more, '/');
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) left.emplace_back(*part);
  };
  push(path);
  std::string at;
  int links = 0;
  while (!left.empty()) {
    std::string part = std::move(left.back());
    left.pop_back();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      size_t slash = at.rfind('/');
      at.resize(slash == std::string::npos ? 0 : slash);
      continue;
    }
    std::string next = join(at, part);
    std::optional<Found> found = look(below, next);
    if (!found || !S_ISLNK(found->info.st_mode)) {
      at = std::move(next);
      continue;
    }
    if (++links > kLinksMax) return Error::invalid("{}: too many symbolic links", path);
    std::string link = TRY(os::read_link(found->path));
    if (link.starts_with('/')) at.clear();
    push(link);
  }
  return at;
}

// Owner, mode, attributes and times; the times are lost when something is made in the folder.
Result<void> copy_metadata(const std::string& from, const struct stat& info,
                           const std::string& to) {
  if (geteuid() == 0) TRY(os::change_owner(to, info.st_uid, info.st_gid));
  TRY(os::change_mode(to, info.st_mode & 07777));
  char names[4096];
  ssize_t length = llistxattr(from.c_str(), names, sizeof names);
  for (ssize_t at = 0; at < length;
       at += static_cast<ssize_t>(std::string_view(names + at).size()) + 1) {
    char value[4096];
    ssize_t size = lgetxattr(from.c_str(), names + at, value, sizeof value);
    if (size >= 0) lsetxattr(to.c_str(), names + at, value, static_cast<size_t>(size), 0);
  }
  const timespec times[2] = {info.st_atim, info.st_mtim};
  utimensat(AT_FDCWD, to.c_str(), times, AT_SYMLINK_NOFOLLOW);
  return {};
}

class Graft {
 public:
  Graft(const std::string& layer, const Loose& loose, const Folders& below,
        const std::string& target)
      : layer_(layer),
        implied_(loose.implied.begin(), loose.implied.end()),
        links_(loose.links),
        below_(below),
        target_(target) {}

  Result<void> folder(const std::string& from, const std::string& to) {
    for (const std::string& name : TRY(os::list_directory(layer_ + "/" + from))) {
      std::string inner = join(from, name);
      std::string path = layer_ + "/" + inner;
      struct stat info {};
      if (lstat(path.c_str(), &info) != 0) return Error::from_errno(errno, path);
      if (S_ISDIR(info.st_mode)) {
        TRY(implied_.count(inner) != 0 ? implied(inner, join(to, name))
                                       : explicit_folder(inner, join(to, name), info));
      } else {
        TRY(place(path, target_ + "/" + join(to, name)));
      }
    }
    return {};
  }

  // Once the rest is there.
  Result<void> link_to_below() {
    for (const auto& [name, link] : links_) {
      size_t slash = name.rfind('/');
      std::string above = slash == std::string::npos ? "" : name.substr(0, slash);
      std::string to = TRY(place_of(above));
      if (!to.empty()) TRY(make(to));
      std::string from = TRY(linked(link));
      TRY(place(from, target_ + "/" + join(to, name.substr(slash + 1))));
    }
    return {};
  }

 private:
  // Where a folder of the layer goes.
  Result<std::string> place_of(const std::string& folder_path) {
    std::string from, to;
    for (std::string_view part : split(folder_path, '/')) {
      if (part.empty()) continue;
      from = join(from, std::string(part));
      to = join(to, std::string(part));
      if (implied_.count(from) != 0) to = TRY(resolve(below_, to));
    }
    return to;
  }

  // The file on the disk that a hard link is to: another link of the layer leads on.
  Result<std::string> linked(const std::string& link) {
    std::string at = link;
    for (int links = 0; links_.count(at) != 0; ++links) {
      if (links > kLinksMax) return Error::invalid("{}: too many hard links", link);
      at = links_.at(at);
    }
    size_t slash = at.rfind('/');
    std::string above = slash == std::string::npos ? "" : at.substr(0, slash);
    std::string path = join(TRY(resolve(below_, above)), at.substr(slash + 1));
    std::optional<Found> found = look(below_, path);
    if (!found || S_ISDIR(found->info.st_mode))
      return Error::invalid("a hard link to {}, which no layer below has", quote(link));
    return found->path;
  }

  Result<void> implied(const std::string& from, const std::string& to) {
    std::string real = TRY(resolve(below_, to));
    TRY(make(real));
    return folder(from, real);
  }

  Result<void> explicit_folder(const std::string& from, const std::string& to,
                               const struct stat& info) {
    TRY(make(to));
    TRY(folder(from, to));
    return copy_metadata(layer_ + "/" + from, info, target_ + "/" + to);
  }

  // The folder and those above it, as they are below.
  Result<void> make(const std::string& path) {
    std::string at;
    for (std::string_view part : split(path, '/')) {
      at = join(at, std::string(part));
      std::string here = target_ + "/" + at;
      if (mkdir(here.c_str(), kPlainMode) != 0) {
        if (errno == EEXIST && os::is_directory(here)) continue;
        return Error::from_errno(errno, at);
      }
      std::optional<Found> found = look(below_, at);
      if (found && S_ISDIR(found->info.st_mode)) {
        TRY(copy_metadata(found->path, found->info, here));
        // What the lower folder hides stays hidden by that folder itself.
        for (const char* name : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
          lremovexattr(here.c_str(), name);
        }
      }
    }
    return {};
  }

  static Result<void> place(const std::string& from, const std::string& to) {
    if (linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) == 0) return {};
    if (errno != EEXIST) return Error::from_errno(errno, to);
    TRY(os::remove_file(to));
    if (linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) == 0) return {};
    return Error::from_errno(errno, to);
  }

  const std::string& layer_;
  const std::set<std::string> implied_;
  const std::map<std::string, std::string>& links_;
  const Folders& below_;
  const std::string& target_;
};

}  // namespace

bool wants_graft(const Loose& loose, const Folders& below) {
  const std::vector<std::string>& implied = loose.implied;
  if (!loose.links.empty()) return true;
  return std::any_of(implied.begin(), implied.end(), [&](const std::string& path) {
    std::optional<Found> found = look(below, path);
    if (!found) return false;
    if (!S_ISDIR(found->info.st_mode)) return S_ISLNK(found->info.st_mode) != 0;
    bool plain = (found->info.st_mode & 07777) == kPlainMode;
    return !plain || (geteuid() == 0 && (found->info.st_uid != 0 || found->info.st_gid != 0));
  });
}

Result<void> graft_layer(const std::string& layer, const Loose& loose, const Folders& below,
                         const std::string& target) {
  Graft graft(layer, loose, below, target);
  TRY(graft.folder("", ""));
  TRY(graft.link_to_below());
  struct stat info {};
  if (lstat(layer.c_str(), &info) != 0) return Error::from_errno(errno, layer);
  return copy_metadata(layer, info, target);
}

Result<Folders> subtree(const Folders& layers, const std::string& path) {
  std::string real = TRY(resolve(layers, path));
  if (real.empty()) return layers;
  Folders out;
  for (auto layer = layers.begin(); layer != layers.end(); ++layer) {
    // What one layer and those below it have; looked at in each layer in turn.
    std::optional<Found> found = look({layer, layers.end()}, real);
    if (!found) break;
    if (!S_ISDIR(found->info.st_mode)) {
      if (out.empty()) out.push_back(found->path);
      break;
    }
    if (out.empty() || out.back() != found->path) out.push_back(found->path);
    if (!shows_below(*layer, real)) break;
  }
  if (out.empty()) return Error::not_found("the image has nothing at {}", quote(path));
  return out;
}

}  // namespace wherry::container
