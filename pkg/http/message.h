#pragma once
// Request and Response: one HTTP/1.1 exchange as the server's handler sees it. A Request is
// complete (body included) before the handler runs; a Response is filled by the handler and sent
// afterwards.
//
// A response leaves in one of five ways: a body with known length (shared bytes are never copied),
// a producer that writes chunks on the request's worker, the hub (watches), or a stream thread
// (upgrades and long downloads), or not yet (wait_for). The last of these calls wins.
//
// Threads: one exchange belongs to one worker; HubConnection (hub.h) is for any thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/hub.h"

namespace wherry::http {

class Stream;
class BodyWriter;
class Turn;
class StreamGate;

using SharedBytes = std::shared_ptr<const std::string>;

// A part of a body: bytes that are sent from where they are.
struct Piece {
  std::shared_ptr<const void> owner;  // Keeps the bytes; null for constants.
  std::string_view bytes;
};

// Header fields in the order received or added; names compare without case.
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  std::string_view get(std::string_view name) const;  // First value, empty when absent.
  bool has(std::string_view name) const;
  std::vector<std::string_view> all(std::string_view name) const;
  // True when one of the comma-separated items of the named fields is `token`, without case.
  bool has_token(std::string_view name, std::string_view token) const;
  void add(std::string name, std::string value) {
    if (fields_.empty()) fields_.reserve(8);
    fields_.emplace_back(std::move(name), std::move(value));
  }
  void set(std::string name, std::string value);  // Replaces all of that name.
  void remove(std::string_view name);
  const std::vector<Field>& fields() const { return fields_; }

 private:
  std::vector<Field> fields_;
};

// Query parameters, decoded, in order.
class Query {
 public:
  using Parameter = std::pair<std::string, std::string>;

  // "a=1&b=x%20y&a=2"; kBadRequest when an escape is malformed.
  static Result<Query> parse(std::string_view text);

  std::string_view get(std::string_view name) const;  // First value, empty when absent.
  bool has(std::string_view name) const;
  std::vector<std::string_view> all(std::string_view name) const;
  const std::vector<Parameter>& parameters() const { return parameters_; }

 private:
  std::vector<Parameter> parameters_;
};

// Who the peer proved to be: the subject of a certificate that verified against authorities of
// ours.
struct PeerCertificate {
  std::string common_name;
  std::vector<std::string> organizations;
  std::string sha256;  // Of the DER form, hexadecimal.
  Time not_after{};
};

struct Request {
  std::string method;  // "GET", as sent.
  std::string target;  // Path and query, as sent.
  std::string path;    // Without the query, still escaped.
  std::vector<std::string>
      segments;                 // Of the path, decoded: "/api/v1/pods" is {"api", "v1", "pods"}.
  bool trailing_slash = false;  // "/api/" has it; "/" has no segments and has it.
  Query query;
  Headers headers;
  std::string body;
  std::string peer_address;  // "192.0.2.7", "2001:db8::1".
  uint16_t peer_port = 0;
  bool secure = false;  // Came over TLS.
  std::shared_ptr<const PeerCertificate>
      certificate;  // Null: none was shown, or it did not verify against the clients' authorities.
  std::string certificate_problem;  // Why it did not verify; empty otherwise.
  // The same certificate when it verifies against the authorities for proxies; trust for the one
  // thing is none for the other.
  std::shared_ptr<const PeerCertificate> proxy_certificate;
  int minor_version = 1;  // Of HTTP/1.
  bool keep_alive = true;
  MonotonicTime received{};  // When its last byte had come.
  // What the request waited for, when the handler runs for the second time; else null.
  std::shared_ptr<Turn> turn;
};

class Response {
 public:
  // Writes one chunk; false once the peer has gone, then the producer returns.
  using WriteChunk = std::function<bool(std::string_view)>;
  using Producer = std::function<void(const WriteChunk&)>;

  int status = 200;
  Headers
      headers;  // Content-Length, Transfer-Encoding, Date and Connection are the server's business.

