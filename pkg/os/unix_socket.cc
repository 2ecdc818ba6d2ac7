#include "os/unix_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "os/file.h"

namespace wherry::os {
namespace {

constexpr size_t kMessageBytesMax = 64 << 10;
constexpr size_t kDescriptorsMax = 8;

int type_of(SocketKind kind) { return kind == SocketKind::kStream ? SOCK_STREAM : SOCK_SEQPACKET; }

// The address of `path`; `folder` keeps the descriptor that a long path is named through.
Result<sockaddr_un> address_of(const std::string& path, Fd& folder) {
  std::string name = path;
  if (name.size() >= sizeof(sockaddr_un::sun_path)) {
    size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return Error::invalid("socket path {} is too long", path);
    folder = TRY(open_file(path.substr(0, slash + 1), O_PATH | O_DIRECTORY));
    name = "/proc/self/fd/" + std::to_string(folder.get()) + path.substr(slash);
    if (name.size() >= sizeof(sockaddr_un::sun_path)) {
      return Error::invalid("socket path {} is too long", path);
    }
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  return address;
}

}  // namespace

Result<Fd> listen_unix(const std::string& path, SocketKind kind, int backlog) {
  TRY(remove_file(path));
  Fd folder;
  sockaddr_un address = TRY(address_of(path, folder));
  Fd fd(socket(AF_UNIX, type_of(kind) | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "socket");
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return Error::from_errno(errno, path);
  }
  if (chmod(path.c_str(), 0600) != 0) return Error::from_errno(errno, path);
  if (listen(fd.get(), backlog) != 0) return Error::from_errno(errno, path);
  return fd;
}

Result<Fd> connect_unix(const std::string& path, SocketKind kind) {
  Fd folder;
  sockaddr_un address = TRY(address_of(path, folder));
  Fd fd(socket(AF_UNIX, type_of(kind) | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "socket");
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT) {
      return Error::unavailable("nobody listens on {}", path);
    }
    return Error::from_errno(errno, path);
  }
  return fd;
}

Result<Fd> accept_unix(int listener) {
  while (true) {
    Fd fd(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (fd) return fd;
    if (errno != EINTR) return Error::from_errno(errno, "accept");
  }
}

Result<void> send_message(int fd, std::string_view data, const std::vector<int>& fds) {
  CHECK(fds.size() <= kDescriptorsMax);
  iovec part{const_cast<char*>(data.data()), data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptorsMax)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  while (true) {
    ssize_t count = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (count >= 0) return {};
    if (errno == EPIPE || errno == ECONNRESET)
      return Error::unavailable("the other side has closed");
    if (errno != EINTR) return Error::from_errno(errno, "sendmsg");
  }
}

Result<Message> receive_message(int fd, std::optional<std::chrono::milliseconds> limit) {
  if (!TRY(wait_for(fd, POLLIN, limit))) return Error::timeout("no answer in time");
  Message out;
  out.data.resize(kMessageBytesMax);
  iovec part{out.data.data(), out.data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptorsMax)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t count = 0;
  do {
    count = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && errno == ECONNRESET) count = 0;
  if (count < 0) return Error::from_errno(errno, "recvmsg");
  out.data.resize(static_cast<size_t>(count));
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t number = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::vector<int> raw(number);
    std::memcpy(raw.data(), CMSG_DATA(header), number * sizeof(int));
    for (int one : raw) out.fds.emplace_back(one);
  }
  return out;
}

}  // namespace wherry::os
