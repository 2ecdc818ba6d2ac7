// kubectl delete and scale.

#include "base/strings.h"
#include "kubectl_commands.h"
#include "kubectl_output.h"

namespace wherry::command::kubectl {
namespace {

Result<std::string> delete_options(const Flags& flags) {
  json::Draft options;
  options.root().set("apiVersion", "v1");
  options.root().set("kind", "DeleteOptions");
  std::string_view cascade = flags.text("cascade");
  if (cascade == "background" || cascade == "true") {
    options.root().set("propagationPolicy", "Background");
  } else if (cascade == "foreground") {
    options.root().set("propagationPolicy", "Foreground");
  } else if (cascade == "orphan" || cascade == "false") {
    options.root().set("propagationPolicy", "Orphan");
  } else {
    return Error::invalid(
        "invalid cascade value ({}). Must be \"background\", \"foreground\", or \"orphan\"",
        cascade);
  }
  int64_t grace = TRY(flags.number("grace-period"));
  if (flags.on("now")) grace = 1;
  if (flags.on("force") && grace < 0) grace = 0;
  if (grace == 0 && !flags.on("force")) grace = 1;  // Zero needs --force; kubectl rounds up too.
  if (grace >= 0) options.root().set("gracePeriodSeconds", grace);
  if (flags.text("dry-run") == "server") options.root().set_array("dryRun").push("All");
  return options.dump();
}

void say_deleted(const Flags& flags, const Target& target) {
  if (flags.text("output") == "name") return print_text(target.label() + "\n");
  std::string_view dry_run = flags.text("dry-run");
  std::string_view note = dry_run == "server"   ? " (server dry run)"
                          : dry_run == "client" ? " (dry run)"
                                                : "";
  std::string from = target.ns.empty() ? "" : " from " + target.ns + " namespace";
  print_text(fmt::format("{} \"{}\" {}deleted{}{}\n", target.type->label(), target.name,
                         flags.on("force") ? "force " : "", from, note));
}

class Delete {
 public:
  Delete(const Flags& flags, Api& api) : flags_(flags), api_(api) {}

  Result<int> run() {
    body_ = TRY(delete_options(flags_));
    std::chrono::milliseconds limit = TRY(parse_duration(flags_.text("timeout")));
    Discovery discovery = TRY(Discovery::load(api_));
    std::vector<Target> targets = TRY(select(flags_, api_, discovery));
    TRY(check(targets));
    targets = TRY(expand(std::move(targets), flags_, api_));
    Failures failures;
    for (const Target& target : targets) {
      Result<void> done = remove(target);
      if (!done.ok()) failures.add(done.error());
    }
    if (targets.empty()) print_text("No resources found\n");
    if (flags_.on("wait") && flags_.text("dry-run") == "none") {
      for (const auto& [target, uid] : going_) {
        Result<void> gone = wait_until_gone(api_, target, uid, limit);
        if (!gone.ok()) failures.add(gone.error());
      }
    }
    return failures.exit_code();
  }

 private:
  // A bare type deletes nothing: that is a slip too easily made.
  Result<void> check(const std::vector<Target>& targets) const {
    bool chosen = flags_.on("all") || flags_.given("selector") || flags_.given("field-selector");
    for (const Target& target : targets) {
      if (target.name.empty() && !chosen) {
        return Error::invalid("resource(s) were provided, but no name was specified");
      }
    }
    return {};
  }

  Result<void> remove(const Target& target) {
    if (flags_.text("dry-run") == "client") {
      say_deleted(flags_, target);
      return {};
    }
    Result<Answer> answer = api_.call({.method = "DELETE", .path = target.path(), .body = body_});
    if (!answer.ok()) {
      bool ignore =
          answer.error().is(Code::kNotFound) && (flags_.on("ignore-not-found") || flags_.on("all"));
      if (ignore) return {};
      return std::move(answer).error();
    }
    say_deleted(flags_, target);
    json::Value body = answer->body.root();
    // The object, or a Status that names it.
    std::string uid(body["metadata"]["uid"].as_string());
    if (uid.empty()) uid = std::string(body["details"]["uid"].as_string());
    going_.emplace_back(target, uid);
    return {};
  }

