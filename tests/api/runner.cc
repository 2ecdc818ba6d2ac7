// Replays transcripts of API requests and compares the answers.
//
//   runner FILE...            each file against a fresh server in this process
//   runner --update FILE...   writes the answers that came into the files
//   runner --serve DIR PORT   a server over TLS until a signal; DIR/kubeconfig speaks to it
//   runner --against URL CA CERTIFICATE KEY [--update] FILE...   another server (files of PEM)
//
// A transcript is a sequence of exchanges:
//
//   # What this is about
//   >>> POST /api/v1/namespaces/default/configmaps?fieldValidation=Strict
//   Content-Type: application/yaml
//
//   the body, up to the answer; {{version}}, {{uid}} and {{name}} are from the answer before
//   <<< 201
//   ! a warning
//   the body: JSON indented, with what varies replaced (<uid>, <time>, <version>, ...)
//
// The last line is "N passed, N failed", counting exchanges.

#include "fake_node.h"  // Beside this file.

#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "apiserver/server.h"
#include "base/log.h"
#include "base/strings.h"
#include "http/client.h"
#include "json/json.h"
#include "os/fd.h"
#include "os/file.h"
#include "pki/pki.h"
#include "store/store.h"

namespace wherry {
namespace {

constexpr const char* kAdminToken = "transcript-admin";
constexpr const char* kOtherToken = "transcript-other";

struct Exchange {
  std::vector<std::string> comments;  // Comments and empty lines, as they stand.
  std::string method, path;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string answer;  // From "<<<" on, without that.
};

// ---- Reading and writing files

Result<std::vector<Exchange>> parse(const std::string& text) {
  std::vector<Exchange> out;
  enum class At { kBefore, kHeaders, kBody, kAnswer } at = At::kBefore;
  std::vector<std::string> comments;
  for (std::string_view line : split(text, '\n')) {
    if (line.starts_with(">>> ")) {
      Exchange exchange;
      exchange.comments = std::move(comments);
      comments.clear();
      auto request = split_once(line.substr(4), " ");
      if (!request) return Error::invalid("not a request: {}", line);
      exchange.method = request->first;
      exchange.path = request->second;
      out.push_back(std::move(exchange));
      at = At::kHeaders;
    } else if (line.starts_with("<<<")) {
      out.back().answer = std::string(trim(line.substr(3))) + "\n";
      at = At::kAnswer;
    } else if (at == At::kHeaders && line.empty()) {
      at = At::kBody;
    } else if (at == At::kHeaders) {
      auto header = split_once(line, ": ");
      if (!header) return Error::invalid("not a header: {}", line);
      out.back().headers.emplace_back(header->first, header->second);
    } else if (at == At::kBody) {
      out.back().body += std::string(line) + "\n";
    } else if (line.starts_with("#")) {
      comments.emplace_back(line);
      at = At::kBefore;
    } else if (at == At::kAnswer && !line.empty()) {
      out.back().answer += std::string(line) + "\n";
    }
  }
  return out;
}

std::string print(const std::vector<Exchange>& exchanges) {
  std::string out;
  for (const Exchange& exchange : exchanges) {
    if (!out.empty()) out += "\n";
    for (const std::string& line : exchange.comments) out += line + "\n";
    out += fmt::format(">>> {} {}\n", exchange.method, exchange.path);
    for (const auto& [name, value] : exchange.headers) out += fmt::format("{}: {}\n", name, value);
    if (!exchange.body.empty()) out += "\n" + exchange.body;
    out += "<<< " + exchange.answer;
  }
  return out;
}

// ---- Making answers comparable

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return true;
}

// UUIDs inside a longer text.
std::string without_uids(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (is_uuid(text.substr(i, 36))) {
      out += "<uid>";
      i += 36;
    } else {
      out += text[i++];
    }
  }
  return out;
}

