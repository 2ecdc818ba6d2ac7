// kubectl describe, the same for every kind: the object's fields as an outline, then its events.
// And the small commands that are about the server: version, api-resources.

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/clock.h"
#include "base/strings.h"
#include "json/yaml.h"
#include "kubectl_commands.h"
#include "kubectl_output.h"
#include "version.h"

namespace wherry::command::kubectl {
namespace {

constexpr char kKubernetesVersion[] = "v1.36.3";

// "matchLabels" as "Match Labels", "podIPs" as "Pod IPs".
std::string heading(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    char c = name[i];
    bool upper = std::isupper(static_cast<unsigned char>(c)) != 0;
    bool after_lower = i > 0 && std::islower(static_cast<unsigned char>(name[i - 1])) != 0;
    bool before_lower = i + 1 < name.size() && name.substr(i + 1) != "s" &&
                        std::islower(static_cast<unsigned char>(name[i + 1])) != 0;
    if (upper && i > 0 && (after_lower || before_lower)) out += ' ';
    out += i == 0 ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
  }
  return out;
}

// One line of the outline: "  Name:  value".
struct Line {
  int depth;
  std::string name;
  std::string value;
};

void outline(json::Value value, int depth, std::vector<Line>& lines);

void outline_member(const std::string& name, json::Value value, int depth,
                    std::vector<Line>& lines) {
  if (value.is_object() || (value.is_array() && !value.empty() && value.at(0).is_object())) {
    lines.push_back({depth, name + ":", ""});
    outline(value, depth + 1, lines);
  } else if (value.is_array()) {
    lines.push_back({depth, name + ":", ""});
    for (json::Value item : value.items()) lines.push_back({depth + 1, plain_text(item), ""});
  } else {
    lines.push_back({depth, name + ":", plain_text(value)});
  }
}

void outline(json::Value value, int depth, std::vector<Line>& lines) {
  for (json::Value item : value.items()) outline(item, depth, lines);
  std::vector<json::Member> members;
  for (json::Member member : value.members()) members.push_back(member);
  std::sort(members.begin(), members.end(),
            [](const json::Member& a, const json::Member& b) { return a.key < b.key; });
  for (const json::Member& member : members) {
    outline_member(heading(member.key), member.value, depth, lines);
  }
}

std::string print_outline(const std::vector<Line>& lines) {
  std::string out;
  for (size_t i = 0; i < lines.size();) {
    // Values of neighbours on one level stand under each other.
    size_t end = i;
    size_t width = 0;
    for (; end < lines.size() && lines[end].depth == lines[i].depth; ++end) {
      if (!lines[end].value.empty()) width = std::max(width, lines[end].name.size());
    }
    for (; i < end; ++i) {
      std::string line(static_cast<size_t>(lines[i].depth) * 2, ' ');
      line += lines[i].name;
      if (!lines[i].value.empty()) {
        line.append(width - lines[i].name.size() + 2, ' ');
        line += lines[i].value;
      }
      out += line + "\n";
    }
  }
  return out;
}

void map_lines(const char* name, json::Value map, std::vector<Line>& lines) {
  std::vector<std::string> parts;
  std::string between = std::string_view(name) == "Annotations:" ? ": " : "=";
  for (json::Member member : map.members()) {
    if (member.key == "kubectl.kubernetes.io/last-applied-configuration") continue;
    parts.push_back(std::string(member.key) + between + std::string(member.value.as_string()));
  }
  std::sort(parts.begin(), parts.end());
  if (parts.empty()) parts.emplace_back("<none>");
  for (size_t i = 0; i < parts.size(); ++i) {
    // Rows after the first have no name; the colon keeps the column.
    lines.push_back({0, i == 0 ? name : "", parts[i]});
  }
}

std::string age_text(std::string_view stamp) {
  std::optional<Time> time = parse_time(stamp);
  if (!time) return "<unknown>";
  auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(SystemClock().now() - *time).count();
  if (seconds < 120) return fmt::format("{}s", std::max<int64_t>(seconds, 0));
  if (seconds < 3600 * 2) return fmt::format("{}m", seconds / 60);
  if (seconds < 86400 * 2) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86400);
}

Result<void> print_events(Api& api, const Discovery& discovery, json::Value object) {
  Result<const ResourceType*> type = discovery.find("events");
  std::string uid(object["metadata"]["uid"].as_string());
  if (!type.ok() || uid.empty()) return {};
  std::string ns(object["metadata"]["namespace"].as_string());
  if (ns.empty()) ns = "default";
  Answer answer = TRY(api.call({.path = (*type)->path(ns, ""),
                                .parameters = {{"fieldSelector", "involvedObject.uid=" + uid}}}));
  json::Value list = answer.body.root();
  if (list["items"].empty()) {
    print_text("Events:  <none>\n");
    return {};
  }
  std::vector<std::vector<std::string>> rows = {{"  Type", "Reason", "Age", "From", "Message"},
                                                {"  ----", "------", "----", "----", "-------"}};
  for (json::Value event : list["items"].items()) {
    std::string_view last = event["lastTimestamp"].as_string();
    if (last.empty()) last = event["eventTime"].as_string();
    std::string age = age_text(last);
    if (event["count"].as_int() > 1) {
      age += fmt::format(" (x{} over {})", event["count"].as_int(),
                         age_text(event["firstTimestamp"].as_string()));
    }
    std::string from(event["source"]["component"].as_string());
    if (from.empty()) from = std::string(event["reportingComponent"].as_string());
    rows.push_back({"  " + std::string(event["type"].as_string()),
                    std::string(event["reason"].as_string()), age, from,
                    std::string(trim(event["message"].as_string()))});
  }
  print_text("Events:\n");
  Columns().print(rows);
  return {};
}

