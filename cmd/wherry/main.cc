// wherry: one binary, one table of sub-commands. Called by the name "kubectl" it is that
// sub-command.

#include <cstdio>
#include <string>
#include <string_view>

#include "commands.h"

namespace wherry::command {
namespace {

struct Command {
  std::string_view name;
  int (*run)(int argc, const char* const* argv);
  std::string_view help;
};

constexpr Command kCommands[] = {
    {"server", &run_server, "Run the control plane, and pods on this machine"},
    {"agent", &run_agent, "Join this machine to a server and run its pods"},
    {"kubectl", &run_kubectl,
     "Small built-in client: get, apply, delete, logs, exec, wait, version"},
    {"images", &run_images, "Images of this node: ls, import, rm"},
    {"certificate", &run_certificate, "The cluster's own certificates: check, rotate, rotate-ca"},
    {"secrets-encrypt", &run_secrets_encrypt, "Encryption of Secrets at rest: status, rotate"},
    {"stop", &run_stop, "Stop the service; with --workloads the pods too"},
    {"uninstall", &run_uninstall, "Remove everything that Wherry made on this machine"},
    {"hello", &run_hello, "Serve a small web page (the demo image's program)"},
    {"version", &run_version, "Show the version"},
};

void print_help(std::FILE* to) {
  std::fputs(
      "Wherry is Kubernetes in one small binary.\n\nUsage: wherry COMMAND [flags]\n\nCommands:\n",
      to);
  for (const Command& command : kCommands) {
    std::fprintf(to, "  %-15s %s\n", std::string(command.name).c_str(),
                 std::string(command.help).c_str());
  }
  std::fputs("\n`wherry COMMAND --help` lists the flags of a command.\n", to);
}

int run(int argc, const char* const* argv) {
  std::string_view self = argc > 0 ? argv[0] : "wherry";
  if (self.ends_with("kubectl")) return run_kubectl(argc, argv);
  if (argc < 2) {
    print_help(stderr);
    return 2;
  }
  std::string_view name = argv[1];
  if (name == "--help" || name == "-h" || name == "help") {
    print_help(stdout);
    return 0;
  }
  if (name == "--version" || name == "-v") name = "version";
  for (const Command& command : kCommands) {
    if (command.name == name) return command.run(argc - 1, argv + 1);
  }
  std::fprintf(stderr, "wherry: unknown command \"%s\": see wherry --help\n", argv[1]);
  return 2;
}

}  // namespace
}  // namespace wherry::command

int main(int argc, char** argv) { return wherry::command::run(argc, argv); }
