#pragma once
// ImagesDoor: how `wherry images` reaches the image store of a running server, which alone may
// touch it. A unix socket, <data-dir>/agent/images.sock, mode 0600; whole messages, each a JSON
// object:
//
//   {"verb": "list"}                        answered by {"image": {...}} for each
//   {"verb": "import", "name": "x:1"}       with the file's descriptor; {"image": {...}} for each
//   imported
//   {"verb": "remove", "name": "x:1"}       with "force": true even while a pod uses it
//
// and at the end {"done": true} or {"error": "..."}. One request a connection, one connection at a
// time.
//
// Threads: its own, "images-door". Made after the store, stopped before it.

#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "container/image.h"
#include "json/json.h"
#include "os/fd.h"
#include "os/poll.h"

namespace wherry::command {

class ImagesDoor {
 public:
  // Outside a server the store is opened directly and asked by the same code: see answer().
  ImagesDoor(container::ImageStore& images, std::string data_dir)
      : images_(images), data_dir_(std::move(data_dir)) {}
  ~ImagesDoor() { stop(); }
  ImagesDoor(const ImagesDoor&) = delete;
  ImagesDoor& operator=(const ImagesDoor&) = delete;

  Result<void> start();
  void stop();

  static std::string socket_path(const std::string& data_dir) {
    return data_dir + "/agent/images.sock";
  }

  // Does what a request asks; each image goes to `emit`. `file` is the descriptor for an import.
  using Emit = std::function<Result<void>(const container::Image& image)>;
  static Result<void> answer(container::ImageStore& images, const std::string& data_dir,
                             json::Value request, int file, const Emit& emit);

 private:
  void run(const std::stop_token& stop);
  void serve(os::Fd peer);

  container::ImageStore& images_;
  const std::string data_dir_;
  os::Fd listener_;
  std::optional<os::EventFd> wake_;
  std::jthread thread_;
};

}  // namespace wherry::command
