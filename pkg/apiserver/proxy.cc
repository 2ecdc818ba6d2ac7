#include "apiserver/proxy.h"

#include <poll.h>

#include <algorithm>
#include <array>

#include "apiserver/proxy_backend.h"
#include "apiserver/proxy_links.h"
#include "apiserver/proxy_target.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kDialLimit = seconds(30);
constexpr milliseconds kHeadLimit = seconds(60);
constexpr milliseconds kPieceLimit = seconds(60);
constexpr milliseconds kGoneCheck = seconds(15);
constexpr size_t kHeldBytesMax = 256 << 10;  // Longer answers are passed on piece by piece.
constexpr size_t kPageBytesMax = 8 << 20;    // Of an HTML page whose links are to be moved.

// Fields of one hop (RFC 9110, section 7.6.1), and those that are worked out anew.
constexpr std::array<std::string_view, 13> kHopFields = {"connection",
                                                         "keep-alive",
                                                         "proxy-authenticate",
                                                         "proxy-authorization",
                                                         "proxy-connection",
                                                         "te",
                                                         "trailer",
                                                         "transfer-encoding",
                                                         "upgrade",
                                                         "content-length",
                                                         "accept-encoding",
                                                         "authorization",
                                                         "date"};

bool is_hop_field(std::string_view name) {
  std::string lower = to_lower(name);
  return std::find(kHopFields.begin(), kHopFields.end(), lower) != kHopFields.end();
}

// The part of the path behind ".../proxy", still escaped; empty when there is not even a slash.
std::string_view path_behind(const http::Request& request, const Route& route) {
  size_t skip = request.segments.size() - route.tail.size();
  std::string_view path = request.path;
  size_t at = 0;
  for (; skip > 0; --skip) {
    while (at < path.size() && path[at] == '/') ++at;
    while (at < path.size() && path[at] != '/') ++at;
  }
  return path.substr(at);
}

std::string_view query_of(const http::Request& request) {
  size_t mark = request.target.find('?');
  return mark == std::string::npos ? std::string_view()
                                   : std::string_view(request.target).substr(mark);
}

http::Headers outgoing(const http::Request& request, const ProxyTarget& target, bool upgrade,
                       const AuthenticatingProxies& proxies) {
  http::Headers out;
  std::string host(request.headers.get("Host"));
  out.add("Host", host.empty() ? target.host : host);
  for (const auto& [name, value] : request.headers.fields()) {
    bool ours =
        is_hop_field(name) || proxies.is_identity_field(name) || equals_ignore_case(name, "Host");
    if (!ours) out.add(name, value);
  }
  if (upgrade) {
    out.add("Connection", "Upgrade");
    out.add("Upgrade", std::string(request.headers.get("Upgrade")));
  } else {
    out.add("Connection", "close");
  }
  std::string via(request.headers.get("X-Forwarded-For"));
  out.set("X-Forwarded-For",
          via.empty() ? request.peer_address : via + ", " + request.peer_address);
  out.set("X-Forwarded-Host", host);
  out.set("X-Forwarded-Proto", request.secure ? "https" : "http");
  out.set("X-Forwarded-Uri", request.path);
  bool has_body = !request.body.empty() || request.method == "POST" || request.method == "PUT" ||
                  request.method == "PATCH";
  if (has_body) out.add("Content-Length", std::to_string(request.body.size()));
  return out;
}

void copy_head(const ProxyBackend::Head& head, const LinkBase& base, http::Response& response) {
  response.status = head.status;
  if (head.headers.has("Cache-Control")) response.headers.remove("Cache-Control");
  for (const auto& [name, value] : head.headers.fields()) {
    if (is_hop_field(name) || equals_ignore_case(name, "Content-Type")) continue;
    response.headers.add(name,
                         equals_ignore_case(name, "Location") ? rewrite_link(base, value) : value);
  }
}

