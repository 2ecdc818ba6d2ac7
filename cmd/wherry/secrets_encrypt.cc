// wherry secrets-encrypt: how Secrets stand in the database. A running server is asked through its
// door and changes at once; without one the key file is changed, and the next start follows it.

#include <fcntl.h>
#include <sys/file.h>

#include <cstdio>

#include "cluster/secrets_encryption.h"
#include "commands.h"
#include "control_door.h"
#include "kubectl_flags.h"
#include "os/file.h"
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

int fail(std::string_view what) {
  std::fprintf(stderr, "wherry secrets-encrypt: %.*s\n", static_cast<int>(what.size()),
               what.data());
  return 1;
}

struct Outcome {
  SecretsState state;
  bool online = true;
};

Result<SecretsState> change_file(const std::string& data_dir, const std::string& action) {
  // The lock a server holds while it lives; one that is just starting must not miss the change.
  os::Fd lock = TRY(os::open_file(data_dir + "/wherry.pid", O_RDWR | O_CLOEXEC));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error::unavailable("the server on {} is starting or stopping: try again", data_dir);
  }
  SystemClock clock;
  if (action == "rotate") return SecretsEncryption::rotate_offline(data_dir, clock);
  if (action == "status") return SecretsEncryption::state_offline(data_dir);
  return SecretsEncryption::set_encrypt_offline(data_dir, action == "enable");
}

Result<Outcome> change(const std::string& data_dir, const std::string& action) {
  json::Draft request;
  request.root().set("verb", "secrets-encrypt");
  request.root().set("action", action);
  Outcome out;
  Result<void> asked =
      ask_door(control_door_path(data_dir), request.dump(), -1, [&out](json::Value answer) {
        out.state = {answer["encrypt"].as_bool(), std::string(answer["key"].as_string()),
                     std::string(answer["made"].as_string())};
      });
  if (asked.ok()) return out;
  Code code = asked.error().code();
  if (code != Code::kUnavailable && code != Code::kNotFound) return std::move(asked).error();
  out.online = false;
  out.state = TRY(change_file(data_dir, action));
  return out;
}

}  // namespace

int run_secrets_encrypt(int argc, const char* const* argv) {
  std::span<const char* const> words(argv + 1, static_cast<size_t>(argc - 1));
  Result<Flags> flags = Flags::parse(kFlags, words);
  if (!flags.ok()) return fail(flags.error().message());
  if (flags->on("help")) {
    std::printf("%s%s", kUsage, kubectl::describe_flags(kFlags).c_str());
    return 0;
  }
  std::string action = flags->arguments().size() == 1 ? flags->arguments()[0] : "";
  if (action != "status" && action != "rotate" && action != "enable" && action != "disable") {
    return fail("say status, rotate, enable or disable (see wherry secrets-encrypt --help)");
  }
  Result<Outcome> done = change(data_dir_of(flags->text("data-dir")), action);
  if (!done.ok()) return fail(done.error().message());
  const SecretsState& state = done->state;
  std::printf("Encryption of Secrets: %s\nKey: %s, AES-256-GCM, made %s\n",
              state.encrypt ? "on" : "off", state.key_id.c_str(), state.key_made.c_str());
  if (!done->online) {
    std::puts("No server runs here: its next start brings the database in line with this.");
  }
  return 0;
}

}  // namespace wherry::command
