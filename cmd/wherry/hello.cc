// wherry hello: the demo image's program. Serves one page that shows where it runs, and answers the
// questions one asks of a pod without a shell: --get, --resolve, --env, --sleep.

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <set>

#include "base/clock.h"
#include "base/strings.h"
#include "commands.h"
#include "http/simple_client.h"
#include "http/simple_server.h"
#include "kubectl_flags.h"
#include "os/fd.h"
#include "os/signal.h"

namespace wherry::command {
namespace {

using kubectl::FlagRow;
using kubectl::Flags;

constexpr char kServiceAccount[] = "/var/run/secrets/kubernetes.io/serviceaccount/";

const std::vector<FlagRow> kFlags = {
    {.name = "port", .shorthand = 'p', .fallback = "8080", .help = "Port of the page"},
    {.name = "bind", .fallback = "0.0.0.0", .help = "Address to serve on"},
    {.name = "get", .help = "Fetch a URL and print what it answers, instead of serving"},
    {.name = "insecure", .bare = "true", .help = "With --get: do not verify the server"},
    {.name = "resolve", .help = "Look a name up and print its addresses"},
    {.name = "env", .bare = "true", .help = "Print the environment"},
    {.name = "sleep", .help = "Do nothing for so long (30s, 5m; 0: until a signal)"},
    {.name = "help", .shorthand = 'h', .bare = "true", .help = "Show this"},
};

int fail(const Error& error) {
  std::fprintf(stderr, "wherry hello: %s\n", error.message().c_str());
  return 1;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The first address that is not loopback.
std::string own_address() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return "";
  std::string found;
  for (ifaddrs* at = list; at != nullptr && found.empty(); at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET) continue;
    if ((at->ifa_flags & IFF_LOOPBACK) != 0) continue;
    char text[INET_ADDRSTRLEN] = "";
    const auto* address = reinterpret_cast<const sockaddr_in*>(at->ifa_addr);
    if (inet_ntop(AF_INET, &address->sin_addr, text, sizeof text) != nullptr) found = text;
  }
  freeifaddrs(list);
  return found;
}

// What the page says about the pod: from the downward API where the pod passes it on, else from
// what the container can see by itself. Constant once made.
struct Facts {
  std::string pod, ns, node, address;

  static Facts read() {
    Facts facts;
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0) host[0] = 0;
    facts.pod = environment("POD_NAME");
    if (facts.pod.empty()) facts.pod = host;
    facts.ns = environment("POD_NAMESPACE");
    if (facts.ns.empty()) {
      facts.ns = os::read_file(std::string(kServiceAccount) + "namespace").value_or(std::string());
    }
    facts.node = environment("NODE_NAME");
    facts.address = environment("POD_IP");
    if (facts.address.empty()) facts.address = own_address();
    return facts;
  }
};

using Row = std::pair<std::string, std::string>;

std::vector<Row> rows_of(const Facts& facts, const http::Request& request) {
  std::vector<Row> rows = {{"pod", facts.pod},
                           {"namespace", facts.ns},
                           {"node", facts.node},
                           {"address", facts.address},
                           {"time", format_time(SystemClock().now())},
                           {"request", request.method + " " + request.target},
                           {"from", request.peer_address}};
  std::erase_if(rows, [](const Row& row) { return row.second.empty(); });
  return rows;
}

std::string escape(std::string_view text) {
  std::string out = replace_all(text, "&", "&amp;");
  out = replace_all(out, "<", "&lt;");
  return replace_all(out, "\"", "&quot;");
}

std::string html_table(const std::vector<Row>& rows) {
  std::string out = "<table>\n";
  for (const auto& [name, value] : rows) {
    out += "<tr><th>" + escape(name) + "</th><td>" + escape(value) + "</td></tr>\n";
  }
  return out + "</table>\n";
}

std::string html_page(const Facts& facts, const http::Request& request) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Hello from " +
         escape(facts.pod) +
         "</title><style>body{font:16px system-ui,sans-serif;margin:3em auto;max-width:46em;"
         "color:#123}th{text-align:left;padding-right:2em;color:#567;font-weight:normal;vertical-"
         "align:top}td{word-break:break-word}h2{margin-top:2em;font-size:1em}</style></head>"
         "<body>\n<h1>Hello from Wherry</h1>\n" +
         html_table(rows_of(facts, request)) + "<h2>Request headers</h2>\n" +
         html_table(request.headers.fields()) + "</body></html>\n";
}

std::string text_page(const Facts& facts, const http::Request& request) {
  std::string out = "Hello from Wherry\n";
  for (const auto& [name, value] : rows_of(facts, request)) {
    out += fmt::format("{:<10} {}\n", name, value);
  }
  out += "\n";
  for (const auto& [name, value] : request.headers.fields()) out += name + ": " + value + "\n";
  return out;
}

