#include "door_command.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cstdio>
#include <span>

#include "base/strings.h"
#include "control_door.h"
#include "os/file.h"

namespace wherry::command {

using kubectl::Flags;

int fail(const DoorCommand& command, std::string_view what) {
  std::fputs(fmt::format("wherry {}: {}\n", command.name, what).c_str(), stderr);
  return 1;
}

int run_door_command(const DoorCommand& command, int argc, const char* const* argv,
                     int (*run)(const Flags& flags)) {
  std::span<const char* const> words(argv + 1, static_cast<size_t>(argc - 1));
  Result<Flags> flags = Flags::parse(command.flags, words);
  if (!flags.ok()) return fail(command, flags.error().message());
  if (flags->on("help")) {
    std::printf("%s%s", command.usage, kubectl::describe_flags(command.flags).c_str());
    return 0;
  }
  return run(*flags);
}

Result<std::string> action_of(const DoorCommand& command, const Flags& flags,
                              std::initializer_list<std::string_view> actions) {
  const std::vector<std::string>& words = flags.arguments();
  bool known = words.size() == 1 && std::ranges::find(actions, words[0]) != actions.end();
  if (known) return words[0];
  std::vector<std::string> names(actions.begin(), actions.end());
  std::string last = std::move(names.back());
  names.pop_back();
  return Error::invalid("say {} or {} (see wherry {} --help)", join(names, ", "), last,
                        command.name);
}

Result<bool> ask_server(const std::string& data_dir, std::string_view verb,
                        const std::string& action, const OnAnswer& on_answer) {
  json::Draft request;
  request.root().set("verb", verb);
  request.root().set("action", action);
  Result<void> asked = ask_door(control_door_path(data_dir), request.dump(), -1, on_answer);
  if (asked.ok()) return true;
  Code code = asked.error().code();
  if (code == Code::kUnavailable || code == Code::kNotFound) return false;
  return std::move(asked).error();
}

Result<os::Fd> lock_stopped_server(const std::string& data_dir) {
  os::Fd lock = TRY(os::open_file(data_dir + "/wherry.pid", O_RDWR | O_CLOEXEC));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  return Error::unavailable("the server on {} is starting or stopping: try again", data_dir);
}

}  // namespace wherry::command
