#pragma once
// NodeApi: what the API server asks of the node that runs a pod: logs, exec, attach, port-forward.
// The agent in the same process implements it directly; a remote agent through its tunnel. Streams
// are plain descriptors, so one poll loop serves client and container. Any thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "os/fd.h"

namespace wherry::client {

struct ContainerRef {
  std::string ns;
  std::string pod;
  std::string uid;
  std::string container;  // Empty for port-forward.
};

// core/v1 PodLogOptions.
struct LogOptions {
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  std::optional<int64_t> since_seconds;
  std::optional<Time> since_time;
  std::optional<int64_t> tail_lines;
  std::optional<int64_t> limit_bytes;
};

struct ExecOptions {
  std::vector<std::string> command;  // Empty for attach.
  bool stdin_on = false;
  bool stdout_on = true;
  bool stderr_on = true;
  bool tty = false;
};

// A process in a container with its streams; ended (hung up) when destroyed. One thread.
class ExecSession {
 public:
  virtual ~ExecSession() = default;
  // -1 when not asked for. Non-blocking. With a tty standard error comes through stdout_fd.
  virtual int stdin_fd() const = 0;
  virtual int stdout_fd() const = 0;
  virtual int stderr_fd() const = 0;
  virtual void close_stdin() = 0;
  virtual void resize(uint16_t width, uint16_t height) = 0;
  // Readable (pollable) once the process has ended; then exit_code() answers. For attach: container
  // end.
  virtual int exit_fd() const = 0;
  virtual Result<int> exit_code() = 0;
};

class NodeApi {
 public:
  virtual ~NodeApi() = default;
  // Calls write for each piece of log until the end (or, with follow, until the container is gone,
  // or write returns false, or `stop` fires).
  virtual Result<void> logs(const ContainerRef& container, const LogOptions& options,
                            const std::function<bool(std::string_view)>& write,
                            const std::function<bool()>& stopped) = 0;
  virtual Result<std::unique_ptr<ExecSession>> exec(const ContainerRef& container,
                                                    const ExecOptions& options) = 0;
  virtual Result<std::unique_ptr<ExecSession>> attach(const ContainerRef& container,
                                                      const ExecOptions& options) = 0;
  // A socket connected to 127.0.0.1:port inside the pod's network namespace.
  virtual Result<os::Fd> dial(const ContainerRef& pod, uint16_t port) = 0;
};

// Finds the NodeApi of a node by name; null when the node is not connected.
class NodeDirectory {
 public:
  virtual ~NodeDirectory() = default;
  virtual NodeApi* find(std::string_view node_name) = 0;
};

}  // namespace wherry::client