// Replaces "kube-api-access-x1y2z" and the like, and the names that generateName made.
std::string steady_text(std::string_view key, std::string_view text) {
  if (is_uuid(text)) return "<uid>";
  if (text.size() >= 20 && text[4] == '-' && text[10] == 'T' && parse_time(text)) return "<time>";
  if (key == "resourceVersion" && !text.empty()) return "<version>";
  if (key == "continue" && !text.empty()) return "<continue>";
  if (key == "token") return "<token>";
  // Service addresses are random, but for the first, which the cluster gives itself.
  if (text.starts_with("10.43.") && text != "10.43.0.1") return "<address>";
  bool age = key == "cells" && text.size() < 6 && text.size() > 1 && text.back() == 's' &&
             parse_int(text.substr(0, text.size() - 1));
  if (age) return "<age>";
  constexpr std::string_view kVolume = "kube-api-access-";
  if (text.starts_with(kVolume)) return std::string(kVolume) + "<suffix>";
  return without_uids(text);
}

void steady(std::string_view key, json::Node node) {
  if (node.is_string()) {
    std::string text = steady_text(key, node.as_string());
    if (text != node.as_string()) node.assign(std::string_view(text));
    return;
  }
  if (node.is_int() && (key == "nodePort" || key == "healthCheckNodePort")) {
    node.assign(std::string_view("<port>"));
    return;
  }
  if (node.is_object()) {
    for (auto [name, value] : node.members()) steady(name, value);
    // Descriptions of columns are everybody's own words.
    if (node["description"] && node["priority"] && node["format"]) node.set("description", "<text>");
    std::string base(node["generateName"].as_string());
    std::string name(node["name"].as_string());
    if (!base.empty() && name.size() == base.size() + 5) node.set("name", base + "<suffix>");
  }
  for (json::Node item : node.items()) steady(key, item);
}

std::string steady_body(const std::string& body) {
  std::string out;
  // A watch is many documents, one a line.
  for (std::string_view line : split(body, '\n')) {
    if (line.empty()) continue;
    Result<json::Draft> draft = json::Draft::parse(line);
    if (!draft.ok()) {
      Result<json::Draft> whole = json::Draft::parse(body);
      if (!whole.ok()) return body.ends_with('\n') ? body : body + "\n";
      steady({}, whole->root());
      return whole->dump_pretty() + "\n";
    }
    steady({}, draft->root());
    out += draft->dump_pretty() + "\n";
  }
  return out;
}

// ---- A server, and playing against it

struct Running {
  SystemClock clock;
  std::optional<os::TempDirectory> directory;
  FakeNode nodes;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<apiserver::ApiServer> server;
};

Result<std::unique_ptr<Running>> start_server(const std::string& path,
                                              apiserver::ApiServer::Options options) {
  auto running = std::make_unique<Running>();
  std::string file = path;
  if (file.empty()) {
    running->directory.emplace(TRY(os::TempDirectory::make()));
    file = running->directory->path() + "/state.db";
  }
  running->store = TRY(store::open({.path = file, .lazy = {"events", "leases.coordination.k8s.io"}},
                                   running->clock));
  options.store = running->store.get();
  options.clock = &running->clock;
  options.nodes = &running->nodes;
  options.token_key = pki::Key::generate();
  apiserver::User admin{.name = "admin", .uid = {}, .groups = {"system:masters"}, .extra = {}};
  apiserver::User other{.name = "other", .uid = {}, .groups = {}, .extra = {}};
  options.static_tokens = {{kAdminToken, admin}, {kOtherToken, other}};
  running->server = std::make_unique<apiserver::ApiServer>(std::move(options));
  TRY(running->server->prepare());
  TRY(running->server->start());
  return running;
}

// What later requests may refer to.
struct Captured {
  std::string version, uid, name, token;

