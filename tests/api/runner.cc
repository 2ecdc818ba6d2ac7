// Replays transcripts of API requests (transcript.h) and compares the answers.
//
//   runner FILE...                       each file against a fresh server in this process
//   runner --record KUBECONFIG FILE...   writes the answers of another server into the files
//   runner --against KUBECONFIG FILE...  compares with another server
//   runner --update FILE...              writes our own answers into the files
//   runner --serve DIR PORT              a server over TLS until a signal; DIR/kubeconfig speaks to
//   it
//
// In requests {{version}}, {{uid}}, {{name}} and {{continue}} are from the answers before, and
// {{fill:N}} is N bytes of text. A body of type application/vnd.kubernetes.protobuf stands as JSON
// and is sent as protobuf, or as "base64:..." and is sent decoded.
//
// known_differences.txt, beside the files, lists exchanges that do not agree yet, one a line:
// "FILE NUMBER METHOD PATH: reason". They count as skipped, and as failed once they agree.
//
// A comment "# Plugins: A, B" before the first request names admission plugins that the server of
// the file's own runs beside the usual ones; another server is expected to run them.
//
// The last line is "N passed, N failed, N skipped", counting exchanges.

#include "elsewhere.h"  // Beside this file.
#include "server.h"
#include "steady.h"
#include "transcript.h"

#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "api/object.h"
#include "api/protobuf.h"
#include "api/resource.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/strings.h"
#include "http/client.h"
#include "json/json.h"
#include "os/fd.h"
#include "os/file.h"
#include "pki/pki.h"

namespace wherry {
namespace {

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
    constexpr std::string_view kFill = "{{fill:";
    for (size_t at; (at = text.find(kFill)) != std::string::npos;) {
      size_t end = text.find("}}", at);
      std::string_view count =
          std::string_view(text).substr(at + kFill.size(), end - at - kFill.size());
      text.replace(at, end + 2 - at, std::string(parse_int(count).value_or(0), 'a'));
    }
    return replace_all(text, "{{continue}}", token);
  }
};

const api::Struct* schema_of(std::string_view api_version, std::string_view kind) {
  auto parts = split_once(api_version, "/");
  std::string_view group = parts ? parts->first : "", version = parts ? parts->second : api_version;
  const api::Resource* row = api::find_kind(group, version, kind);
  return row == nullptr ? nullptr : row->schema;
}

Result<std::string> protobuf_of(const std::string& body) {
  if (body.starts_with("base64:")) {
    std::optional<std::string> raw = base64_decode(trim(std::string_view(body).substr(7)));
    if (!raw) return Error::invalid("not base64: {}", body);
    return *raw;
  }
  json::Document object = TRY(json::Document::parse(body));
  const api::Struct* schema =
      schema_of(object.root()["apiVersion"].as_string(), object.root()["kind"].as_string());
  if (schema == nullptr) return Error::invalid("of no known kind: {}", body);
  return api::protobuf_encode_body(*schema, object.root());
}

// A protobuf answer as JSON, when it is of a kind that has a schema.
std::string readable(const http::ClientResponse& response) {
  Result<api::ProtobufEnvelope> envelope = api::protobuf_unwrap(response.body);
  if (!envelope.ok()) return response.body;
  const api::Struct* schema = schema_of(envelope->api_version, envelope->kind);
  if (schema == nullptr)
    return fmt::format("<protobuf {} {}>", envelope->api_version, envelope->kind);
  Result<json::Draft> object = api::protobuf_decode_body(*schema, response.body);
  return object.ok() ? object->dump() : object.error().message();
}

// Who asks: the administrator, or with the header "Authorization: none" nobody in particular.
struct Askers {
  http::Client admin, nobody;
  std::string base;
};

http::ClientOptions without_certificate(http::ClientOptions options) {
  options.certificate_pem.clear();
  options.key_pem.clear();
  return options;
}