  // A body; append() adds further pieces to it. Shared pieces are sent from where they are.
  void set_body(std::string content_type, std::string body);
  void set_body(std::string content_type, SharedBytes body);
  void append(SharedBytes piece);
  void append(std::string piece);
  void append(Piece piece);
  void reserve_pieces(size_t count) { pieces_.reserve(count); }
  size_t body_size() const;

  // The producer runs on this worker after the header block has gone out. For bodies that are long
  // but finite; what waits for events goes to the hub or to a stream thread.
  void set_chunked(std::string content_type, Producer producer);

  // The connection goes to the hub thread when the handler returns: 200, chunked, `content_type`.
  // Every post() on the returned handle, before or after that, is sent in order. The source hears
  // of the end.
  std::shared_ptr<HubConnection> hijack_to_hub(std::string content_type,
                                               std::shared_ptr<EventSource> source,
                                               HubOptions options = {});

  // The connection goes to a stream thread, which sends the status line (101 unless `status` was
  // set otherwise) and `headers`, then runs `body` with the raw connection, which is closed when it
  // returns. kTooManyRequests when all stream threads are taken; then nothing has changed. Headers
  // of the handshake (Upgrade, Sec-WebSocket-Accept, ...) are the caller's; Connection: Upgrade is
  // added.
  Result<void> upgrade(std::function<void(Stream&)> body);

  // As upgrade(), but for a long 200 response with a chunked body (logs -f).
  Result<void> stream(std::string content_type, std::function<void(BodyWriter&)> body);

  // Nothing is answered yet: the request waits for its turn, see turn.h.
  void wait_for(std::shared_ptr<Turn> turn);
  // Whether there is a server that it could come back from.
  bool may_wait() const { return hub_owner_ != nullptr; }
  // Lets go of `what` when the answer has been sent, or the client makes us wait for it.
  void hold(std::shared_ptr<const void> what) { held_ = std::move(what); }
  // Lets go of `what` when the watch or stream that this answer is has ended; at once when it is
  // none.
  void keep_to_the_end(std::shared_ptr<const void> what);

  // ---- For the server.
  bool waits() const { return turn_ != nullptr; }
  std::shared_ptr<Turn> take_turn() { return std::exchange(turn_, nullptr); }
  std::shared_ptr<const void> take_held() { return std::exchange(held_, nullptr); }
  const std::vector<Piece>& pieces() const { return pieces_; }
  std::vector<Piece> take_pieces() { return std::exchange(pieces_, {}); }
  const Producer& producer() const { return producer_; }
  bool is_hijacked() const { return hub_ != nullptr; }
  bool is_streamed() const { return upgrade_ != nullptr || stream_ != nullptr; }
  std::shared_ptr<HubConnection> take_hub() { return std::exchange(hub_, nullptr); }
  void attach(Hub* hub, StreamGate* gate) {
    hub_owner_ = hub;
    gate_ = gate;
  }
  // The place among the stream threads goes with these.
  std::function<void(Stream&)> take_upgrade();
  std::function<void(BodyWriter&)> take_stream();
  ~Response();
  Response() = default;
  Response(const Response&) = delete;
  Response& operator=(const Response&) = delete;

 private:
  void clear_body();

  std::vector<Piece> pieces_;
  Producer producer_;
  std::shared_ptr<HubConnection> hub_;
  std::function<void(Stream&)> upgrade_;
  std::function<void(BodyWriter&)> stream_;
  std::shared_ptr<Turn> turn_;
  std::shared_ptr<const void> held_;
  Hub* hub_owner_ = nullptr;
  StreamGate* gate_ = nullptr;
  bool holds_slot_ = false;
};

// gzip (RFC 1952) of `bytes`, at the fast level. The handler decides when it is worth it and sets
// Content-Encoding itself.
std::string gzip(std::string_view bytes);
// kBadRequest when malformed, or when the result would be longer than `bytes_max`.
Result<std::string> gunzip(std::string_view bytes, size_t bytes_max);
// Whether the client takes gzip (Accept-Encoding with a q that is not 0).
bool accepts_gzip(const Headers& headers);

// The standard reason phrase: 404 gives "Not Found".
std::string_view status_text(int status);

}  // namespace wherry::http
