#include "images_door.h"

#include <poll.h>

#include <algorithm>

#include "agent/record.h"
#include "base/log.h"
#include "base/thread.h"
#include "os/file.h"
#include "os/unix_socket.h"

namespace wherry::command {
namespace {

constexpr std::chrono::seconds kRequestLimit{5};

void add_names(json::Node node, const char* key, const std::vector<std::string>& names) {
  json::Node list = node.set_array(key);
  for (const std::string& name : names) list.push(name);
}

std::string image_message(const container::Image& image) {
  json::Draft draft;
  json::Node node = draft.root().set_object("image");
  node.set("id", image.id);
  add_names(node, "tags", image.tags);
  add_names(node, "digests", image.digests);
  node.set("sizeBytes", static_cast<int64_t>(image.size_bytes));
  return draft.dump();
}

bool names(const container::Image& image, const std::string& text) {
  auto has = [&text](const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), text) != list.end();
  };
  return text == image.id || text == image.image_id_text() || has(image.tags) || has(image.digests);
}

// The layers of a container are those of its image: taken away, they would break it.
Result<void> check_unused(const container::Image& image, const std::string& data_dir) {
  std::string pods = data_dir + "/agent/pods";
  for (const std::string& uid : os::list_directory(pods).value_or(std::vector<std::string>())) {
    Result<std::string> text = os::read_file(pods + "/" + uid + "/record.json");
    if (!text.ok()) continue;
    Result<agent::PodRecord> record = agent::decode_record(*text);
    if (!record.ok()) continue;
    for (const agent::ContainerRecord& container : record->containers) {
      if (names(image, container.image_id)) {
        return Error::conflict(
            "pod {} uses it (container {}): delete the pod first, or use --force", uid,
            container.name);
      }
    }
  }
  return {};
}

}  // namespace

Result<void> ImagesDoor::answer(container::ImageStore& images, const std::string& data_dir,
                                json::Value request, int file, const Emit& emit) {
  std::string_view verb = request["verb"].as_string();
  std::string name(request["name"].as_string());
  if (verb == "list") {
    for (const container::Image& image : images.list()) TRY(emit(image));
    return {};
  }
  if (verb == "import") {
    if (file < 0) return Error::invalid("an import comes with a file");
    for (const container::Image& image : TRY(images.import_stream(file, name))) TRY(emit(image));
    return {};
  }
  if (verb == "remove") {
    container::Image image = TRY(images.find(name));
    if (!request["force"].as_bool()) TRY(check_unused(image, data_dir));
    TRY(images.remove(name));
    return emit(image);
  }
  return Error::invalid("unknown request \"{}\"", verb);
}

Result<void> ImagesDoor::start() {
  std::string path = socket_path(data_dir_);
  listener_ = TRY(os::listen_unix(path, os::SocketKind::kSeqpacket, 8));
  TRY(os::change_mode(path, 0600));
  wake_ = TRY(os::EventFd::open());
  thread_ = start_thread("images-door", [this](const std::stop_token& stop) { run(stop); });
  return {};
}

void ImagesDoor::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  wake_->signal();
  thread_.join();
  Result<void> removed = os::remove_file(socket_path(data_dir_));
  if (!removed.ok()) log::debug("images door: {}", removed.error().message());
}

void ImagesDoor::run(const std::stop_token& stop) {
  pollfd waited[2] = {{listener_.get(), POLLIN, 0}, {wake_->fd(), POLLIN, 0}};
  while (!stop.stop_requested()) {
    if (poll(waited, 2, -1) < 0) continue;
    if (stop.stop_requested() || (waited[0].revents & POLLIN) == 0) continue;
    Result<os::Fd> peer = os::accept_unix(listener_.get());
    if (peer.ok()) serve(std::move(peer).value());
  }
}

void ImagesDoor::serve(os::Fd peer) {
  Result<os::Message> message = os::receive_message(peer.get(), kRequestLimit);
  if (!message.ok() || message->data.empty()) return;
  Result<json::Document> request = json::Document::parse(message->data);
  Result<void> done;
  if (request.ok()) {
    int file = message->fds.empty() ? -1 : message->fds[0].get();
    done = answer(images_, data_dir_, request->root(), file, [&](const container::Image& image) {
      return os::send_message(peer.get(), image_message(image));
    });
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
  if (!sent.ok()) log::debug("images door: {}", sent.error().message());
}

}  // namespace wherry::command
