// wherry kubectl: a small client with kubectl's own flags and words, for machines without kubectl.
// What it lacks it names.

#include <cstdio>
#include <string>

#include "base/strings.h"
#include "commands.h"
#include "kubectl_commands.h"
#include "os/signal.h"

namespace wherry::command {
namespace kubectl {

std::vector<FlagRow> merge(std::initializer_list<std::vector<FlagRow>> groups) {
  std::vector<FlagRow> out;
  for (const std::vector<FlagRow>& group : groups)
    out.insert(out.end(), group.begin(), group.end());
  return out;
}

void print_error(const Error& error) {
  const std::string& text = error.message();
  // Only what the client itself finds is announced by "error: ".
  bool whole = text.starts_with("Error from server") || text.starts_with("The connection to") ||
               text.starts_with("Unable to connect") || text.starts_with("You must be logged in");
  std::fprintf(stderr, "%s%s\n", whole ? "" : "error: ", text.c_str());
}

namespace {

std::vector<CommandRow> commands() {
  return {get_command(),    describe_command(), apply_command(),   create_command(),
          delete_command(), scale_command(),    wait_command(),    logs_command(),
          exec_command(),   attach_command(),   version_command(), api_resources_command()};
}

void print_help(std::FILE* to) {
  std::fputs(
      "A small built-in kubectl. It takes kubectl's own flags for what it has; for the rest use "
      "kubectl "
      "itself,\nwith KUBECONFIG=/etc/wherry/wherry.yaml.\n\nUsage: wherry kubectl COMMAND "
      "[flags]\n\nCommands:\n",
      to);
  for (const CommandRow& row : commands()) std::fprintf(to, "  %-14s %s\n", row.name, row.help);
  std::fputs("\n`wherry kubectl COMMAND --help` lists the flags of a command.\n", to);
}

void print_help(const CommandRow& row, const std::vector<FlagRow>& flags) {
  std::printf("%s.\n\nUsage: wherry kubectl %s [flags]\n\nFlags:\n%s", row.help, row.usage,
              describe_flags(flags).c_str());
}

// Where the command stands: flags may come before it ("kubectl -n x get pods").
size_t find_command(const std::vector<const char*>& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    if (!word.starts_with('-')) return i;
    for (const FlagRow& row : kConnectionFlags) {
      bool takes_next = row.bare == nullptr && (word == std::string("--") + row.name ||
                                                word == std::string("-") + row.shorthand);
      if (takes_next) ++i;
    }
  }
  return words.size();
}

int run(const CommandRow& row, const std::vector<const char*>& words) {
  std::vector<FlagRow> rows = merge({row.flags, kConnectionFlags});
  Result<Flags> flags = Flags::parse(rows, words);
  if (!flags.ok()) {
    print_error(flags.error());
    std::fprintf(stderr, "See 'wherry kubectl %s --help' for usage; kubectl may have more.\n",
                 row.name);
    return 1;
  }
  if (flags->on("help")) {
    print_help(row, rows);
    return 0;
  }
  Result<Api> api = flags->on("client") ? Result<Api>(Api::unconnected()) : Api::open(*flags);
  if (!api.ok()) {
    print_error(api.error());
    return 1;
  }
  Result<int> code = row.run(*flags, *api);
  if (code.ok()) return *code;
  print_error(code.error());
  return 1;
}

}  // namespace
}  // namespace kubectl

int run_kubectl(int argc, const char* const* argv) {
  std::vector<const char*> words(argv + 1, argv + argc);
  size_t at = kubectl::find_command(words);
  if (at == words.size()) {
    bool asked = words.empty() || std::string_view(words[0]) == "--help" ||
                 std::string_view(words[0]) == "-h";
    if (!asked) std::fprintf(stderr, "error: unknown flag: %s\n", words[0]);
    kubectl::print_help(asked ? stdout : stderr);
    return asked ? 0 : 1;
  }
  std::string name = words[at];
  words.erase(words.begin() + static_cast<std::ptrdiff_t>(at));
  if (name == "help") {
    kubectl::print_help(stdout);
    return 0;
  }
  for (const kubectl::CommandRow& row : kubectl::commands()) {
    if (row.name == name) return kubectl::run(row, words);
  }
  std::fprintf(stderr,
               "error: wherry kubectl has no \"%s\": use kubectl (wherry kubectl --help lists "
               "what there is)\n",
               name.c_str());
  return 1;
}

}  // namespace wherry::command
