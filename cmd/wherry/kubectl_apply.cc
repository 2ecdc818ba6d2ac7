// kubectl apply and create. Apply is server-side apply with the field manager "kubectl": the server
// keeps track of who set what. Without --server-side it takes fields over from other managers, as
// users of the older, client-side kind of apply expect.

#include <cstdio>

#include "base/strings.h"
#include "kubectl_commands.h"
#include "kubectl_output.h"

namespace wherry::command::kubectl {
namespace {

std::vector<FlagRow> write_flags() {
  return {
      {.name = "dry-run",
       .bare = "unchanged",
       .fallback = "none",
       .help = "none, client or server"},
      {.name = "field-manager", .fallback = "kubectl", .help = "Who sets the fields"},
      {.name = "validate",
       .bare = "strict",
       .fallback = "strict",
       .help = "strict, warn or ignore"},
      {.name = "output", .shorthand = 'o', .help = "json, yaml, name: print the objects"},
      {.name = "show-managed-fields", .bare = "true", .help = "Keep managedFields in output"},
  };
}

Result<Parameters> write_parameters(const Flags& flags) {
  Parameters parameters = {{"fieldManager", std::string(flags.text("field-manager"))}};
  std::string_view validate = flags.text("validate");
  if (validate == "strict" || validate == "true") {
    parameters.emplace_back("fieldValidation", "Strict");
  } else if (validate == "warn") {
    parameters.emplace_back("fieldValidation", "Warn");
  } else if (validate == "ignore" || validate == "false") {
    parameters.emplace_back("fieldValidation", "Ignore");
  } else {
    return Error::invalid(
        "invalid argument {} for \"--validate\" flag: it is strict, warn or ignore",
        quote(validate));
  }
  std::string_view dry_run = flags.text("dry-run");
  if (dry_run == "server") {
    parameters.emplace_back("dryRun", "All");
  } else if (dry_run != "none" && dry_run != "client") {
    return Error::invalid(
        "Invalid dry-run value ({}). Must be \"none\", \"server\", or \"client\".", dry_run);
  }
  return parameters;
}

std::string dry_run_note(const Flags& flags) {
  std::string_view mode = flags.text("dry-run");
  if (mode == "server") return " (server dry run)";
  return mode == "client" ? " (dry run)" : "";
}

Result<void> report(const Flags& flags, const Target& target, json::Value object,
                    const std::string& verb) {
  Output output = TRY(Output::of(flags));
  std::string label =
      target.type->label() + "/" + std::string(object["metadata"]["name"].as_string());
  if (output.is_table()) {
    print_text(label + " " + verb + dry_run_note(flags) + "\n");
  } else {
    output.print(object, label);
  }
  return {};
}

// "Error from server (NotFound): x" becomes "Error from server (NotFound): error when creating "f":
// x".
Error while_doing(Error error, std::string_view what, const std::string& source) {
  std::string note = fmt::format("error when {} \"{}\": ", what, source);
  std::string message = error.message();
  constexpr std::string_view kFrom = "Error from server";
  size_t colon = message.find(": ");
  if (message.starts_with(kFrom) && colon != std::string::npos) {
    message.insert(colon + 2, note);
  } else {
    message = note + message;
  }
  return Error(error.code(), message);
}

// The object without what the server changes by itself.
json::Document essence(json::Value object) {
  json::Draft draft(object);
  draft.root().remove("status");
  json::Node metadata = draft.root()["metadata"];
  metadata.remove("resourceVersion");
  metadata.remove("managedFields");
  return draft.freeze();
}

bool same(json::Value before, json::Value after) {
  json::Value old_version = before["metadata"]["resourceVersion"];
  if (json::equal(old_version, after["metadata"]["resourceVersion"])) return true;
  return json::equal(essence(before).root(), essence(after).root());
}

Result<void> apply_one(const Flags& flags, Api& api, const Target& target) {
  if (target.name.empty()) {
    return Error::invalid("from {}: cannot use generate name with apply", target.source);
  }
  if (flags.text("dry-run") == "client") {
    return report(flags, target, target.object.root(), "configured");
  }
  Result<Answer> before = api.call({.path = target.path()});
  if (!before.ok() && !before.error().is(Code::kNotFound)) return std::move(before).error();
  Parameters parameters = TRY(write_parameters(flags));
  bool force = !flags.on("server-side") || flags.on("force-conflicts");
  parameters.emplace_back("force", force ? "true" : "false");
  Result<Answer> after = api.call({.method = "PATCH",
                                   .path = target.path(),
                                   .parameters = parameters,
                                   .body = target.object.root().dump(),
                                   .content_type = "application/apply-patch+yaml"});
  if (!after.ok()) {
    return while_doing(std::move(after).error(), before.ok() ? "applying" : "creating",
                       target.source);
  }
  json::Value object = after->body.root();
  if (flags.on("server-side")) return report(flags, target, object, "serverside-applied");
  bool created = after->status == 201 || !before.ok();
  bool unchanged = !created && same(before->body.root(), object);
  return report(flags, target, object,
                created     ? "created"
                : unchanged ? "unchanged"
                            : "configured");
}

Result<void> create_one(const Flags& flags, Api& api, const Target& target) {
  if (flags.text("dry-run") == "client") {
    return report(flags, target, target.object.root(), "created");
  }
  Parameters parameters = TRY(write_parameters(flags));
  Result<Answer> answer = api.call({.method = "POST",
                                    .path = target.type->path(target.ns, ""),
                                    .parameters = parameters,
                                    .body = target.object.root().dump()});
  if (!answer.ok()) return while_doing(std::move(answer).error(), "creating", target.source);
  return report(flags, target, answer->body.root(), "created");
}

Result<int> for_each_file(const Flags& flags, Api& api,
                          Result<void> (*act)(const Flags&, Api&, const Target&)) {
  if (!flags.given("filename")) return Error::invalid("must specify one of -f and -k");
  if (!flags.arguments().empty()) {
    return Error::invalid("Unexpected args: [{}]", join(flags.arguments(), " "));
  }
  TRY(Output::of(flags));
  TRY(write_parameters(flags));
  Failures failures;
  std::vector<Manifest> manifests = TRY(read_manifests(flags));
  Discovery discovery = TRY(Discovery::load(api));
  for (const Manifest& manifest : manifests) {
    Result<Target> target = target_of(manifest, flags, api, discovery);
    if (!target.ok() && target.error().is(Code::kNotFound)) {
      // The kind may come with a definition applied a moment ago.
      discovery = TRY(Discovery::load(api));
      target = target_of(manifest, flags, api, discovery);
    }
    Result<void> done = target.ok() ? act(flags, api, *target) : std::move(target).error();
    if (!done.ok()) failures.add(done.error());
  }
  return failures.exit_code();
}

Result<int> run_apply(const Flags& flags, Api& api) {
  return for_each_file(flags, api, &apply_one);
}

Result<int> run_create(const Flags& flags, Api& api) {
  if (!flags.given("filename") && !flags.arguments().empty()) {
    return Error::unsupported("wherry kubectl has no \"create {}\" (it has create -f): use kubectl",
                              flags.arguments()[0]);
  }
  return for_each_file(flags, api, &create_one);
}

}  // namespace

CommandRow apply_command() {
  return {
      .name = "apply",
      .usage = "apply -f FILE",
      .help = "Make objects be as files say (server-side apply, field manager kubectl)",
      .flags = merge({kFileFlags,
                      write_flags(),
                      {{.name = "server-side",
                        .bare = "true",
                        .help = "Respect other managers of fields: conflicts are errors"},
                       {.name = "force-conflicts",
                        .bare = "true",
                        .help = "With --server-side: take fields over"}}}),
      .run = &run_apply,
  };
}

CommandRow create_command() {
  return {
      .name = "create",
      .usage = "create -f FILE",
      .help = "Create the objects of files",
      .flags = merge({kFileFlags, write_flags()}),
      .run = &run_create,
  };
}

}  // namespace wherry::command::kubectl
