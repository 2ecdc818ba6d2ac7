#pragma once
// Door: how commands of this machine reach a running server. A unix socket, mode 0600; whole
// messages, each a JSON object: one request, perhaps with a descriptor, then any number of answers,
// and at the end {"done": true} or {"error": "..."}. One request a connection, one connection at a
// time.
//
// Threads: its own, which runs `answer`. What that uses is made before the door and stopped after
// it.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"
#include "json/json.h"
#include "os/fd.h"
#include "os/poll.h"

namespace wherry::command {

class Door {
 public:
  using Emit = std::function<Result<void>(std::string_view message)>;
  // `file` is -1 when none came with the request.
  using Answer = std::function<Result<void>(json::Value request, int file, const Emit& emit)>;

  Door(std::string path, std::string thread_name, Answer answer)
      : path_(std::move(path)), thread_name_(std::move(thread_name)), answer_(std::move(answer)) {}
  ~Door() { stop(); }
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  Result<void> start();
  void stop();

 private:
  void run(const std::stop_token& stop);
  void serve(os::Fd peer);

  const std::string path_;
  const std::string thread_name_;
  const Answer answer_;
  os::Fd listener_;
  std::optional<os::EventFd> wake_;
  std::jthread thread_;
};

// The other side: sends the request, hands each answer to `on_message`, returns the outcome.
// kUnavailable or kNotFound when nobody listens.
Result<void> ask_door(const std::string& path, const std::string& request, int file,
                      const std::function<void(json::Value)>& on_message);

}  // namespace wherry::command