Result<std::string> play(Askers& askers, const Exchange& exchange, Captured& captured) {
  http::ClientRequest request;
  request.method = exchange.method;
  request.url = askers.base + captured.fill(exchange.path);
  request.body = captured.fill(exchange.body);
  request.timeout = std::chrono::seconds(30);
  bool anonymous = false;
  for (const auto& [name, value] : exchange.headers) {
    if (value == "none") {
      anonymous = equals_ignore_case(name, "Authorization");
    } else {
      request.headers.add(name, value);
    }
  }
  bool by_token = !anonymous && !askers.base.starts_with("https");
  if (by_token && !request.headers.has("Authorization")) {
    request.headers.add("Authorization", fmt::format("Bearer {}", kAdminToken));
  }
  bool typed = request.headers.has("Content-Type");
  if (!request.body.empty() && !typed) request.headers.add("Content-Type", "application/json");
  if (typed && request.headers.get("Content-Type") == api::kProtobufMediaType) {
    request.body = TRY(protobuf_of(request.body));
  }
  http::Client& client = anonymous ? askers.nobody : askers.admin;
  http::ClientResponse response = TRY(client.request(request));
  captured.take(response.body);
  std::string answer = fmt::format("{}\n", response.status);
  for (std::string_view warning : response.headers.all("Warning")) {
    answer += fmt::format("! {}\n", warning);
  }
  return answer + steady_body(readable(response));
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

// "FILE NUMBER METHOD PATH" to the reason.
using Known = std::map<std::string, std::string, std::less<>>;

Known read_known(const std::string& path) {
  Known known;
  Result<std::string> text = os::read_file(path);
  if (!text.ok()) return known;
  for (std::string_view line : split(*text, '\n')) {
    auto parts = split_once(line, ": ");
    if (parts && !line.starts_with("#")) known.emplace(parts->first, parts->second);
  }
  return known;
}

struct Counts {
  int passed = 0, failed = 0, skipped = 0;
};

enum class Mode { kCompare, kWrite };

struct Run {
  Mode mode = Mode::kCompare;
  std::optional<Elsewhere> elsewhere;  // Else a server of our own for each file.
  Known known;
};

void compare(const Run& run, const std::string& path, size_t number, const Exchange& exchange,
             const std::string& answer, Counts& counts) {
  std::string file = path.substr(path.rfind('/') + 1);
  std::string name = fmt::format("{} {} {} {}", file, number, exchange.method, exchange.path);
  bool known = run.known.contains(name);
  bool same = answer == exchange.answer;
  if (known && !same) {
    ++counts.skipped;
  } else if (known) {
    ++counts.failed;
    fmt::print("{}\n    agrees now: strike it from the known differences\n", name);
  } else if (same) {
    ++counts.passed;
  } else {
    ++counts.failed;
    fmt::print("{}\n", name);
    show_difference(exchange.answer, answer);
  }
}

apiserver::ApiServer::Options options_for(const std::vector<Exchange>& exchanges) {
  constexpr std::string_view kPlugins = "# Plugins: ";
  apiserver::ApiServer::Options out;
  if (exchanges.empty()) return out;
  for (const std::string& line : exchanges.front().comments) {
    if (!line.starts_with(kPlugins)) continue;
    for (std::string_view name : split(std::string_view(line).substr(kPlugins.size()), ',')) {
      out.admission.enabled.emplace_back(trim(name));
    }
  }
  return out;
}

Result<Counts> run_file(const std::string& path, const Run& run) {
  std::vector<Exchange> exchanges = TRY(parse(TRY(os::read_file(path))));
  std::unique_ptr<Running> running;
  http::ClientOptions options;
  std::string base;
  if (run.elsewhere) {
    TRY(empty_out(*run.elsewhere));
    options = run.elsewhere->options;
    base = run.elsewhere->url;
  } else {
    apiserver::ApiServer::Options wanted = options_for(exchanges);
    TRY(wanted.admission.check());
    running = TRY(start_server({}, std::move(wanted)));
    base = fmt::format("http://127.0.0.1:{}", running->server->port());
  }
  options.user_agent = "transcript/1.0";
  Askers askers{.admin = http::Client(options),
                .nobody = http::Client(without_certificate(options)),
                .base = base};
  std::string port = base.substr(base.rfind(':') + 1);
  Captured captured;
  Counts counts;
  for (size_t i = 0; i < exchanges.size(); ++i) {
    std::string answer = TRY(play(askers, exchanges[i], captured));
    answer = replace_all(answer, ":" + port, ":<port>");
    answer = replace_all(answer, ": " + port, ": \"<port>\"");
    if (run.mode == Mode::kWrite) {
      exchanges[i].answer = answer;
      ++counts.passed;
    } else {
      compare(run, path, i + 1, exchanges[i], answer, counts);
    }
  }
  if (running != nullptr) running->server->stop();
  if (run.mode == Mode::kWrite) TRY(os::write_file_plain(path, print(exchanges)));
  return counts;
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
  Run run;
  if (arguments.size() > 2 && (arguments[0] == "--record" || arguments[0] == "--against")) {
    Result<Elsewhere> elsewhere = read_kubeconfig(arguments[1]);
    if (!elsewhere.ok()) {
      fmt::print(stderr, "{}\n", elsewhere.error().message());
      return 2;
    }
    run.elsewhere = *elsewhere;
    if (arguments[0] == "--record") run.mode = Mode::kWrite;
    arguments.erase(arguments.begin(), arguments.begin() + 2);
  } else if (!arguments.empty() && arguments[0] == "--update") {
    run.mode = Mode::kWrite;
    arguments.erase(arguments.begin());
  }
  if (!run.elsewhere) run.known = read_known("known_differences.txt");
  Counts total;
  for (const std::string& path : arguments) {
    Result<Counts> counts = run_file(path, run);
    if (!counts.ok()) {
      fmt::print("{}: {}\n", path, counts.error().message());
      ++total.failed;
      continue;
    }
    total.passed += counts->passed;
    total.failed += counts->failed;
    total.skipped += counts->skipped;
  }
  fmt::print("{} passed, {} failed, {} skipped\n", total.passed, total.failed, total.skipped);
  return total.failed == 0 ? 0 : 1;
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
