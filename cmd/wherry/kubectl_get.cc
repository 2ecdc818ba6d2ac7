// kubectl get: tables, JSON, YAML, names; --raw; --watch.

#include <cstdio>

#include "base/strings.h"
#include "kubectl_commands.h"
#include "kubectl_output.h"
#include "kubectl_table.h"

namespace wherry::command::kubectl {
namespace {

constexpr char kPageSize[] = "500";

class Get {
 public:
  Get(const Flags& flags, Api& api, const Discovery& discovery, Output output)
      : flags_(flags), api_(api), discovery_(discovery), output_(std::move(output)) {}

  Result<int> run() {
    std::vector<Target> targets = TRY(select(flags_, api_, discovery_));
    if (flags_.on("watch") || flags_.on("watch-only")) return watch(targets);
    return output_.is_table() ? tables(targets) : objects(targets);
  }

 private:
  Call call_for(const Target& target) const {
    Call call{.path = target.path()};
    if (target.name.empty()) {
      call.parameters = selectors(flags_);
      call.parameters.emplace_back("limit", kPageSize);
    }
    return call;
  }

  // Every page of a list, or the one object.
  Result<void> fetch(const Target& target, bool table,
                     const std::function<Result<void>(json::Value)>& each) {
    Call call = call_for(target);
    if (table) {
      call.accept = kAcceptTable;
      if (flags_.given("sort-by")) call.parameters.emplace_back("includeObject", "Object");
    }
    size_t parameters = call.parameters.size();
    while (true) {
      Result<Answer> answer = api_.call(call);
      if (!answer.ok()) {
        bool ignore = answer.error().is(Code::kNotFound) && flags_.on("ignore-not-found");
        if (ignore && !target.name.empty()) return {};
        return std::move(answer).error();
      }
      json::Value body = answer->body.root();
      TRY(each(body));
      std::string next(body["metadata"]["continue"].as_string());
      if (!target.name.empty() || next.empty()) return {};
      call.parameters.resize(parameters);
      call.parameters.emplace_back("continue", next);
    }
  }

  TableOptions table_options(const ResourceType& type, bool several) const {
    TableOptions options;
    options.wide = output_.format() == Format::kWide;
    options.headers = !flags_.on("no-headers");
    options.show_namespace = flags_.on("all-namespaces") && type.namespaced;
    options.show_labels = flags_.on("show-labels");
    options.show_event = flags_.on("output-watch-events");
    options.label_columns = flags_.all_split("label-columns");
    if (several || flags_.on("show-kind")) options.kind = type.label();
    options.sort_by = std::string(flags_.text("sort-by"));
    return options;
  }

  Result<int> tables(const std::vector<Target>& targets) {
    struct Group {
      const ResourceType* type;
      std::vector<json::Document> tables;
    };
    std::vector<Group> groups;
    std::vector<Error> errors;
    for (const Target& target : targets) {
      if (groups.empty() || groups.back().type != target.type) groups.push_back({target.type, {}});
      Result<void> fetched = fetch(target, true, [&groups](json::Value table) -> Result<void> {
        groups.back().tables.push_back(json::Draft(table).freeze());
        return {};
      });
      if (!fetched.ok()) errors.push_back(std::move(fetched).error());
    }
    std::erase_if(groups, [](const Group& group) { return group.tables.empty(); });
    bool printed = false;
    for (const Group& group : groups) {
      TableView view(table_options(*group.type, groups.size() > 1));
      for (const json::Document& table : group.tables) TRY(view.add(table.root()));
      if (view.empty()) continue;
      if (printed && !flags_.on("no-headers")) print_text("\n");
      view.print();
      printed = true;
    }
    Failures failures;
    for (const Error& error : errors) failures.add(error);
    bool lists = targets[0].name.empty();
    if (!printed && lists && failures.exit_code() == 0 && !flags_.on("ignore-not-found")) {
      std::string where = targets[0].ns.empty() ? "" : " in " + targets[0].ns + " namespace";
      std::fprintf(stderr, "No resources found%s%s\n", where.c_str(), where.empty() ? "" : ".");
    }
    return failures.exit_code();
  }

