#include "door.h"

#include <poll.h>

#include "base/log.h"
#include "base/thread.h"
#include "os/file.h"
#include "os/unix_socket.h"

namespace wherry::command {
namespace {

constexpr std::chrono::seconds kRequestLimit{5};
constexpr int kWaitingMax = 8;

}  // namespace

Result<void> Door::start() {
  listener_ = TRY(os::listen_unix(path_, os::SocketKind::kSeqpacket, kWaitingMax));
  TRY(os::change_mode(path_, 0600));
  wake_ = TRY(os::EventFd::open());
  thread_ = start_thread(thread_name_, [this](const std::stop_token& stop) { run(stop); });
  return {};
}

void Door::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  wake_->signal();
  thread_.join();
  Result<void> removed = os::remove_file(path_);
  if (!removed.ok()) log::debug("{}: {}", thread_name_, removed.error().message());
}

void Door::run(const std::stop_token& stop) {
  pollfd waited[2] = {{listener_.get(), POLLIN, 0}, {wake_->fd(), POLLIN, 0}};
  while (!stop.stop_requested()) {
    if (poll(waited, 2, -1) < 0) continue;
    if (stop.stop_requested() || (waited[0].revents & POLLIN) == 0) continue;
    Result<os::Fd> peer = os::accept_unix(listener_.get());
    if (peer.ok()) serve(std::move(peer).value());
  }
}

void Door::serve(os::Fd peer) {
  Result<os::Message> message = os::receive_message(peer.get(), kRequestLimit);
  if (!message.ok() || message->data.empty()) return;
  Result<json::Document> request = json::Document::parse(message->data);
  Result<void> done;
  if (request.ok()) {
    int file = message->fds.empty() ? -1 : message->fds[0].get();
    done = answer_(request->root(), file,
                   [&](std::string_view text) { return os::send_message(peer.get(), text); });
  } else {
    done = std::move(request).error();
  }
  json::Draft last;
  if (done.ok()) {
    last.root().set("done", true);
  } else {
    last.root().set("error", done.error().message());
  }
  Result<void> sent = os::send_message(peer.get(), last.dump());
  if (!sent.ok()) log::debug("{}: {}", thread_name_, sent.error().message());
}

Result<void> ask_door(const std::string& path, const std::string& request, int file,
                      const std::function<void(json::Value)>& on_message) {
  os::Fd door = TRY(os::connect_unix(path, os::SocketKind::kSeqpacket));
  std::vector<int> fds;
  if (file >= 0) fds.push_back(file);
  TRY(os::send_message(door.get(), request, fds));
  while (true) {
    os::Message message = TRY(os::receive_message(door.get(), std::nullopt));
    // Not "unavailable": it was there, and the request may have been carried out.
    if (message.data.empty()) return Error::internal("the server went away");
    json::Document answer = TRY(json::Document::parse(message.data));
    json::Value root = answer.root();
    if (root["done"].as_bool()) return {};
    if (root["error"]) return Error::internal("{}", root["error"].as_string());
    on_message(root);
  }
}

}  // namespace wherry::command
