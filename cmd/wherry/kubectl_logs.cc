// kubectl logs, and the choice of a pod and container that exec and attach share.

#include "base/strings.h"
#include "kubectl_commands.h"
#include "kubectl_output.h"

namespace wherry::command::kubectl {
namespace {

constexpr char kDefaultContainer[] = "kubectl.kubernetes.io/default-container";

// What runs as a process of its own: whatever the server gives logs for.
const ResourceType* pod_type(const Discovery& discovery) {
  for (const ResourceType& type : discovery.all()) {
    if (type.has_subresource("log")) return &type;
  }
  return nullptr;
}

// spec.selector of a workload (matchLabels and matchExpressions) or of a Service (a plain map).
std::string selector_text(json::Value selector) {
  std::vector<std::string> parts;
  bool plain = !selector["matchLabels"] && !selector["matchExpressions"];
  for (json::Member label : (plain ? selector : selector["matchLabels"]).members()) {
    parts.push_back(std::string(label.key) + "=" + std::string(label.value.as_string()));
  }
  for (json::Value row : selector["matchExpressions"].items()) {
    std::string key(row["key"].as_string());
    std::vector<std::string> values;
    for (json::Value value : row["values"].items()) values.emplace_back(value.as_string());
    std::string_view op = row["operator"].as_string();
    if (op == "Exists") parts.push_back(key);
    if (op == "DoesNotExist") parts.push_back("!" + key);
    if (op == "In") parts.push_back(key + " in (" + join(values, ",") + ")");
    if (op == "NotIn") parts.push_back(key + " notin (" + join(values, ",") + ")");
  }
  return join(parts, ",");
}

Result<std::vector<json::Document>> pods_of(Api& api, const ResourceType& type,
                                            const std::string& ns, const std::string& selector) {
  Answer answer =
      TRY(api.call({.path = type.path(ns, ""), .parameters = {{"labelSelector", selector}}}));
  std::vector<json::Document> out;
  json::Value list = answer.body.root();
  for (json::Value item : list["items"].items()) out.push_back(json::Draft(item).freeze());
  return out;
}

Result<Parameters> log_parameters(const Flags& flags) {
  Parameters parameters;
  auto pass = [&](const char* flag, const char* name) {
    if (flags.on(flag)) parameters.emplace_back(name, "true");
  };
  pass("follow", "follow");
  pass("previous", "previous");
  pass("timestamps", "timestamps");
  int64_t tail = TRY(flags.number("tail"));
  // With a selector kubectl shows the last ten lines of each pod.
  if (!flags.given("tail") && flags.given("selector")) tail = 10;
  if (tail >= 0) parameters.emplace_back("tailLines", std::to_string(tail));
  int64_t bytes = TRY(flags.number("limit-bytes"));
  if (bytes > 0) parameters.emplace_back("limitBytes", std::to_string(bytes));
  if (flags.given("since")) {
    auto since = TRY(parse_duration(flags.text("since")));
    int64_t seconds = (since.count() + 999) / 1000;
    parameters.emplace_back("sinceSeconds", std::to_string(seconds));
  }
  if (flags.given("since-time")) {
    parameters.emplace_back("sinceTime", std::string(flags.text("since-time")));
  }
  return parameters;
}

// Puts "[pod/x/c] " before each line.
class Prefixer {
 public:
  explicit Prefixer(std::string prefix) : prefix_(std::move(prefix)) {}
  bool write(std::string_view bytes) {
    if (prefix_.empty()) {
      print_text(bytes);
      return true;
    }
    rest_.append(bytes);
    size_t from = 0;
    for (size_t end; (end = rest_.find('\n', from)) != std::string::npos; from = end + 1) {
      print_text(prefix_ + rest_.substr(from, end - from + 1));
    }
    rest_.erase(0, from);
    return true;
  }
  void finish() {
    if (!rest_.empty()) print_text(prefix_ + rest_ + "\n");
  }