// Until SIGTERM or SIGINT, or the limit. As process 1 of a container there is no default action for
// them: whoever does not ask for them never hears of them.
Result<void> wait_for_end(os::SignalFd& signals, int limit_ms) {
  pollfd waited{.fd = signals.fd(), .events = POLLIN, .revents = 0};
  while (true) {
    int count = poll(&waited, 1, limit_ms);
    if (count < 0 && errno != EINTR) return Error::from_errno(errno, "poll");
    if (count == 0 || signals.read() != 0) return {};
  }
}

Result<int> serve(const Flags& flags, os::SignalFd& signals) {
  int64_t port = TRY(flags.number("port"));
  if (port < 0 || port > 65535) return Error::invalid("--port: {} is no port", port);
  const Facts facts = Facts::read();
  std::atomic<bool> ending = false;
  http::SimpleServer::Options options;
  options.address = std::string(flags.text("bind"));
  options.port = static_cast<uint16_t>(port);
  options.handler = [&](http::Request& request, http::Response& response) {
    if (request.path == "/healthz" || request.path == "/readyz") {
      // A pod that ends takes no new requests, but answers those it gets.
      bool refuse = ending && request.path == "/readyz";
      response.status = refuse ? 503 : 200;
      return response.set_body("text/plain; charset=utf-8", refuse ? "ending" : "ok");
    }
    if (request.path == "/favicon.ico") {
      response.status = 404;
      return response.set_body("text/plain; charset=utf-8", "");
    }
    response.headers.set("Cache-Control", "no-store");
    if (request.headers.get("Accept").find("text/html") != std::string_view::npos) {
      response.set_body("text/html; charset=utf-8", html_page(facts, request));
    } else {
      response.set_body("text/plain; charset=utf-8", text_page(facts, request));
    }
  };
  http::SimpleServer server(std::move(options));
  TRY(server.start());
  std::printf("wherry hello: %s serves on port %u\n", facts.pod.c_str(), server.port());
  std::fflush(stdout);
  TRY(wait_for_end(signals, -1));
  ending = true;
  server.stop();
  return 0;
}

Result<int> get(const Flags& flags) {
  std::string url(flags.text("get"));
  if (url.find("://") == std::string::npos) url = "http://" + url;
  http::Fetched response = TRY(http::fetch(url, {.insecure = flags.on("insecure")}));
  std::string_view reason = http::status_text(response.status);
  std::fprintf(stderr, "%d %.*s\n", response.status, static_cast<int>(reason.size()),
               reason.data());
  std::fwrite(response.body.data(), 1, response.body.size(), stdout);
  return response.status < 400 ? 0 : 1;
}

Result<int> resolve(std::string_view name) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  std::string text(name);
  if (int code = getaddrinfo(text.c_str(), nullptr, &hints, &list); code != 0) {
    return Error::not_found("{}: {}", name, gai_strerror(code));
  }
  std::set<std::string> seen;
  for (addrinfo* at = list; at != nullptr; at = at->ai_next) {
    char address[NI_MAXHOST] = "";
    if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, nullptr, 0,
                    NI_NUMERICHOST) == 0 &&
        seen.insert(address).second) {
      std::puts(address);
    }
  }
  freeaddrinfo(list);
  return 0;
}

Result<int> run(const Flags& flags) {
  if (flags.given("get")) return get(flags);
  if (flags.given("resolve")) return resolve(flags.text("resolve"));
  if (flags.on("env")) {
    for (char** at = environ; *at != nullptr; ++at) std::puts(*at);
    return 0;
  }
  TRY(os::block_signals({SIGTERM, SIGINT}));
  os::ignore_broken_pipes();
  os::SignalFd signals = TRY(os::SignalFd::open({SIGTERM, SIGINT}));
  if (flags.given("sleep")) {
    auto limit = TRY(kubectl::parse_duration(flags.text("sleep")));
    TRY(wait_for_end(signals, limit.count() > 0 ? static_cast<int>(limit.count()) : -1));
    return 0;
  }
  return serve(flags, signals);
}

}  // namespace

int run_hello(int argc, const char* const* argv) {
  std::span<const char* const> words(argv + 1, static_cast<size_t>(argc - 1));
  Result<Flags> flags = Flags::parse(kFlags, words);
  if (!flags.ok()) return fail(flags.error());
  if (flags->on("help")) {
    std::printf(
        "Serves a small web page, the demo image's program.\n\nUsage: wherry hello "
        "[flags]\n\nFlags:\n%s",
        kubectl::describe_flags(kFlags).c_str());
    return 0;
  }
  if (!flags->arguments().empty()) {
    return fail(
        Error::invalid("unexpected \"{}\": see wherry hello --help", flags->arguments()[0]));
  }
  Result<int> code = run(*flags);
  return code.ok() ? *code : fail(code.error());
}

}  // namespace wherry::command
