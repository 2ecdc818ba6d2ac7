// Replays who may do what, and compares the roles that a server makes for itself.
//
//   access                        against a server of our own
//   access --record KUBECONFIG    writes another server's answers into the files
//   access --against KUBECONFIG   compares another server's answers with them
//
// access.answers says who, where, what, and below its line what is allowed; each combination of
// these is one test. access.yaml is what it is judged on. builtin_roles.answers holds the built-in
// roles and bindings, one a line. The last line is "N passed, N failed, N skipped".

#include "elsewhere.h"  // Beside this file.
#include "server.h"

#include <array>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "api/resource.h"
#include "base/log.h"
#include "base/strings.h"
#include "controller/all.h"
#include "http/client.h"
#include "json/json.h"
#include "json/yaml.h"
#include "os/file.h"

namespace wherry {
namespace {

constexpr const char* kAccess = "access.answers";
constexpr const char* kBuiltin = "builtin_roles.answers";
constexpr std::string_view kLine = "---\n";
constexpr std::string_view kRbac = "/apis/rbac.authorization.k8s.io/v1/";

// ---- The server that is asked

// Our own needs the controller that fills the roles that take over others' rules.
class Aggregation final : public controller::ClientFactory {
 public:
  explicit Aggregation(Running& running)
      : client_(running.server->local_client(apiserver::component_user("aggregation"))),
        cache_(running.server->cache()),
        controllers_(kSpecs, *this, *cache_, running.clock, {}) {}
  ~Aggregation() override {
    controllers_.stop();
    cache_->stop();
  }
  client::Client& client_for(std::string_view) override { return *client_; }
  Result<void> start() {
    TRY(cache_->start());
    controllers_.start();
    return {};
  }

 private:
  static constexpr std::array<const controller::ControllerSpec*, 1> kSpecs = {
      &controller::kClusterRoleAggregation};
  const std::unique_ptr<client::Client> client_;
  const std::unique_ptr<client::Cache> cache_;
  controller::Controllers controllers_;
};

class Asked {
 public:
  static Result<Asked> elsewhere(const std::string& kubeconfig) {
    Elsewhere other = TRY(read_kubeconfig(kubeconfig));
    return Asked(std::move(other), {});
  }
  static Result<Asked> ours() {
    std::unique_ptr<Running> running = TRY(start_server({}, {}));
    Elsewhere here;
    here.url = fmt::format("http://127.0.0.1:{}", running->server->port());
    Asked asked(std::move(here), std::move(running));
    TRY(asked.aggregation_->start());
    return asked;
  }

  Result<json::Document> request(std::string_view method, const std::string& path,
                                 std::string body = {}) {
    http::ClientRequest request;
    request.method = method;
    request.url = url_ + path;
    request.body = std::move(body);
    request.timeout = std::chrono::seconds(30);
    if (running_) request.headers.add("Authorization", fmt::format("Bearer {}", kAdminToken));
    if (!request.body.empty()) request.headers.add("Content-Type", "application/json");
    http::ClientResponse response = TRY(client_->request(request));
    json::Document document = TRY(json::Document::parse(response.body));
    if (response.status < 300) return document;
    return Error::make(response.status == 409 ? Code::kAlreadyExists : Code::kUnknown, "{} {}: {}",
                       method, path, document.root()["message"].as_string());
  }

 private:
  Asked(Elsewhere where, std::unique_ptr<Running> running)
      : url_(where.url),
        running_(std::move(running)),
        aggregation_(running_ ? std::make_unique<Aggregation>(*running_) : nullptr),
        client_(std::make_unique<http::Client>(where.options)) {}

