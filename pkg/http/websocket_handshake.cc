// The handshakes of both sides (RFC 6455 §4).

#include <openssl/evp.h>

#include "base/encoding.h"
#include "base/random.h"
#include "base/strings.h"
#include "http/websocket.h"

namespace wherry::http {
namespace {

constexpr std::string_view kMagic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr size_t kAnswerBytesMax = 64 << 10;
constexpr std::chrono::seconds kAnswerLimit{30};

std::string accept_key(std::string_view key) {
  std::string text = std::string(key) + std::string(kMagic);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr) == 1);
  return base64_encode({reinterpret_cast<char*>(digest), size});
}

std::vector<std::string_view> offered_protocols(const Headers& headers) {
  std::vector<std::string_view> offered;
  for (std::string_view line : headers.all("Sec-WebSocket-Protocol")) {
    for (std::string_view item : split(line, ',')) {
      if (!trim(item).empty()) offered.push_back(trim(item));
    }
  }
  return offered;
}

struct Url {
  std::string origin;     // "https://host:port", as libcurl takes it.
  std::string authority;  // "host:port"
  std::string target;     // "/path?query"
};

Result<Url> parse_url(const std::string& text) {
  auto parts = split_once(text, "://");
  if (!parts) return Error::invalid("{} is not a URL", quote(text));
  bool secure = parts->first == "wss" || parts->first == "https";
  size_t slash = parts->second.find_first_of("/?");
  Url url;
  url.authority = parts->second.substr(0, slash);
  url.origin = (secure ? "https://" : "http://") + url.authority;
  url.target = slash == std::string_view::npos ? "" : parts->second.substr(slash);
  if (url.target.empty() || url.target.front() != '/') url.target.insert(0, "/");
  return url;
}

struct Answer {
  int status = 0;
  Headers headers;
  std::string rest;  // What came behind the head.
};

Result<Answer> read_answer(Stream& stream) {
  std::string text;
  char buffer[4096];
  size_t end = std::string::npos;
  while ((end = text.find("\r\n\r\n")) == std::string::npos) {
    if (text.size() > kAnswerBytesMax) return Error::unavailable("the answer's head is too long");
    Stream::Read got = TRY(stream.read_wait(buffer, sizeof(buffer), kAnswerLimit));
    if (got.end) return Error::unavailable("the server closed the connection during the handshake");
    text.append(buffer, got.bytes);
  }
  Answer answer;
  answer.rest = text.substr(end + 4);
  std::string_view head = std::string_view(text).substr(0, end);
  std::vector<std::string_view> lines = split(head, '\n');
  std::vector<std::string_view> words = split(trim(lines[0]), ' ');
  if (words.size() < 2 || !words[0].starts_with("HTTP/1."))
    return Error::unavailable("the answer is not HTTP/1.1");
  answer.status = static_cast<int>(parse_int(words[1]).value_or(0));
  for (size_t i = 1; i < lines.size(); ++i) {
    if (auto field = split_once(lines[i], ":")) {
      answer.headers.add(std::string(trim(field->first)), std::string(trim(field->second)));
    }
  }
  return answer;
}

// Why the server did not switch: the code by its status, and as much of its body as it tells the
// length of.
Error refusal(Stream& stream, Answer& answer) {
  size_t length = parse_uint(answer.headers.get("Content-Length")).value_or(0);
  length = std::min(length, kAnswerBytesMax);
  char buffer[4096];
  while (answer.rest.size() < length) {
    Result<Stream::Read> got = stream.read_wait(buffer, sizeof(buffer), std::chrono::seconds(2));
    if (!got.ok() || got->end) break;
    answer.rest.append(buffer, got->bytes);
  }
  Code code = answer.status == 400   ? Code::kBadRequest
              : answer.status == 401 ? Code::kUnauthorized
              : answer.status == 403 ? Code::kForbidden
              : answer.status == 404 ? Code::kNotFound
              : answer.status == 429 ? Code::kTooManyRequests
              : answer.status >= 500 ? Code::kInternal
                                     : Code::kUnavailable;
  std::string message = answer.rest.substr(0, length);
  if (message.empty()) message = fmt::format("{} {}", answer.status, status_text(answer.status));
  return Error(code, std::move(message));
}

}  // namespace

bool is_websocket_request(const Request& request) {
  return request.headers.has_token("Connection", "upgrade") &&
         request.headers.has_token("Upgrade", "websocket");
}

Result<std::string> accept_websocket(const Request& request, Response& response,
                                     const std::vector<std::string>& protocols) {
  if (!is_websocket_request(request)) return Error::bad_request("not a WebSocket request");
  if (request.method != "GET" || request.minor_version != 1) {
    return Error::bad_request("a WebSocket needs GET and HTTP/1.1");
  }
  if (request.headers.get("Sec-WebSocket-Version") != "13") {
    response.headers.set("Sec-WebSocket-Version", "13");
    return Error::bad_request("only version 13 of WebSocket is spoken here");
  }
  std::string_view key = request.headers.get("Sec-WebSocket-Key");
  std::optional<std::string> nonce = base64_decode(key);
  if (!nonce || nonce->size() != 16)
    return Error::bad_request("the Sec-WebSocket-Key is malformed");

  std::vector<std::string_view> offered = offered_protocols(request.headers);
  for (const std::string& protocol : protocols) {
    bool fits = protocol.empty()
                    ? offered.empty()
                    : std::find(offered.begin(), offered.end(), protocol) != offered.end();
    if (!fits) continue;
    response.status = 101;
    response.headers.set("Upgrade", "websocket");
    response.headers.set("Sec-WebSocket-Accept", accept_key(key));
    if (!protocol.empty()) response.headers.set("Sec-WebSocket-Protocol", protocol);
    return protocol;
  }
  return Error::bad_request(
      "unable to negotiate a WebSocket protocol: the client offers [{}], the server speaks [{}]",
      join(offered, ", "), join(protocols, ", "));
}

Result<WebSocketConnection> connect_websocket(Client& client, const std::string& url_text,
                                              const Headers& headers,
                                              const std::vector<std::string>& protocols) {
  Url url = TRY(parse_url(url_text));
  WebSocketConnection made;
  made.stream = TRY(client.connect(url.origin));
  std::string key = base64_encode(random_bytes(16));
  std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
      url.target, url.authority, key);
  if (!protocols.empty()) request += "Sec-WebSocket-Protocol: " + join(protocols, ", ") + "\r\n";
  for (const Headers::Field& field : headers.fields())
    request += field.first + ": " + field.second + "\r\n";
  TRY(made.stream->write_all(request + "\r\n"));

  Answer answer = TRY(read_answer(*made.stream));
  if (answer.status != 101) return refusal(*made.stream, answer);
  if (answer.headers.get("Sec-WebSocket-Accept") != accept_key(key)) {
    return Error::unavailable("the server did not accept the WebSocket handshake");
  }
  made.protocol = answer.headers.get("Sec-WebSocket-Protocol");
  made.socket = std::make_unique<WebSocket>(*made.stream, WebSocket::Role::kClient);
  made.socket->prime(answer.rest);
  return made;
}

}  // namespace wherry::http