Result<void> describe_one(Api& api, const Discovery& discovery, const Target& target) {
  Answer answer = TRY(api.call({.path = target.path()}));
  json::Value object = answer.body.root();
  json::Value metadata = object["metadata"];
  std::vector<Line> lines;
  lines.push_back({0, "Name:", std::string(metadata["name"].as_string())});
  if (target.type->namespaced) {
    lines.push_back({0, "Namespace:", std::string(metadata["namespace"].as_string())});
  }
  map_lines("Labels:", metadata["labels"], lines);
  map_lines("Annotations:", metadata["annotations"], lines);
  lines.push_back({0, "API Version:", std::string(object["apiVersion"].as_string())});
  lines.push_back({0, "Kind:", std::string(object["kind"].as_string())});
  std::string text = print_outline(lines);
  lines.clear();
  json::Draft rest(object);
  for (const char* said : {"apiVersion", "kind"}) rest.root().remove(said);
  json::Node about = rest.root()["metadata"];
  for (const char* said : {"name", "namespace", "labels", "annotations", "managedFields"}) {
    about.remove(said);
  }
  json::Document frozen = rest.freeze();
  outline(frozen.root(), 0, lines);
  print_text(text + print_outline(lines));
  return print_events(api, discovery, object);
}

Result<int> run_describe(const Flags& flags, Api& api) {
  Discovery discovery = TRY(Discovery::load(api));
  std::vector<Target> targets = TRY(select(flags, api, discovery));
  targets = TRY(expand(std::move(targets), flags, api));
  Failures failures;
  bool first = true;
  for (const Target& target : targets) {
    if (!std::exchange(first, false)) print_text("\n\n");
    Result<void> done = describe_one(api, discovery, target);
    if (!done.ok()) failures.add(done.error());
  }
  if (targets.empty()) {
    std::fprintf(stderr, "No resources found in %s namespace.\n", api.default_namespace().c_str());
  }
  return failures.exit_code();
}

Result<int> run_version(const Flags& flags, Api& api) {
  json::Draft all;
  json::Node client = all.root().set_object("clientVersion");
  client.set("gitVersion", std::string(kKubernetesVersion) + "+wherry");
  client.set("gitCommit", commit());
  bool with_server = !flags.on("client");
  if (with_server) {
    Answer answer = TRY(api.call({.path = "/version"}));
    all.root().set("serverVersion", answer.body.root());
  }
  json::Document frozen = all.freeze();
  std::string_view format = flags.text("output");
  if (format == "json" || format == "yaml") {
    Output output = TRY(Output::of(flags));
    output.print(frozen.root(), "");
    return 0;
  }
  if (!format.empty()) return Error::invalid("--output must be 'yaml' or 'json'");
  print_text(fmt::format("Client Version: {}\n",
                         frozen.root()["clientVersion"]["gitVersion"].as_string()));
  if (with_server) {
    print_text(fmt::format("Server Version: {}\n",
                           frozen.root()["serverVersion"]["gitVersion"].as_string()));
  }
  return 0;
}

Result<int> run_api_resources(const Flags& flags, Api& api) {
  Discovery discovery = TRY(Discovery::load(api));
  std::vector<const ResourceType*> types;
  for (const ResourceType& type : discovery.all()) {
    if (!type.has_verb("list") && !type.has_verb("create")) continue;
    bool other_version =
        std::any_of(types.begin(), types.end(), [&type](const ResourceType* earlier) {
          return earlier->group == type.group && earlier->plural == type.plural;
        });
    if (other_version) continue;
    if (flags.given("namespaced") && flags.on("namespaced") != type.namespaced) continue;
    if (flags.given("api-group") && flags.text("api-group") != type.group) continue;
    types.push_back(&type);
  }
  std::stable_sort(types.begin(), types.end(), [](const ResourceType* a, const ResourceType* b) {
    return a->group != b->group ? a->group < b->group : a->plural < b->plural;
  });
  std::vector<std::vector<std::string>> rows;
  bool names = flags.text("output") == "name";
  if (!names && !flags.on("no-headers")) {
    rows.push_back({"NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"});
  }
  for (const ResourceType* type : types) {
    if (names) {
      rows.push_back({type->plural_label()});
    } else {
      rows.push_back({type->plural, join(type->short_names, ","), type->api_version(),
                      type->namespaced ? "true" : "false", type->kind});
    }
  }
  Columns().print(rows);
  return 0;
}

}  // namespace

CommandRow describe_command() {
  return {
      .name = "describe",
      .usage = "describe (TYPE [NAME...] | TYPE/NAME... | -f FILE)",
      .help = "Show all of an object, and its events",
      .flags = merge({kFileFlags, kSelectorFlags}),
      .run = &run_describe,
  };
}

CommandRow version_command() {
  return {
      .name = "version",
      .usage = "version [--client]",
      .help = "Show the versions of client and server",
      .flags = {{.name = "client", .bare = "true", .help = "Do not ask the server"},
                {.name = "output", .shorthand = 'o', .help = "json or yaml"}},
      .run = &run_version,
  };
}

CommandRow api_resources_command() {
  return {
      .name = "api-resources",
      .usage = "api-resources",
      .help = "List the kinds the server has",
      .flags = {{.name = "namespaced", .bare = "true", .help = "Only those in namespaces (or not)"},
                {.name = "api-group", .help = "Only those of a group"},
                {.name = "no-headers", .bare = "true", .help = "Without the header"},
                {.name = "output", .shorthand = 'o', .help = "name or wide"}},
      .run = &run_api_resources,
  };
}

}  // namespace wherry::command::kubectl