  std::string url_;
  std::unique_ptr<Running> running_;
  std::unique_ptr<Aggregation> aggregation_;
  std::unique_ptr<http::Client> client_;
};

Result<void> make_objects(Asked& asked) {
  std::string text = TRY(os::read_file("access.yaml"));
  for (std::string_view part = text; !part.empty();) {
    size_t end = part.find("\n---\n");
    json::Document object = TRY(json::parse_yaml(part.substr(0, end)));
    part = end == std::string_view::npos ? std::string_view() : part.substr(end + 5);
    json::Value root = object.root();
    auto version = split_once(root["apiVersion"].as_string(), "/");
    const api::Resource* row = api::find_kind(
        version ? version->first : "", version ? version->second : root["apiVersion"].as_string(),
        root["kind"].as_string());
    CHECK(row != nullptr);
    std::string base = version ? "/apis/" : "/api/";
    std::string_view ns = root["metadata"]["namespace"].as_string();
    Result<json::Document> made =
        asked.request("POST",
                      fmt::format("{}{}{}/{}", base, root["apiVersion"].as_string(),
                                  ns.empty() ? "" : fmt::format("/namespaces/{}", ns), row->plural),
                      root.dump());
    if (!made.ok() && !made.error().is(Code::kAlreadyExists)) return std::move(made).error();
    bool is_namespace = row->plural == "namespaces";
    for (const char* account : {"robot", "clerk", "default"}) {
      if (!is_namespace) break;
      // Pods name them, and here no controller makes the default one.
      Result<json::Document> known =
          asked.request("POST",
                        fmt::format("/api/v1/namespaces/{}/serviceaccounts",
                                    root["metadata"]["name"].as_string()),
                        fmt::format(R"({{"metadata":{{"name":"{}"}}}})", account));
      if (!known.ok() && !known.error().is(Code::kAlreadyExists)) return std::move(known).error();
    }
  }
  return {};
}

// ---- Built-in roles

// What a line of builtin_roles.answers says of an object.
std::string line_of(json::Value object, std::string_view kind) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("kind", kind);
  json::Value meta = object["metadata"];
  for (const char* field : {"namespace", "name", "labels", "annotations"}) {
    root.set(field, meta[field]);
  }
  for (const char* field : {"aggregationRule", "rules", "roleRef", "subjects"}) {
    root.set(field, object[field]);
  }
  return draft.dump() + "\n";
}

Result<std::string> builtin_roles(Asked& asked) {
  struct Listed {
    const char* plural;
    const char* kind;
  };
  constexpr Listed kListed[] = {{"clusterroles", "ClusterRole"},
                                {"roles", "Role"},
                                {"clusterrolebindings", "ClusterRoleBinding"},
                                {"rolebindings", "RoleBinding"}};
  std::string out;
  for (const Listed& listed : kListed) {
    json::Document list = TRY(asked.request(
        "GET", std::string(kRbac) + listed.plural + "?labelSelector=kubernetes.io/bootstrapping"));
    for (json::Value item : list.root()["items"].items()) out += line_of(item, listed.kind);
  }
  return out;
}

// The aggregates are filled one after the other, and some from others: until they are what is
// wanted, or stay as they are for long.
Result<std::string> settled_roles(Asked& asked, std::string_view wanted) {
  constexpr int kQuietLooks = 500;
  std::string before;
  for (int quiet = 0; quiet < kQuietLooks; ++quiet) {
    std::string now = TRY(builtin_roles(asked));
    if (wanted.ends_with(now)) return now;  // Comments come first.
    if (now != before) quiet = 0;
    before = std::move(now);
  }
  return before;
}

// ---- Who may do what

using Words = std::vector<std::string_view>;

struct Questions {
  std::string header;  // The file up to its line.
  std::vector<Words> who, on;
  Words in, verbs, paths;
};

Questions parse_questions(std::string header) {
  Questions out;
  out.header = std::move(header);
  for (std::string_view line : split(out.header, '\n')) {
    if (line.empty() || line.starts_with("#")) continue;
    Words words = split(line, ' ');
    std::string_view what = words[0];
    words.erase(words.begin());
    if (what == "who") out.who.push_back(words);
    if (what == "on") out.on.push_back(words);
    if (what == "in") out.in = words;
    if (what == "verbs") out.verbs = words;
    if (what == "path") out.paths = words;
  }
  return out;
}

json::Draft review_of(const Words& who) {
  json::Draft draft;
  json::Node spec = draft.root().set_object("spec");
  spec.set("user", who[0]);
  json::Node groups = spec.set_array("groups");
  for (size_t i = 1; i < who.size(); ++i) groups.push(who[i]);
  return draft;
}

Result<bool> ask(Asked& asked, const json::Draft& review) {
  json::Document answer = TRY(
      asked.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review.dump()));
  return answer.root()["status"]["allowed"].as_bool();
}

// What of `choices` is allowed; each choice is a verb or a path, and `put` writes it into a review.
template <typename Put>
Result<std::string> allowed_of(Asked& asked, const Words& choices, const Put& put) {
  std::string out;
  for (std::string_view choice : choices) {
    if (TRY(ask(asked, put(choice)))) out += fmt::format(" {}", choice);
  }
  return out;
}

