#include "agent/payload_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>

#include "base/random.h"
#include "base/strings.h"
#include "os/file.h"

namespace wherry::agent {
namespace {

std::string first_component(const std::string& path) { return path.substr(0, path.find('/')); }

PayloadFile effective(const PayloadFile& file, std::optional<uint32_t> fs_group) {
  PayloadFile out = file;
  if (fs_group) out.mode |= 0440;  // Volumes of this kind are read-only: no write for the group.
  return out;
}

bool same_file(const std::string& path, const PayloadFile& wanted) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  if ((info.st_mode & 0777) != wanted.mode) return false;
  Result<std::string> content = os::read_file(path);
  return content.ok() && *content == wanted.content;
}

void collect_files(const std::string& folder, const std::string& prefix,
                   std::set<std::string>* out) {
  Result<std::vector<std::string>> names = os::list_directory(folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    std::string path = folder + "/" + name;
    if (os::is_directory(path)) {
      collect_files(path, prefix + name + "/", out);
    } else {
      out->insert(prefix + name);
    }
  }
}

bool up_to_date(const std::string& folder, const Payload& payload,
                std::optional<uint32_t> fs_group) {
  std::string data = folder + "/..data";
  if (!os::exists(data)) return false;
  std::set<std::string> present;
  collect_files(data, "", &present);
  if (present.size() != payload.size()) return false;
  for (const auto& [path, file] : payload) {
    if (!present.contains(path)) return false;
    if (!same_file(data + "/" + path, effective(file, fs_group))) return false;
  }
  return true;
}

Result<void> write_files(const std::string& folder, const Payload& payload,
                         std::optional<uint32_t> fs_group) {
  for (const auto& [path, given] : payload) {
    PayloadFile file = effective(given, fs_group);
    std::string target = folder + "/" + path;
    for (size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      std::string parent = folder + "/" + path.substr(0, slash);
      TRY(os::make_directories(parent, 0755));
      TRY(os::change_mode(parent, 0755));
      if (fs_group) TRY(os::change_owner(parent, static_cast<uid_t>(-1), *fs_group));
    }
    os::Fd fd = TRY(
        os::open_file(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, file.mode));
    TRY(os::write_all(fd.get(), file.content));
    TRY(os::change_mode(target, file.mode));  // The umask must not narrow it.
    if (file.owner || fs_group) {
      TRY(os::change_owner(target, file.owner ? *file.owner : static_cast<uid_t>(-1),
                           fs_group ? *fs_group : static_cast<gid_t>(-1)));
    }
  }
  return {};
}

std::string version_name(Time now) {
  std::string text = format_micro_time(now);  // 2024-05-06T07:08:09.123456Z
  for (char& c : text) {
    if (c == '-' || c == 'T' || c == ':') c = '_';
  }
  text.pop_back();
  return ".." + text + random_suffix(3);
}

// Links to components that are gone are taken away, missing ones made.
Result<void> fix_links(const std::string& folder, const Payload& payload) {
  std::set<std::string> wanted;
  for (const auto& [path, file] : payload) wanted.insert(first_component(path));
  std::vector<std::string> names = TRY(os::list_directory(folder));
  for (const std::string& name : names) {
    if (name.starts_with("..")) continue;
    if (!wanted.contains(name)) TRY(os::remove_file(folder + "/" + name));
  }
  for (const std::string& name : wanted) {
    std::string link = folder + "/" + name;
    struct stat info {};
    if (::lstat(link.c_str(), &info) != 0) TRY(os::make_symlink("..data/" + name, link));
  }
  return {};
}

}  // namespace

Result<bool> write_payload(const std::string& folder, const Payload& payload,
                           std::optional<uint32_t> fs_group, Time now) {
  if (up_to_date(folder, payload, fs_group)) return false;
  Result<std::string> old = os::read_link(folder + "/..data");
  std::string version = version_name(now);
  std::string path = folder + "/" + version;
  TRY(os::make_directories(path, 0755));
  TRY(os::change_mode(path, 0755));
  if (fs_group) TRY(os::change_owner(path, static_cast<uid_t>(-1), *fs_group));
  TRY(write_files(path, payload, fs_group));
  TRY(os::remove_file(folder + "/..data_tmp"));
  TRY(os::make_symlink(version, folder + "/..data_tmp"));
  TRY(os::rename_path(folder + "/..data_tmp", folder + "/..data"));
  TRY(fix_links(folder, payload));
  if (old.ok() && old->starts_with("..")) TRY(os::remove_tree(folder + "/" + *old));
  return true;
}

}  // namespace wherry::agent