 private:
  const std::string prefix_;
  std::string rest_;
};

std::vector<std::string> containers_of(json::Value pod, bool all) {
  std::vector<std::string> names;
  if (all) {
    for (json::Value item : pod["spec"]["initContainers"].items()) {
      names.emplace_back(item["name"].as_string());
    }
  }
  for (json::Value item : pod["spec"]["containers"].items()) {
    names.emplace_back(item["name"].as_string());
  }
  if (all) {
    for (json::Value item : pod["spec"]["ephemeralContainers"].items()) {
      names.emplace_back(item["name"].as_string());
    }
  }
  return names;
}

Result<void> show_log(const Flags& flags, Api& api, const PodChoice& pod,
                      const std::string& container, Parameters parameters) {
  parameters.emplace_back("container", container);
  std::string prefix = flags.on("prefix") ? fmt::format("[pod/{}/{}] ", pod.name(), container) : "";
  Prefixer out(prefix);
  Result<void> done = api.follow(
      {.path = pod.path() + "/log", .parameters = parameters, .accept = "text/plain, */*"},
      [&out](std::string_view bytes) { return out.write(bytes); });
  out.finish();
  return done;
}

Result<int> run_logs(const Flags& flags, Api& api) {
  std::vector<std::string> words = flags.arguments();
  if (words.empty() && !flags.given("selector")) {
    return Error::invalid(
        "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or "
        "TYPE/NAME is a required argument for the logs command");
  }
  Parameters parameters = TRY(log_parameters(flags));
  Discovery discovery = TRY(Discovery::load(api));
  std::vector<PodChoice> pods;
  if (flags.given("selector")) {
    const ResourceType* type = pod_type(discovery);
    if (type == nullptr) return Error::unsupported("the server has no logs");
    for (json::Document& pod :
         TRY(pods_of(api, *type, api.default_namespace(), std::string(flags.text("selector"))))) {
      pods.push_back({type, api.default_namespace(), std::move(pod)});
    }
  } else {
    pods.push_back(TRY(choose_pod(flags, api, discovery, words[0])));
  }
  size_t streams = 0;
  std::vector<std::vector<std::string>> containers;
  for (const PodChoice& pod : pods) {
    std::vector<std::string> names;
    if (flags.on("all-containers")) {
      names = containers_of(pod.pod.root(), true);
    } else if (words.size() > 1) {
      names = {words[1]};  // The older form: logs POD CONTAINER.
    } else {
      names.push_back(TRY(choose_container(flags, pod.pod.root(), true)));
    }
    streams += names.size();
    containers.push_back(std::move(names));
  }
  if (flags.on("follow") && streams > 1) {
    return Error::unsupported(
        "wherry kubectl has no logs -f of several containers at once (there are {}): use kubectl, "
        "or -c",
        streams);
  }
  Failures failures;
  for (size_t i = 0; i < pods.size(); ++i) {
    for (const std::string& container : containers[i]) {
      Result<void> shown = show_log(flags, api, pods[i], container, parameters);
      if (!shown.ok()) failures.add(shown.error());
    }
  }
  if (pods.empty()) {
    print_error(Error::not_found("No resources found in {} namespace.", api.default_namespace()));
  }
  return failures.exit_code();
}

}  // namespace

std::string PodChoice::name() const {
  return std::string(pod.root()["metadata"]["name"].as_string());
}

Result<PodChoice> choose_pod(const Flags& flags, Api& api, const Discovery& discovery,
                             const std::string& word) {
  (void)flags;
  PodChoice choice;
  choice.type = pod_type(discovery);
  choice.ns = api.default_namespace();
  if (choice.type == nullptr) return Error::unsupported("the server runs no pods");
  auto parts = split_once(word, "/");
  const ResourceType* type = choice.type;
  if (parts) type = TRY(discovery.find(parts->first));
  std::string name(parts ? parts->second : std::string_view(word));
  Answer answer = TRY(api.call({.path = type->path(choice.ns, name)}));
  if (type->plural == choice.type->plural && type->group == choice.type->group) {
    choice.pod = answer.body;
    return choice;
  }
  std::string selector = selector_text(answer.body.root()["spec"]["selector"]);
  if (selector.empty()) return Error::invalid("{} has no selector: name a pod", word);
  std::vector<json::Document> pods = TRY(pods_of(api, *choice.type, choice.ns, selector));
  if (pods.empty()) return Error::not_found("no pods of {} were found", word);
  choice.pod = pods[0];
  for (const json::Document& pod : pods) {
    if (pod.root()["status"]["phase"].as_string() == "Running") {
      choice.pod = pod;
      break;
    }
  }
  if (pods.size() > 1) {
    std::fprintf(stderr, "Found %zu pods, using pod/%s\n", pods.size(), choice.name().c_str());
  }
  return choice;
}

Result<std::string> choose_container(const Flags& flags, json::Value pod, bool tell) {
  if (flags.given("container")) return std::string(flags.text("container"));
  std::string_view annotated = pod["metadata"]["annotations"][kDefaultContainer].as_string();
  if (!annotated.empty()) return std::string(annotated);
  std::vector<std::string> names = containers_of(pod, false);
  if (names.empty()) return Error::invalid("the pod has no containers");
  std::vector<std::string> all = names;
  for (json::Value item : pod["spec"]["ephemeralContainers"].items()) {
    all.push_back(std::string(item["name"].as_string()) + " (ephem)");
  }
  for (json::Value item : pod["spec"]["initContainers"].items()) {
    all.push_back(std::string(item["name"].as_string()) + " (init)");
  }
  if (tell && all.size() > 1) {
    std::fprintf(stderr, "Defaulted container \"%s\" out of: %s\n", names[0].c_str(),
                 join(all, ", ").c_str());
  }
  return names[0];
}

CommandRow logs_command() {
  return {
      .name = "logs",
      .usage = "logs (POD | TYPE/NAME | -l LABELS) [-c CONTAINER]",
      .help = "Show what a container wrote",
      .flags = {{.name = "follow", .shorthand = 'f', .bare = "true", .help = "Go on as it writes"},
                {.name = "container", .shorthand = 'c', .help = "Which container"},
                {.name = "previous", .shorthand = 'p', .bare = "true", .help = "Of the one before"},
                {.name = "selector", .shorthand = 'l', .help = "Labels to choose pods by"},
                {.name = "tail", .fallback = "-1", .help = "Only the last lines; -1: all"},
                {.name = "since", .help = "Only what is younger: 5m"},
                {.name = "since-time", .help = "Only what came after (RFC 3339)"},
                {.name = "limit-bytes", .fallback = "0", .help = "At most so many bytes; 0: all"},
                {.name = "timestamps", .bare = "true", .help = "When each line was written"},
                {.name = "prefix", .bare = "true", .help = "Pod and container before each line"},
                {.name = "all-containers", .bare = "true", .help = "Of every container"}},
      .run = &run_logs,
  };
}

}  // namespace wherry::command::kubectl