Result<std::string> answers_for(Asked& asked, const Questions& questions, const Words& who) {
  std::string out;
  for (std::string_view ns : questions.in) {
    for (const Words& on : questions.on) {
      auto sub = split_once(on[0], "/");
      std::string_view resource = sub ? sub->first : on[0];
      auto group = split_once(resource, ".");
      std::string allowed = TRY(allowed_of(asked, questions.verbs, [&](std::string_view verb) {
        json::Draft review = review_of(who);
        json::Node what = review.root()["spec"].set_object("resourceAttributes");
        what.set("verb", verb);
        if (ns != "-") what.set("namespace", ns);
        what.set("resource", group ? group->first : resource);
        if (group) what.set("group", group->second);
        if (sub) what.set("subresource", sub->second);
        if (on.size() > 1) what.set("name", on[1]);
        return review;
      }));
      if (!allowed.empty()) {
        out += fmt::format("{} {} {}:{}\n", who[0], ns, join(on, " "), allowed);
      }
    }
  }
  std::string paths = TRY(allowed_of(asked, questions.paths, [&](std::string_view path) {
    json::Draft review = review_of(who);
    json::Node what = review.root()["spec"].set_object("nonResourceAttributes");
    what.set("verb", "get");
    what.set("path", path);
    return review;
  }));
  if (!paths.empty()) out += fmt::format("{} get:{}\n", who[0], paths);
  return out;
}

// ---- Comparing

struct Counts {
  size_t passed = 0, failed = 0;
};

// Cells of the lines: "alice team-a pods: get list" is two.
std::set<std::string> cells_of(std::string_view text) {
  std::set<std::string> out;
  for (std::string_view line : split(text, '\n')) {
    auto parts = split_once(line, ": ");
    if (!parts) continue;
    for (std::string_view cell : split(parts->second, ' ')) {
      out.insert(fmt::format("{}: {}", parts->first, cell));
    }
  }
  return out;
}

template <typename Set>
size_t differences(const Set& wanted, const Set& came) {
  size_t count = 0;
  auto show = [&count](char sign, const Set& these, const Set& others) {
    for (const std::string& one : these) {
      if (others.contains(one)) continue;
      ++count;
      fmt::print("    {} {}\n", sign, one.substr(0, 400));
    }
  };
  show('-', wanted, came);
  show('+', came, wanted);
  return count;
}

void compare_access(const Questions& questions, std::string_view wanted, std::string_view came,
                    Counts& counts) {
  size_t cells =
      questions.who.size() *
      (questions.in.size() * questions.on.size() * questions.verbs.size() + questions.paths.size());
  size_t wrong = differences(cells_of(wanted), cells_of(came));
  counts.failed += wrong;
  counts.passed += cells - wrong;
}

void compare_roles(std::string_view wanted, std::string_view came, Counts& counts) {
  auto lines = [](std::string_view text) {
    std::set<std::string> out;
    for (std::string_view line : split(text, '\n')) {
      if (!line.empty()) out.emplace(line);
    }
    return out;
  };
  std::set<std::string> there = lines(came);
  size_t wrong = differences(lines(wanted), there);
  counts.failed += wrong;
  counts.passed += there.size() - std::min(there.size(), wrong);
}

Result<Counts> run(Asked& asked, bool record) {
  Counts counts;
  std::string recorded = TRY(os::read_file(kBuiltin));
  std::string roles = TRY(settled_roles(asked, record ? "" : recorded));
  TRY(make_objects(asked));
  std::string text = TRY(os::read_file(kAccess));
  size_t line = text.find("\n---\n");
  CHECK(line != std::string::npos);
  Questions questions = parse_questions(text.substr(0, line + 1));
  std::string answers;
  for (const Words& who : questions.who) answers += TRY(answers_for(asked, questions, who));
  if (record) {
    TRY(os::write_file_plain(kBuiltin, roles));
    TRY(os::write_file_plain(kAccess, questions.header + std::string(kLine) + answers));
    return counts;
  }
  compare_roles(recorded, roles, counts);
  compare_access(questions, std::string_view(text).substr(line + 1 + kLine.size()), answers,
                 counts);
  return counts;
}

int main_of(const std::vector<std::string>& arguments) {
  log::set_level(log::Level::kOff);
  bool other = arguments.size() == 2;
  Result<Asked> asked = other ? Asked::elsewhere(arguments[1]) : Asked::ours();
  Result<Counts> counts =
      asked.ok() ? run(*asked, other && arguments[0] == "--record") : Result<Counts>(asked.error());
  if (!counts.ok()) fmt::print("access: {}\n", counts.error().message());
  size_t passed = counts.ok() ? counts->passed : 0;
  size_t failed = counts.ok() ? counts->failed : 1;
  fmt::print("{} passed, {} failed, 0 skipped\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace wherry

int main(int argc, char** argv) {
  return wherry::main_of(std::vector<std::string>(argv + 1, argv + argc));
}