// Bytes both ways until one side ends.
void join(http::Stream& client, http::Stream& backend, std::string_view early) {
  char buffer[32 << 10];
  auto pump = [&buffer](http::Stream& from, http::Stream& to) {
    while (from.readable() || from.wait_readable(milliseconds(0))) {
      Result<http::Stream::Read> read = from.read(buffer, sizeof buffer);
      if (!read.ok()) return false;
      if (read->bytes > 0 && !to.write_all({buffer, read->bytes}).ok()) return false;
      if (read->end) return false;
      if (read->bytes == 0) return true;
    }
    return true;
  };
  if (!early.empty() && !client.write_all(early).ok()) return;
  for (;;) {
    pollfd fds[2] = {{client.fd(), POLLIN, 0}, {backend.fd(), POLLIN, 0}};
    bool at_hand = client.readable() || backend.readable();
    if (poll(fds, 2, at_hand ? 0 : -1) < 0 && errno != EINTR) return;
    if (!pump(client, backend) || !pump(backend, client)) return;
  }
}

void pass_body(ProxyBackend& backend, http::BodyWriter& body) {
  for (;;) {
    if (!backend.wait(kGoneCheck)) {
      if (body.peer_gone()) return;
      continue;
    }
    Result<std::string> piece = backend.read_piece(kPieceLimit);
    if (!piece.ok() || piece->empty() || !body.write(*piece)) return;
  }
}

Error unreachable(const Error& error) {
  return Error::unavailable("error trying to reach service: {}", error.message());
}

http::ClientOptions client_options() {
  http::ClientOptions options;
  // A pod's certificate is nobody's business here: pods are reached by address.
  options.insecure = true;
  return options;
}

// The answer's body, held, moved or passed on, as its kind and length ask.
Result<void> answer(std::shared_ptr<ProxyBackend> backend, const ProxyBackend::Head& head,
                    const LinkBase& base, http::Response& response) {
  std::string type(head.headers.get("Content-Type"));
  bool page = to_lower(type).starts_with("text/html") && !head.headers.has("Content-Encoding");
  std::optional<uint64_t> length = parse_uint(head.headers.get("Content-Length"));
  if (!page && (!length || *length > kHeldBytesMax)) {
    bool bodiless = head.status == 204 || head.status == 304;
    if (!bodiless) {
      return response.stream(type,
                             [backend](http::BodyWriter& body) { pass_body(*backend, body); });
    }
  }
  Result<std::string> body = backend->read_all(page ? kPageBytesMax : kHeldBytesMax, kPieceLimit);
  if (!body.ok()) return unreachable(body.error());
  response.set_body(type, page ? rewrite_html(base, *body) : std::move(*body));
  return {};
}

}  // namespace

Proxy::Proxy(const store::Store& store, const AuthenticatingProxies& proxies)
    : store_(store), proxies_(proxies), client_(client_options()) {}

Result<void> Proxy::pass(const http::Request& request, const Route& route,
                         http::Response& response) {
  ProxyTarget target = TRY(find_proxy_target(store_, route.target));
  std::string_view tail = path_behind(request, route);
  bool upgrade = request.headers.has_token("Connection", "upgrade");
  bool reads = request.method == "GET" || request.method == "HEAD";
  if (tail.empty() && reads && !upgrade) {
    // Relative links only work below a folder.
    response.status = 301;
    response.headers.set("Location", request.path + "/" + std::string(query_of(request)));
    return {};
  }
  Result<std::unique_ptr<http::Stream>> stream = client_.connect(target.url(), kDialLimit);
  if (!stream.ok()) return unreachable(stream.error());
  auto backend = std::make_shared<ProxyBackend>(std::move(*stream));
  std::string path(tail.empty() ? "/" : tail);
  path += query_of(request);
  Result<void> sent = backend->send(request.method, path,
                                    outgoing(request, target, upgrade, proxies_), request.body);
  if (!sent.ok()) return unreachable(sent.error());
  Result<ProxyBackend::Head> head = backend->read_head(kHeadLimit);
  if (!head.ok()) return unreachable(head.error());

  std::string prefix = request.path.substr(0, request.path.size() - tail.size());
  LinkBase base{target.host, std::move(prefix)};
  copy_head(*head, base, response);
  if (head->status == 101) {
    response.headers.set("Upgrade", std::string(head->headers.get("Upgrade")));
    return response.upgrade(
        [backend](http::Stream& client) { join(client, backend->stream(), backend->take_rest()); });
  }
  if (request.method == "HEAD") {
    if (head->headers.has("Content-Type")) {
      response.headers.set("Content-Type", std::string(head->headers.get("Content-Type")));
    }
    return {};
  }
  return answer(std::move(backend), *head, base, response);
}

}  // namespace wherry::apiserver
