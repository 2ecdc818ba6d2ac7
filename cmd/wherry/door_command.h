#pragma once
// What the small commands have in common that ask the running server through its door and work on
// the files where none runs: images, certificate, secrets-encrypt. One thread.

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/json.h"
#include "kubectl_flags.h"
#include "os/fd.h"

namespace wherry::command {

struct DoorCommand {
  std::string_view name;  // "images", after "wherry".
  const char* usage;
  const std::vector<kubectl::FlagRow>& flags;
};

// Prints "wherry NAME: what" on stderr; gives the exit code.
int fail(const DoorCommand& command, std::string_view what);

// Reads the flags and runs; wrong ones and --help are answered here.
int run_door_command(const DoorCommand& command, int argc, const char* const* argv,
                     int (*run)(const kubectl::Flags& flags));

// The one word of "wherry NAME ACTION"; kInvalid says which there are.
Result<std::string> action_of(const DoorCommand& command, const kubectl::Flags& flags,
                              std::initializer_list<std::string_view> actions);

// Asks the server that holds `data_dir`. False when none runs there.
using OnAnswer = std::function<void(json::Value answer)>;
Result<bool> ask_server(const std::string& data_dir, std::string_view verb,
                        const std::string& action, const OnAnswer& on_answer);

// The lock that a server holds while it lives: with it in hand the files are ours, and one that
// starts waits. kUnavailable while somebody has it.
Result<os::Fd> lock_stopped_server(const std::string& data_dir);

}  // namespace wherry::command
