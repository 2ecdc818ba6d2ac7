// wherry secrets-encrypt: how Secrets stand in the database. A running server is asked through its
// door and changes at once; without one the key file is changed, and the next start follows it.

#include <cstdio>

#include "cluster/secrets_encryption.h"
#include "commands.h"
#include "door_command.h"
#include "stop.h"

namespace wherry::command {
namespace {

using cluster::SecretsEncryption;
using cluster::SecretsState;
using kubectl::FlagRow;
using kubectl::Flags;

const std::vector<FlagRow> kFlags = {
    {.name = "data-dir", .help = "Folder with the state (/var/lib/wherry)"},
    {.name = "help", .shorthand = 'h', .bare = "true", .help = "Show this"},
};

constexpr char kUsage[] =
    "Encryption of Secrets at rest (AES-256-GCM; on unless it is turned off).\n\nUsage:\n"
    "  wherry secrets-encrypt status    whether it is on, and under which key\n"
    "  wherry secrets-encrypt rotate    make a new key and encrypt all Secrets with it\n"
    "  wherry secrets-encrypt disable   write all Secrets as plain text\n"
    "  wherry secrets-encrypt enable    encrypt them again\n\nFlags:\n";

const DoorCommand kCommand = {"secrets-encrypt", kUsage, kFlags};

struct Outcome {
  SecretsState state;
  bool online = true;
};

Result<SecretsState> change_file(const std::string& data_dir, const std::string& action) {
  // One that is just starting must not miss the change.
  os::Fd lock = TRY(lock_stopped_server(data_dir));
  SystemClock clock;
  if (action == "rotate") return SecretsEncryption::rotate_offline(data_dir, clock);
  if (action == "status") return SecretsEncryption::state_offline(data_dir);
  return SecretsEncryption::set_encrypt_offline(data_dir, action == "enable");
}

Result<Outcome> change(const std::string& data_dir, const std::string& action) {
  Outcome out;
  out.online = TRY(ask_server(data_dir, kCommand.name, action, [&out](json::Value answer) {
    out.state = {answer["encrypt"].as_bool(), std::string(answer["key"].as_string()),
                 std::string(answer["made"].as_string())};
  }));
  if (!out.online) out.state = TRY(change_file(data_dir, action));
  return out;
}

int run(const Flags& flags) {
  Result<std::string> action =
      action_of(kCommand, flags, {"status", "rotate", "enable", "disable"});
  if (!action.ok()) return fail(kCommand, action.error().message());
  Result<Outcome> done = change(data_dir_of(flags.text("data-dir")), *action);
  if (!done.ok()) return fail(kCommand, done.error().message());
  const SecretsState& state = done->state;
  std::printf("Encryption of Secrets: %s\nKey: %s, AES-256-GCM, made %s\n",
              state.encrypt ? "on" : "off", state.key_id.c_str(), state.key_made.c_str());
  if (!done->online) {
    std::puts("No server runs here: its next start brings the database in line with this.");
  }
  return 0;
}

}  // namespace

int run_secrets_encrypt(int argc, const char* const* argv) {
  return run_door_command(kCommand, argc, argv, &run);
}

}  // namespace wherry::command
