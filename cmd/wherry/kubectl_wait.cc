// kubectl wait, and the wait at the end of delete. Both watch; nothing is asked for again and
// again.

#include "base/clock.h"
#include "base/strings.h"
#include "kubectl_commands.h"
#include "kubectl_jsonpath.h"
#include "kubectl_output.h"

namespace wherry::command::kubectl {
namespace {

using std::chrono::milliseconds;

// kubectl: a negative limit means a week.
constexpr milliseconds kForEver = std::chrono::hours(24 * 7);

enum class Goal { kCondition, kJsonPath, kDelete, kCreate };

struct Wanted {
  Goal goal = Goal::kCondition;
  std::string condition;
  std::string value = "True";
  std::optional<JsonPath> path;
  bool any_value = false;

  bool met(json::Value object) const;
};

bool Wanted::met(json::Value object) const {
  if (goal == Goal::kCreate) return true;
  if (goal == Goal::kJsonPath) {
    std::vector<json::Value> found = path->find(object);
    if (found.size() != 1) return false;
    return any_value || plain_text(found[0]) == value;
  }
  for (json::Value item : object["status"]["conditions"].items()) {
    if (!equals_ignore_case(item["type"].as_string(), condition)) continue;
    // A condition that was written for an older spec says nothing about this one.
    int64_t observed = item["observedGeneration"].as_int();
    if (observed > 0 && observed < object["metadata"]["generation"].as_int()) return false;
    return equals_ignore_case(item["status"].as_string(), value);
  }
  return false;
}

Result<Wanted> parse_goal(std::string_view text) {
  Wanted wanted;
  if (text == "delete" || text == "create") {
    wanted.goal = text == "delete" ? Goal::kDelete : Goal::kCreate;
    return wanted;
  }
  auto parts = split_once(text, "=");
  if (parts && parts->first == "condition" && !parts->second.empty()) {
    wanted.condition = std::string(parts->second);
    if (auto value = split_once(parts->second, "=")) {
      wanted.condition = std::string(value->first);
      wanted.value = std::string(value->second);
    }
    return wanted;
  }
  if (parts && parts->first == "jsonpath") {
    wanted.goal = Goal::kJsonPath;
    std::string_view expression = parts->second;
    // The '=' after the closing brace; filters have their own.
    size_t close = expression.rfind('}');
    size_t equals = expression.find('=', close == std::string_view::npos ? 0 : close);
    wanted.any_value = equals == std::string_view::npos;
    if (!wanted.any_value) {
      std::string_view value = expression.substr(equals + 1);
      if (value.size() > 1 && (value[0] == '\'' || value[0] == '"') && value.back() == value[0]) {
        value = value.substr(1, value.size() - 2);
      }
      wanted.value = std::string(value);
      expression = expression.substr(0, equals);
    }
    wanted.path = TRY(JsonPath::parse(expression, true));
    return wanted;
  }
  return Error::invalid("unrecognized condition: {}", quote(text));
}

milliseconds left(MonotonicTime deadline) {
  auto rest = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
  return std::max(rest, milliseconds(0));
}

// Watches one name from `version` on (empty: from now, with what is there first) until `on_event`
// says false or the deadline. True when it said so.
Result<bool> watch_name(Api& api, const Target& target, const std::string& version,
                        MonotonicTime deadline, const Api::OnEvent& on_event) {
  bool ended = false;
  Call call{.path = target.type->path(target.ns, "")};
  call.parameters.emplace_back("fieldSelector", "metadata.name=" + target.name);
  if (!version.empty()) call.parameters.emplace_back("resourceVersion", version);
  call.timeout = std::max(left(deadline), milliseconds(1));
  Result<void> watched = api.watch(call, [&](std::string_view type, json::Value object) {
    ended = !on_event(type, object);
    return !ended;
  });
  if (!watched.ok() && !watched.error().is(Code::kGone)) return std::move(watched).error();
  return ended;
}

Result<void> wait_for_object(Api& api, const Target& target, const Wanted& wanted,
                             milliseconds limit) {
  MonotonicTime deadline = std::chrono::steady_clock::now() + limit;
  std::string label = target.type->plural + "/" + target.name;
  if (limit.count() == 0) {
    Answer now = TRY(api.call({.path = target.path()}));
    if (wanted.met(now.body.root())) return {};
    return Error::timeout("condition not met for {}", label);
  }
  do {
    std::string version;
    Result<Answer> now = api.call({.path = target.path()});
    if (now.ok()) {
      json::Value object = now->body.root();
      if (wanted.met(object)) return {};
      version = std::string(object["metadata"]["resourceVersion"].as_string());
    } else if (wanted.goal != Goal::kCreate || !now.error().is(Code::kNotFound)) {
      return std::move(now).error();
    }
    if (left(deadline).count() == 0) break;
    bool gone = false;
    bool done = TRY(
        watch_name(api, target, version, deadline, [&](std::string_view type, json::Value object) {
          if (type == "BOOKMARK") return true;
          gone = type == "DELETED";
          return !gone && !wanted.met(object);
        }));
    if (done && !gone) return {};
    if (gone && wanted.goal == Goal::kCondition)
      continue;  // The next look says that it is not there.
  } while (left(deadline).count() > 0);
  return Error::timeout("timed out waiting for the condition on {}", label);
}

Result<int> run_wait(const Flags& flags, Api& api) {
  if (!flags.given("for")) return Error::invalid("you must specify a --for condition");
  Wanted wanted = TRY(parse_goal(flags.text("for")));
  milliseconds limit = TRY(parse_duration(flags.text("timeout")));
  if (limit.count() < 0) limit = kForEver;
  Discovery discovery = TRY(Discovery::load(api));
  std::vector<Target> targets = TRY(select(flags, api, discovery));
  bool chosen = flags.on("all") || flags.given("selector") || flags.given("field-selector");
  for (const Target& target : targets) {
    if (target.name.empty() && !chosen) {
      return Error::invalid("resource(s) were provided, but no name was specified");
    }
  }
  targets = TRY(expand(std::move(targets), flags, api));
  if (targets.empty()) {
    if (wanted.goal == Goal::kDelete) return 0;
    return Error::not_found("no matching resources found");
  }
  Failures failures;
  for (const Target& target : targets) {
    bool deleting = wanted.goal == Goal::kDelete;
    Result<void> done;
    if (deleting) {
      Result<Answer> now = api.call({.path = target.path()});
      if (now.ok()) {
        std::string uid(now->body.root()["metadata"]["uid"].as_string());
        // Zero: look once. For wait_until_gone zero would be for ever.
        done = wait_until_gone(api, target, uid, std::max(limit, milliseconds(1)));
      } else {
        done = ignore_not_found(std::move(now));
        if (done.ok()) continue;
      }
    } else {
      done = wait_for_object(api, target, wanted, limit);
    }
    if (done.ok()) {
      print_text(target.label() + (deleting ? " deleted\n" : " condition met\n"));
    } else {
      failures.add(done.error());
    }
  }
  return failures.exit_code();
}

}  // namespace

Result<void> wait_until_gone(Api& api, const Target& target, std::string_view uid,
                             milliseconds limit) {
  if (limit.count() <= 0) limit = kForEver;
  MonotonicTime deadline = std::chrono::steady_clock::now() + limit;
  do {
    Result<Answer> now = api.call({.path = target.path()});
    if (!now.ok()) return ignore_not_found(std::move(now));
    json::Value metadata = now->body.root()["metadata"];
    if (!uid.empty() && metadata["uid"].as_string() != uid) return {};
    std::string version(metadata["resourceVersion"].as_string());
    bool gone = TRY(
        watch_name(api, target, version, deadline, [&](std::string_view type, json::Value object) {
          if (type == "DELETED") return false;
          if (type == "BOOKMARK" || uid.empty()) return true;
          return object["metadata"]["uid"].as_string() == uid;
        }));
    if (gone) return {};
  } while (left(deadline).count() > 0);
  return Error::timeout("timed out waiting for the condition on {}/{}", target.type->plural,
                        target.name);
}

CommandRow wait_command() {
  return {
      .name = "wait",
      .usage =
          "wait --for=condition=TYPE[=VALUE]|jsonpath='{PATH}'[=VALUE]|delete|create "
          "(TYPE NAME... | TYPE/NAME... | TYPE --all | -f FILE)",
      .help = "Wait until objects are as wanted",
      .flags = merge({kFileFlags,
                      kSelectorFlags,
                      {{.name = "for", .help = "What to wait for"},
                       {.name = "all", .bare = "true", .help = "All of the type in the namespace"},
                       {.name = "timeout",
                        .fallback = "30s",
                        .help = "Limit for each object; 0: look once, negative: a week"}}}),
      .run = &run_wait,
  };
}

}  // namespace wherry::command::kubectl