  Result<int> objects(const std::vector<Target>& targets) {
    Failures failures;
    bool single = targets.size() == 1 && !targets[0].name.empty();
    json::Draft list;
    list.root().set("apiVersion", "v1");
    json::Node items = list.root().set_array("items");
    list.root().set("kind", "List");
    list.root().set_object("metadata").set("resourceVersion", "");
    for (const Target& target : targets) {
      Result<void> fetched = fetch(target, false, [&](json::Value body) -> Result<void> {
        if (single) {
          output_.print(body, target.label());
          return {};
        }
        if (target.name.empty()) {
          for (json::Value item : body["items"].items()) add(items, *target.type, item);
        } else {
          add(items, *target.type, body);
        }
        return {};
      });
      if (!fetched.ok()) failures.add(fetched.error());
    }
    if (single) return failures.exit_code();
    if (output_.format() != Format::kName) {
      if (failures.exit_code() == 0 || !items.empty()) {
        json::Document frozen = list.freeze();
        output_.print(frozen.root(), "");
      }
    }
    return failures.exit_code();
  }

  void add(json::Node items, const ResourceType& type, json::Value object) {
    if (output_.format() == Format::kName) {
      return print_text(type.label() + "/" + std::string(object["metadata"]["name"].as_string()) +
                        "\n");
    }
    json::Draft whole(object);
    whole.root().set("apiVersion", type.api_version());
    whole.root().set("kind", type.kind);
    items.push(whole.root());
  }

  Result<int> watch(const std::vector<Target>& targets) {
    for (const Target& target : targets) {
      if (target.type != targets[0].type || targets.size() > 1) {
        return Error::invalid(
            "you may only specify a single resource type, and one name of it, with "
            "--watch");
      }
    }
    const Target& target = targets[0];
    bool table = output_.is_table();
    bool quiet = flags_.on("watch-only");
    TableView view(table_options(*target.type, false));
    std::string version;
    auto show = [&](json::Value object, std::string_view event) -> Result<void> {
      if (table) return view.add(object, event);
      std::string name(object["metadata"]["name"].as_string());
      output_.print(object, target.type->label() + "/" + name);
      return {};
    };
    TRY(fetch(target, table, [&](json::Value body) -> Result<void> {
      version = std::string(body["metadata"]["resourceVersion"].as_string());
      if (quiet) return {};
      if (table || !target.name.empty()) return show(body, "ADDED");
      for (json::Value item : body["items"].items()) TRY(show(item, "ADDED"));
      return {};
    }));
    view.print();
    return follow(target, version, [&](std::string_view event, json::Value object) {
      Result<void> shown = show(object, event);
      if (!shown.ok()) print_error(shown.error());
      view.print();
      return shown.ok();
    });
  }

  Result<int> follow(const Target& target, const std::string& version, const Api::OnEvent& show) {
    Call call{.path = target.type->path(target.ns, "")};
    call.parameters = selectors(flags_);
    if (!target.name.empty()) {
      call.parameters.emplace_back("fieldSelector", "metadata.name=" + target.name);
    }
    call.parameters.emplace_back("resourceVersion", version);
    if (output_.is_table()) call.accept = kAcceptTable;
    call.timeout = TRY(parse_duration(flags_.text("timeout")));
    TRY(api_.watch(call, show));
    return 0;
  }

  const Flags& flags_;
  Api& api_;
  const Discovery& discovery_;
  Output output_;
};

Result<int> run_get(const Flags& flags, Api& api) {
  if (flags.given("raw")) {
    std::string path(flags.text("raw"));
    Answer answer = TRY(api.call({.path = path, .accept = "application/json, */*"}));
    print_text(answer.text);
    return 0;
  }
  Output output = TRY(Output::of(flags));
  Discovery discovery = TRY(Discovery::load(api));
  return Get(flags, api, discovery, std::move(output)).run();
}

}  // namespace

CommandRow get_command() {
  return {
      .name = "get",
      .usage = "get (TYPE[,TYPE] [NAME...] | TYPE/NAME... | -f FILE | --raw PATH)",
      .help = "Show objects",
      .flags =
          merge({kOutputFlags,
                 kSelectorFlags,
                 kFileFlags,
                 {{.name = "watch", .shorthand = 'w', .bare = "true", .help = "Show changes too"},
                  {.name = "watch-only", .bare = "true", .help = "Show changes only"},
                  {.name = "output-watch-events",
                   .bare = "true",
                   .help = "Show what kind of change it was"},
                  {.name = "timeout", .fallback = "0", .help = "End of --watch; 0: none"},
                  {.name = "raw", .help = "Show what the server has at this path"},
                  {.name = "show-labels", .bare = "true", .help = "Labels as last column"},
                  {.name = "show-kind", .bare = "true", .help = "Kinds before names"},
                  {.name = "label-columns", .shorthand = 'L', .help = "Labels as columns"},
                  {.name = "sort-by", .help = "JSONPath to sort a table by"},
                  {.name = "ignore-not-found", .bare = "true", .help = "Nothing is no error"}}}),
      .run = &run_get,
  };
}

}  // namespace wherry::command::kubectl