  void take(const std::string& body) {
    Result<json::Document> parsed = json::Document::parse(body);
    if (!parsed.ok()) return;
    json::Value meta = parsed->root()["metadata"];
    auto keep = [](std::string& to, json::Value value) {
      if (!value.as_string().empty()) to = value.as_string();
    };
    keep(version, meta["resourceVersion"]);
    keep(uid, meta["uid"]);
    keep(name, meta["name"]);
    keep(token, meta["continue"]);
  }
  std::string fill(std::string text) const {
    text = replace_all(text, "{{version}}", version);
    text = replace_all(text, "{{uid}}", uid);
    text = replace_all(text, "{{name}}", name);
    return replace_all(text, "{{continue}}", token);
  }
};

Result<std::string> play(http::Client& client, const std::string& base, const Exchange& exchange,
                         Captured& captured) {
  http::ClientRequest request;
  request.method = exchange.method;
  request.url = base + captured.fill(exchange.path);
  request.body = captured.fill(exchange.body);
  request.timeout = std::chrono::seconds(30);
  bool authorised = base.starts_with("https");  // Then the certificate says who asks.
  for (const auto& [name, value] : exchange.headers) {
    if (equals_ignore_case(name, "Authorization")) authorised = true;
    if (value != "none") request.headers.add(name, value);
  }
  if (!authorised) request.headers.add("Authorization", fmt::format("Bearer {}", kAdminToken));
  bool typed = request.headers.has("Content-Type");
  if (!request.body.empty() && !typed) request.headers.add("Content-Type", "application/json");
  http::ClientResponse response = TRY(client.request(request));
  captured.take(response.body);
  std::string answer = fmt::format("{}\n", response.status);
  for (std::string_view warning : response.headers.all("Warning")) {
    answer += fmt::format("! {}\n", warning);
  }
  return answer + steady_body(response.body);
}

void show_difference(const std::string& wanted, const std::string& came) {
  std::vector<std::string_view> a = split(wanted, '\n');
  std::vector<std::string_view> b = split(came, '\n');
  size_t start = 0;
  while (start < a.size() && start < b.size() && a[start] == b[start]) ++start;
  for (size_t i = start; i < std::min(a.size(), start + 8); ++i) {
    fmt::print("    - {}\n", a[i]);
  }
  for (size_t i = start; i < std::min(b.size(), start + 8); ++i) {
    fmt::print("    + {}\n", b[i]);
  }
}

// Where requests go: a server of our own for each file, or another one.
struct Elsewhere {
  std::string url;
  http::ClientOptions options;
};

Result<std::pair<int, int>> run_file(const std::string& path, bool update,
                                     const std::optional<Elsewhere>& elsewhere) {
  std::string text = TRY(os::read_file(path));
  std::vector<Exchange> exchanges = TRY(parse(text));
  std::unique_ptr<Running> running;
  http::ClientOptions options;
  std::string base;
  if (elsewhere) {
    options = elsewhere->options;
    base = elsewhere->url;
  } else {
    running = TRY(start_server({}, {}));
    base = fmt::format("http://127.0.0.1:{}", running->server->port());
  }
  options.user_agent = "transcript/1.0";
  http::Client client(options);
  std::string port = base.substr(base.rfind(':') + 1);
  Captured captured;
  int passed = 0, failed = 0;
  for (Exchange& exchange : exchanges) {
    std::string answer = TRY(play(client, base, exchange, captured));
    answer = replace_all(answer, ":" + port, ":<port>");
    answer = replace_all(answer, ": " + port, ": \"<port>\"");
    if (answer == exchange.answer) {
      ++passed;
      continue;
    }
    if (update) {
      exchange.answer = answer;
      ++passed;
      continue;
    }
    ++failed;
    fmt::print("{}: {} {}\n", path, exchange.method, exchange.path);
    show_difference(exchange.answer, answer);
  }
  if (running != nullptr) running->server->stop();
  if (update) TRY(os::write_file_plain(path, print(exchanges)));
  return std::pair(passed, failed);
}

// ---- A server to look at by hand

