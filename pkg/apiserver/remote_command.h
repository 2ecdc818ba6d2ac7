#pragma once
// The loop between a client's channels and a process in a container. One thread, until either side
// ends.

#include <string>

#include "apiserver/remote_channels.h"
#include "client/node_api.h"

namespace wherry::apiserver {

// Starts the session by `start` once the client's channels stand, and pumps until it ends.
// Everything that goes wrong is told to the client on the error channel.
void run_remote_command(RemoteChannels& channels, const client::ExecOptions& options,
                        const std::function<Result<std::unique_ptr<client::ExecSession>>()>& start);

// A byte count, 0 with `end` at the end of file, nothing when it would block.
struct ReadSome {
  std::string data;
  bool end = false;
};
ReadSome read_some(int fd, size_t size);
// How many bytes went; SIZE_MAX when the other side is gone.
size_t write_some(int fd, std::string_view data);

}  // namespace wherry::apiserver
