// Files of an image read without mounting it, and its users by its own passwd and group files (the
// C library's functions would load modules of the host).

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "container/image.h"
#include "os/file.h"

namespace wherry::container {
namespace {

constexpr int kLinksMax = 40;
constexpr size_t kFileBytesMax = 4 << 20;

enum class Found { kNothing, kWhiteout, kOther, kLink, kFile };

// What one layer has at a path. A whiteout, or a file where a folder would have to be, hides what
// lies below.
Found look(const std::string& layer, const std::vector<std::string>& parts,
           std::string& link_target, size_t& link_at) {
  std::string path = layer;
  for (size_t i = 0; i < parts.size(); ++i) {
    path += "/" + parts[i];
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return Found::kNothing;
    if (S_ISCHR(info.st_mode) && info.st_rdev == 0) return Found::kWhiteout;
    if (S_ISLNK(info.st_mode)) {
      Result<std::string> target = os::read_link(path);
      if (!target.ok()) return Found::kOther;
      link_target = std::move(target).value();
      link_at = i;
      return Found::kLink;
    }
    bool last = i + 1 == parts.size();
    if (last) return S_ISREG(info.st_mode) ? Found::kFile : Found::kOther;
    if (!S_ISDIR(info.st_mode)) return Found::kOther;
  }
  return Found::kOther;
}

std::vector<std::string> clean(const std::string& path) {
  std::vector<std::string> parts;
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
      continue;
    }
    parts.emplace_back(part);
  }
  return parts;
}

struct PasswdEntry {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home;
};

std::optional<uint32_t> id_of(std::string_view text) {
  auto number = parse_uint(text);
  if (!number || *number > 0xfffffffeULL) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

std::vector<PasswdEntry> passwd_of(const Image& image) {
  std::vector<PasswdEntry> out;
  Result<std::string> text = read_image_file(image, "/etc/passwd");
  if (!text.ok()) return out;
  for (std::string_view line : split(*text, '\n')) {
    std::vector<std::string_view> fields = split(trim(line), ':');
    if (fields.size() < 6) continue;
    auto uid = id_of(fields[2]);
    auto gid = id_of(fields[3]);
    if (uid && gid) out.push_back({std::string(fields[0]), *uid, *gid, std::string(fields[5])});
  }
  return out;
}

struct GroupEntry {
  std::string name;
  uint32_t gid = 0;
  std::vector<std::string> members;
};

std::vector<GroupEntry> groups_of(const Image& image) {
  std::vector<GroupEntry> out;
  Result<std::string> text = read_image_file(image, "/etc/group");
  if (!text.ok()) return out;
  for (std::string_view line : split(*text, '\n')) {
    std::vector<std::string_view> fields = split(trim(line), ':');
    if (fields.size() < 4) continue;
    auto gid = id_of(fields[2]);
    if (!gid) continue;
    GroupEntry entry{std::string(fields[0]), *gid, {}};
    for (std::string_view member : split(fields[3], ',')) {
      if (!member.empty()) entry.members.emplace_back(member);
    }
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace

Result<std::string> read_image_file(const Image& image, const std::string& path) {
  std::vector<std::string> parts = clean(path);
  for (int links = 0; links < kLinksMax; ++links) {
    bool followed = false;
    for (auto layer = image.layers.rbegin(); layer != image.layers.rend(); ++layer) {
      std::string target;
      size_t at = 0;
      Found found = look(*layer, parts, target, at);
      if (found == Found::kNothing) continue;
      if (found == Found::kWhiteout || found == Found::kOther)
        return Error::not_found("{}: not in the image", path);
      if (found == Found::kFile) {
        std::string whole = *layer;
        for (const std::string& part : parts) whole += "/" + part;
        os::Fd fd = TRY(os::open_file(whole, O_RDONLY | O_NOFOLLOW));
        return os::read_all(fd.get(), kFileBytesMax);
      }
      std::string next;
      if (!target.starts_with('/')) {
        for (size_t i = 0; i < at; ++i) next += "/" + parts[i];
      }
      next += "/" + target;
      for (size_t i = at + 1; i < parts.size(); ++i) next += "/" + parts[i];
      parts = clean(next);
      followed = true;
      break;
    }
    if (!followed) return Error::not_found("{}: not in the image", path);
  }
  return Error::not_found("{}: too many links in the image", path);
}

Result<ImageUser> resolve_user(const Image& image, const std::string& user) {
  ImageUser out;
  auto halves = split_once(user, ":");
  std::string who(halves ? halves->first : std::string_view(user));
  std::string group(halves ? halves->second : std::string_view());
  std::vector<PasswdEntry> passwd = passwd_of(image);
  std::optional<uint32_t> uid = who.empty() ? std::optional<uint32_t>(0) : id_of(who);
  auto entry = std::find_if(passwd.begin(), passwd.end(), [&](const PasswdEntry& one) {
    return uid ? one.uid == *uid : one.name == who;
  });
  if (entry != passwd.end()) {
    out.uid = entry->uid;
    out.gid = entry->gid;
    out.name = entry->name;
    if (!entry->home.empty()) out.home = entry->home;
  } else if (uid) {
    out.uid = *uid;
    if (*uid == 0) out.home = "/root";
  } else {
    return Error::invalid("unable to find user {}: no matching entries in passwd file", who);
  }
  std::vector<GroupEntry> groups = groups_of(image);
  if (!group.empty()) {
    std::optional<uint32_t> gid = id_of(group);
    auto found = std::find_if(groups.begin(), groups.end(),
                              [&](const GroupEntry& one) { return one.name == group; });
    if (!gid && found == groups.end()) {
      return Error::invalid("unable to find group {}: no matching entries in group file", group);
    }
    out.gid = gid ? *gid : found->gid;
  }
  for (const GroupEntry& one : groups) {
    bool member = !out.name.empty() &&
                  std::find(one.members.begin(), one.members.end(), out.name) != one.members.end();
    if (member) out.groups.push_back(one.gid);
  }
  return out;
}

}  // namespace wherry::container