Result<void> serve(const std::string& directory, const std::string& port) {
  SystemClock clock;
  TRY(os::make_directories(directory, 0700));
  pki::Authority ca = pki::Authority::create("wherry-ca", clock.now());
  pki::Key server_key = pki::Key::generate();
  pki::CertificateSpec server{.subject = {"wherry", {}},
                              .dns_names = {"localhost"},
                              .ip_addresses = {"127.0.0.1"},
                              .server_auth = true,
                              .now = clock.now()};
  pki::Key admin_key = pki::Key::generate();
  pki::CertificateSpec admin{
      .subject = {"admin", {"system:masters"}}, .client_auth = true, .now = clock.now()};
  pki::Certificate server_certificate = TRY(ca.issue(server_key, server));
  pki::Certificate admin_certificate = TRY(ca.issue(admin_key, admin));
  auto tls = std::make_shared<http::TlsCredentials>();
  tls->certificate_chain_pem = server_certificate.pem();
  tls->key_pem = server_key.private_pem();
  tls->client_ca_pem = ca.certificate.pem();
  std::string ca_file = directory + "/ca.crt", crt = directory + "/admin.crt",
              key = directory + "/admin.key";
  TRY(os::write_file_plain(ca_file, ca.certificate.pem()));
  TRY(os::write_file_plain(crt, admin_certificate.pem()));
  TRY(os::write_file_plain(key, admin_key.private_pem()));

  apiserver::ApiServer::Options options;
  options.listen = {"127.0.0.1:" + port};
  options.tls = tls;
  std::unique_ptr<Running> running = TRY(start_server(directory + "/state.db", std::move(options)));
  TRY(os::write_file_plain(
      directory + "/kubeconfig",
      fmt::format("apiVersion: v1\nkind: Config\ncurrent-context: w\n"
                  "clusters: [{{name: w, cluster: {{server: \"https://127.0.0.1:{}\", "
                  "certificate-authority: {}}}}}]\n"
                  "users: [{{name: w, user: {{client-certificate: {}, client-key: {}}}}}]\n"
                  "contexts: [{{name: w, context: {{cluster: w, user: w}}}}]\n",
                  running->server->port(), ca_file, crt, key)));
  fmt::print("KUBECONFIG={}/kubeconfig\n", directory);
  std::fflush(stdout);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  int number = 0;
  sigwait(&signals, &number);
  running->server->stop();
  return {};
}

int main_of(std::vector<std::string> arguments) {
  log::set_level(log::Level::kWarn);
  if (arguments.size() == 3 && arguments[0] == "--serve") {
    Result<void> done = serve(arguments[1], arguments[2]);
    if (!done.ok()) fmt::print(stderr, "{}\n", done.error().message());
    return done.ok() ? 0 : 1;
  }
  log::set_level(log::Level::kOff);
  std::optional<Elsewhere> elsewhere;
  if (arguments.size() > 5 && arguments[0] == "--against") {
    elsewhere.emplace();
    elsewhere->url = arguments[1];
    elsewhere->options.ca_pem = os::read_file(arguments[2]).value_or("");
    elsewhere->options.certificate_pem = os::read_file(arguments[3]).value_or("");
    elsewhere->options.key_pem = os::read_file(arguments[4]).value_or("");
    arguments.erase(arguments.begin(), arguments.begin() + 5);
  }
  bool update = !arguments.empty() && arguments[0] == "--update";
  if (update) arguments.erase(arguments.begin());
  int passed = 0, failed = 0;
  for (const std::string& path : arguments) {
    Result<std::pair<int, int>> result = run_file(path, update, elsewhere);
    if (!result.ok()) {
      fmt::print("{}: {}\n", path, result.error().message());
      ++failed;
      continue;
    }
    passed += result->first;
    failed += result->second;
  }
  fmt::print("{} passed, {} failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace wherry

int main(int argc, char** argv) {
  // Before any thread, so that all of them leave the signals to the one that waits.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return wherry::main_of(std::vector<std::string>(argv + 1, argv + argc));
}
