// wherry images: the images of this node. A running server is asked through its door, for it alone
// may touch the store; without one the store is opened here, and kept from a server that would
// start.

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/clock.h"
#include "base/strings.h"
#include "commands.h"
#include "container/image.h"
#include "door_command.h"
#include "images_door.h"
#include "kubectl_output.h"
#include "os/file.h"
#include "stop.h"

namespace wherry::command {
namespace {

using kubectl::FlagRow;
using kubectl::Flags;

const std::vector<FlagRow> kFlags = {
    {.name = "data-dir", .help = "Folder with the state (/var/lib/wherry)"},
    {.name = "name", .help = "import: name for an image that carries none"},
    {.name = "force", .bare = "true", .help = "rm: even while a pod uses it"},
    {.name = "quiet", .shorthand = 'q', .bare = "true", .help = "ls: only the ids"},
    {.name = "no-headers", .bare = "true", .help = "ls: without the header"},
    {.name = "help", .shorthand = 'h', .bare = "true", .help = "Show this"},
};

constexpr char kUsage[] =
    "The images of this node.\n\nUsage:\n  wherry images ls\n  wherry images import FILE...     a "
    "docker-archive or OCI layout as tar, - for standard input\n  wherry images rm "
    "NAME...\n\nFlags:\n";

const DoorCommand kCommand = {"images", kUsage, kFlags};

struct ImageLine {
  std::string id;
  std::vector<std::string> tags, digests;
  uint64_t size_bytes = 0;
};
using OnImage = std::function<void(const ImageLine&)>;

constexpr int kStartPolls = 20;
constexpr int kStartPollMilliseconds = 250;

// kConflict while a server holds the store.
Result<void> ask_store(const std::string& data_dir, const std::string& request, int file,
                       const OnImage& on_image) {
  TRY(os::make_directories(data_dir, 0755));
  // The lock a server holds while it lives: with it in hand the store is ours.
  os::Fd lock = TRY(os::open_file(data_dir + "/wherry.pid", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error::conflict("the server on {} runs no pods: it has no images", data_dir);
  }
  TRY(os::make_directories(data_dir + "/agent", 0700));
  SystemClock clock;
  std::unique_ptr<container::ImageStore> images =
      TRY(container::ImageStore::open(data_dir + "/agent/images", clock));
  json::Document parsed = TRY(json::Document::parse(request));
  return answer_images(*images, data_dir, parsed.root(), file,
                       [&](const container::Image& image) -> Result<void> {
                         on_image({image.id, image.tags, image.digests, image.size_bytes});
                         return {};
                       });
}

Result<void> ask(const std::string& data_dir, const std::string& request, int file,
                 const OnImage& on_image) {
  // A server that has just started opens the door a moment after its API.
  for (int tries_left = kStartPolls;; --tries_left) {
    Result<void> asked =
        ask_door(images_door_path(data_dir), request, file, [&on_image](json::Value answer) {
          json::Value image = answer["image"];
          on_image({std::string(image["id"].as_string()), image["tags"].strings(),
                    image["digests"].strings(),
                    static_cast<uint64_t>(image["sizeBytes"].as_int())});
        });
    if (asked.ok()) return asked;
    Code code = asked.error().code();
    if (code != Code::kUnavailable && code != Code::kNotFound) return asked;
    asked = ask_store(data_dir, request, file, on_image);
    if (asked.ok() || !asked.error().is(Code::kConflict) || tries_left == 0) return asked;
    poll(nullptr, 0, kStartPollMilliseconds);
  }
}

std::string size_text(uint64_t bytes) {
  double value = static_cast<double>(bytes);
  for (const char* unit : {"B", "kB", "MB", "GB"}) {
    if (value < 1000 || std::string_view(unit) == "GB") {
      int digits = *unit == 'B' || value >= 100 ? 0 : value >= 10 ? 1 : 2;
      return fmt::format("{:.{}f}{}", value, digits, unit);
    }
    value /= 1000;
  }
  return "";
}

std::string short_id(std::string_view id) {
  size_t colon = id.find(':');
  return std::string(id.substr(colon == std::string_view::npos ? 0 : colon + 1, 13));
}

Result<void> list(const Flags& flags, const std::string& data_dir) {
  std::vector<std::vector<std::string>> rows;
  json::Draft request;
  request.root().set("verb", "list");
  TRY(ask(data_dir, request.dump(), -1, [&](const ImageLine& image) {
    std::string id = short_id(image.id);
    std::string size = size_text(image.size_bytes);
    for (const std::string& tag : image.tags) {
      // The colon of a port is before the last slash.
      size_t colon = tag.rfind(':');
      rows.push_back({tag.substr(0, colon), tag.substr(colon + 1), id, size});
    }
    if (image.tags.empty()) {
      std::string name = image.digests.empty() ? "<none>" : image.digests[0];
      rows.push_back({name.substr(0, name.find('@')), "<none>", id, size});
    }
  }));
  std::sort(rows.begin(), rows.end());
  if (flags.on("quiet")) {
    for (auto& row : rows) row = {row[2]};
  } else if (!flags.on("no-headers")) {
    rows.insert(rows.begin(), {"IMAGE", "TAG", "IMAGE ID", "SIZE"});
  }
  kubectl::Columns().print(rows);
  return {};
}

Result<void> import_one(const Flags& flags, const std::string& data_dir, const std::string& path) {
  os::Fd opened;
  int file = STDIN_FILENO;
  if (path != "-") {
    opened = TRY(os::open_file(path, O_RDONLY | O_CLOEXEC));
    file = opened.get();
  }
  json::Draft request;
  request.root().set("verb", "import");
  request.root().set("name", flags.text("name"));
  return ask(data_dir, request.dump(), file, [](const ImageLine& image) {
    std::string name = image.tags.empty() ? image.id : join(image.tags, ", ");
    std::printf("imported %s\n", name.c_str());
  });
}

Result<void> remove_one(const Flags& flags, const std::string& data_dir, const std::string& name) {
  json::Draft request;
  request.root().set("verb", "remove");
  request.root().set("name", name);
  request.root().set("force", flags.on("force"));
  return ask(data_dir, request.dump(), -1,
             [&name](const ImageLine&) { std::printf("removed %s\n", name.c_str()); });
}

int run(const Flags& flags) {
  std::vector<std::string> words = flags.arguments();
  std::string verb = words.empty() ? "ls" : words[0];
  if (!words.empty()) words.erase(words.begin());
  std::string data_dir = data_dir_of(flags.text("data-dir"));
  if (verb == "ls" || verb == "list") {
    Result<void> listed = list(flags, data_dir);
    return listed.ok() ? 0 : fail(kCommand, listed.error().message());
  }
  bool import = verb == "import";
  if (!import && verb != "rm" && verb != "remove") {
    return fail(kCommand, fmt::format("unknown command \"{}\": see wherry images --help", verb));
  }
  if (words.empty())
    return fail(kCommand, fmt::format("{} needs a {}", verb, import ? "file" : "name"));
  int code = 0;
  for (const std::string& word : words) {
    Result<void> done =
        import ? import_one(flags, data_dir, word) : remove_one(flags, data_dir, word);
    if (!done.ok()) code = fail(kCommand, done.error().message());
  }
  return code;
}

}  // namespace

int run_images(int argc, const char* const* argv) {
  return run_door_command(kCommand, argc, argv, &run);
}

}  // namespace wherry::command