  const Flags& flags_;
  Api& api_;
  std::string body_;
  std::vector<std::pair<Target, std::string>> going_;
};

Result<int> run_delete(const Flags& flags, Api& api) { return Delete(flags, api).run(); }

Result<int> run_scale(const Flags& flags, Api& api) {
  if (!flags.given("replicas")) {
    return Error::invalid("required flag(s) \"replicas\" not set");
  }
  int64_t replicas = TRY(flags.number("replicas"));
  if (replicas < 0)
    return Error::invalid(
        "The --replicas=COUNT flag is required, and COUNT must be "
        "greater than or equal to 0");
  Discovery discovery = TRY(Discovery::load(api));
  std::vector<Target> targets = TRY(select(flags, api, discovery));
  targets = TRY(expand(std::move(targets), flags, api));
  Failures failures;
  for (const Target& target : targets) {
    if (!target.type->has_subresource("scale")) {
      failures.add(Error::invalid("cannot scale {}: it has no scale", target.label()));
      continue;
    }
    if (flags.given("current-replicas")) {
      int64_t expected = TRY(flags.number("current-replicas"));
      Answer now = TRY(api.call({.path = target.path() + "/scale"}));
      int64_t actual = now.body.root()["spec"]["replicas"].as_int();
      if (actual != expected) {
        failures.add(Error::conflict("Expected replicas to be {}, was {}", expected, actual));
        continue;
      }
    }
    json::Draft patch;
    patch.root().set_object("spec").set("replicas", replicas);
    Result<Answer> answer = api.call({.method = "PATCH",
                                      .path = target.path() + "/scale",
                                      .parameters = {{"fieldManager", "kubectl"}},
                                      .body = patch.dump(),
                                      .content_type = "application/merge-patch+json"});
    if (answer.ok()) {
      print_text(target.label() + " scaled\n");
    } else {
      failures.add(answer.error());
    }
  }
  return failures.exit_code();
}

}  // namespace

CommandRow delete_command() {
  return {
      .name = "delete",
      .usage = "delete (TYPE NAME... | TYPE -l LABELS | TYPE --all | TYPE/NAME... | -f FILE)",
      .help = "Delete objects and wait until they are gone",
      .flags = merge(
          {kFileFlags,
           kSelectorFlags,
           {{.name = "all", .bare = "true", .help = "All of the type in the namespace"},
            {.name = "grace-period",
             .fallback = "-1",
             .help = "Seconds to end in; -1: the object's"},
            {.name = "now", .bare = "true", .help = "The same as --grace-period=1"},
            {.name = "force", .bare = "true", .help = "Without waiting for the node to agree"},
            {.name = "wait", .bare = "true", .fallback = "true", .help = "Until they are gone"},
            {.name = "timeout", .fallback = "0", .help = "Limit of that wait; 0: none"},
            {.name = "cascade",
             .bare = "background",
             .fallback = "background",
             .help = "What is owned: background, foreground or orphan"},
            {.name = "ignore-not-found", .bare = "true", .help = "Not being there is no error"},
            {.name = "dry-run",
             .bare = "unchanged",
             .fallback = "none",
             .help = "none, client, server"},
            {.name = "output", .shorthand = 'o', .help = "name: print only that"}}}),
      .run = &run_delete,
  };
}

CommandRow scale_command() {
  return {
      .name = "scale",
      .usage = "scale --replicas=N (TYPE NAME... | TYPE/NAME...)",
      .help = "Set a number of replicas",
      .flags = merge({kFileFlags,
                      kSelectorFlags,
                      {{.name = "replicas", .help = "How many"},
                       {.name = "current-replicas", .help = "Only when there are this many now"},
                       {.name = "all", .bare = "true", .help = "All of the type"}}}),
      .run = &run_scale,
  };
}

}  // namespace wherry::command::kubectl
