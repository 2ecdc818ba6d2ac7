#pragma once
// Unix sockets that carry whole messages (SOCK_SEQPACKET) and descriptors. Paths may be longer than
// the 107 bytes the kernel takes: the folder is opened and the socket named through it.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/fd.h"
#include "os/poll.h"

namespace wherry::os {

enum class SocketKind { kStream, kSeqpacket };

Result<Fd> listen_unix(const std::string& path, SocketKind kind,
                       int backlog);  // Replaces an old one.
Result<Fd> connect_unix(const std::string& path,
                        SocketKind kind);  // kUnavailable when nobody listens.
Result<Fd> accept_unix(int listener);

struct Message {
  std::string data;  // Empty: the other side has closed.
  std::vector<Fd> fds;
};
Result<void> send_message(int fd, std::string_view data, const std::vector<int>& fds = {});
// Waits for one message of at most 64 KiB; kTimeout after the limit.
Result<Message> receive_message(int fd, std::optional<std::chrono::milliseconds> limit);

}  // namespace wherry::os
