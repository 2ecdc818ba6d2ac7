// One turn of a worker with a connection: TLS handshake, reading, answering, and where it goes
// next.

#include <sys/epoll.h>

#include <semaphore>

#include "base/log.h"
#include "http/responder.h"
#include "http/server_impl.h"

namespace wherry::http {
namespace {

using Phase = Connection::Phase;

constexpr std::chrono::seconds kDrainLimit{2};
constexpr size_t kDrainBytesMax = 16 << 20;
constexpr size_t kLongAnswer = 256 << 10;

Phase phase_of(Connection& connection) {
  if (connection.output != nullptr) return Phase::kWriting;
  if (connection.waiting != nullptr) return Phase::kWaiting;
  if (connection.phase == Phase::kDraining) return Phase::kDraining;
  if (connection.handshaking()) return Phase::kNew;
  switch (connection.reader().state()) {
    case RequestReader::State::kHead: return Phase::kHead;
    case RequestReader::State::kBody: return Phase::kBody;
    default: return Phase::kIdle;
  }
}

bool has_more(Connection& connection) {
  return connection.reader().state() == RequestReader::State::kReady || connection.has_pending();
}

int refusal_status(const Error& error) {
  if (error.is(Code::kRequestEntityTooLarge)) return 413;
  return 400;
}

}  // namespace

// Marks a worker's connection for stop() while it is being served.
class Server::Impl::Serving {
 public:
  Serving(Impl& impl, Worker& worker, int fd) : impl_(impl), worker_(worker) {
    MutexLock lock(impl_.mutex_);
    worker_.serving = fd;
  }
  ~Serving() {
    MutexLock lock(impl_.mutex_);
    worker_.serving = -1;
  }
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

 private:
  Impl& impl_;
  Worker& worker_;
};

void Server::Impl::serve(ConnectionPtr connection, Worker& worker) {
  if (connection->phase == Phase::kDraining) return drain_input(std::move(connection));
  if (connection->handshaking()) {
    Io io = connection->handshake();
    if (io.state == IoState::kWouldBlock) return park(std::move(connection));
    if (io.state != IoState::kDone) return;
  }
  const bool answers = connection->output != nullptr || connection->waiting != nullptr;
  if (connection->output != nullptr && !send_output(connection)) return;
  if (connection->waiting != nullptr && !take_turn(connection, worker)) return;
  // Bytes of a next request may be here already, from before the hub had the connection.
  if (Result<void> early = connection->reader().resume(); !early.ok()) {
    return refuse(std::move(connection), early.error());
  }
  // The answer is hardly out: a next request that is on its way will say so.
  if (answers && !has_more(*connection)) return park(std::move(connection));
  while (connection != nullptr) {
    if (!read_request(connection)) return;
    std::unique_ptr<Request> request = connection->reader().take();
    connection->describe(*request);
    requests_.fetch_add(1, std::memory_order_relaxed);
    answer(connection, std::move(request), worker);
    if (connection == nullptr) return;
    if (Result<void> next = connection->reader().resume(); !next.ok()) {
      return refuse(std::move(connection), next.error());
    }
    if (!has_more(*connection)) return park(std::move(connection));
  }
}

void Server::Impl::park(ConnectionPtr connection) {
  if (stopping_) {
    if (connection->output == nullptr) return;
    MonotonicTime limit = std::chrono::steady_clock::now() + kFinishLimit;
    (void)connection->output->finish(*connection, limit);
    return;
  }
  Phase phase = phase_of(*connection);
  if (phase != connection->phase || phase == Phase::kIdle ||
      connection->deadline == MonotonicTime{}) {
    connection->phase = phase;
    std::chrono::seconds limit = phase == Phase::kIdle       ? options_.idle_timeout
                                 : phase == Phase::kBody     ? options_.body_timeout
                                 : phase == Phase::kWriting  ? options_.write_timeout
                                 : phase == Phase::kDraining ? kDrainLimit
                                                             : options_.head_timeout;
    connection->deadline = std::chrono::steady_clock::now() + limit;
  }
  parking_.park(std::move(connection));
}

// A connection that comes back from the hub.
void Server::Impl::resume(ConnectionPtr connection) {
  connection->in_epoll = false;
  // What the client sent early is in no epoll's sight: let a worker look at once.
  if (connection->reader().has_input() || connection->has_pending()) {
    connection->want(EPOLLOUT);
  } else {
    connection->want(EPOLLIN);
  }
  park(std::move(connection));
}

// True when a request is ready. Else the connection has been parked, refused or closed.
bool Server::Impl::read_request(ConnectionPtr& connection) {
  RequestReader& reader = connection->reader();
  char buffer[16 << 10];
  while (reader.state() != RequestReader::State::kReady) {
    if (reader.take_continue() &&
        !write_fully(*connection, "HTTP/1.1 100 Continue\r\n\r\n", options_.write_timeout)) {
      connection.reset();
      return false;
    }
    Io io = connection->read(buffer, sizeof(buffer));
    if (io.state == IoState::kWouldBlock) {
      park(std::move(connection));
      return false;
    }
    if (io.state != IoState::kDone) {
      connection.reset();
      return false;
    }
    if (Result<void> fed = reader.feed({buffer, io.bytes}); !fed.ok()) {
      refuse(std::move(connection), fed.error());
      return false;
    }
  }
  return true;
}

// Throws away what a refused client still sends, for a while: closing at once would reset the
// connection, and the client might never see the answer.
void Server::Impl::drain_input(ConnectionPtr connection) {
  char buffer[16 << 10];
  while (connection->drained_bytes < kDrainBytesMax) {
    Io io = connection->read(buffer, sizeof(buffer));
    if (io.state == IoState::kWouldBlock) return park(std::move(connection));
    if (io.state != IoState::kDone) return;
    connection->drained_bytes += io.bytes;
  }
}

void Server::Impl::refuse(ConnectionPtr connection, const Error& error) {
  Response response;
  const bool head = connection->reader().head_too_large();
  response.status = head ? 431 : refusal_status(error);
  if (options_.render_error != nullptr && !head) {
    options_.render_error(error, response);
  } else {
    response.set_body("text/plain; charset=utf-8", error.message() + "\n");
  }
  std::string text = make_head(response, BodyFraming::kLength, response.body_size(), false);
  for (const Piece& piece : response.pieces()) text += piece.bytes;
  if (!write_fully(*connection, text, options_.write_timeout)) return;
  connection->shutdown_write();
  connection->phase = Phase::kDraining;
  connection->deadline = {};
  connection->want(EPOLLIN);
  drain_input(std::move(connection));
}

// The connection has come back because its request's turn has come, because that took too long, or
// because the client has left. True when it serves on after the answer.
bool Server::Impl::take_turn(ConnectionPtr& connection, Worker& worker) {
  Turn& turn = *connection->waiting->turn;
  turn.disarm();
  if (turn.brief()) one_brief_less();
  connection->want(EPOLLIN);
  if (!turn.granted() && std::chrono::steady_clock::now() < turn.deadline()) {
    connection.reset();
    return false;
  }
  answer(connection, std::move(connection->waiting), worker);
  return connection != nullptr;
}

void Server::Impl::answer_later(ConnectionPtr& connection, std::unique_ptr<Request> request,
                                std::shared_ptr<Turn> turn, Worker& worker) {
  request->turn = turn;
  if (turn->brief()) {
    briefs_.fetch_add(1);
    if (stopping_) {  // Nobody may be there to come back to.
      std::binary_semaphore granted{0};
      turn->arm([&granted] { granted.release(); });
      granted.acquire();
      turn->disarm();
      one_brief_less();
      return answer(connection, std::move(request), worker);
    }
  } else if (stopping_) {
    return connection.reset();
  }
  connection->waiting = std::move(request);
  connection->phase = Phase::kWaiting;
  connection->deadline = turn->deadline();
  uint64_t id = 0;
  if (turn->brief()) {
    id = parking_.keep(std::move(connection));
  } else {
    connection->want(EPOLLRDHUP);
    id = parking_.park(std::move(connection));
  }
  turn->arm([this, id] { parking_.wake(id); });
}

void Server::Impl::one_brief_less() {
  if (briefs_.fetch_sub(1) != 1 || !stopping_) return;
  MutexLock lock(mutex_);
  workers_changed_.notify_all();
}

void Server::Impl::answer(ConnectionPtr& connection, std::unique_ptr<Request> request,
                          Worker& worker) {
  connection->phase = Phase::kNew;  // So that the next phase gets its own deadline.
  connection->deadline = {};

  Response response;
  Hub& hub = next_hub();
  response.attach(&hub, &streams_.gate());
  bool keep_alive = false;
  {
    Serving serving(*this, worker, connection->fd());
    options_.handler(*request, response);
    keep_alive = request->keep_alive && !stopping_;
    if (response.producer() != nullptr)
      return answer_chunked(connection, *request, response, keep_alive);
  }
  if (response.waits())
    return answer_later(connection, std::move(request), response.take_turn(), worker);
  if (response.is_hijacked()) return answer_hub(connection, *request, response, hub, keep_alive);
  if (response.is_streamed()) return answer_stream(connection, *request, response);
  answer_body(connection, *request, response, keep_alive);
}

void Server::Impl::answer_body(ConnectionPtr& connection, const Request& request,
                               Response& response, bool keep_alive) {
  bool bodiless = response.status < 200 || response.status == 204 || response.status == 304;
  BodyFraming framing = bodiless ? BodyFraming::kNone : BodyFraming::kLength;
  if (request.minor_version == 0 && keep_alive) response.headers.set("Connection", "keep-alive");
  auto head = std::make_shared<const std::string>(
      make_head(response, framing, response.body_size(), keep_alive));
  std::vector<Piece> pieces;
  if (!bodiless && request.method != "HEAD") pieces = response.take_pieces();
  std::string_view head_bytes = *head;
  pieces.insert(pieces.begin(), Piece{std::move(head), head_bytes});
  connection->output =
      std::make_unique<PieceWriter>(std::move(pieces), keep_alive, response.take_held());
  (void)send_output(connection);
}

// True when the whole answer has gone out and the connection serves on. Else it has been parked,
// until the client takes more, or closed.
bool Server::Impl::send_output(ConnectionPtr& connection) {
  PieceWriter& output = *connection->output;
  PieceWriter::State state;
  if (output.total() < kLongAnswer) {
    state = output.write(*connection);
  } else {  // Others are not to wait for that.
    WaitScope wait;
    state = output.write(*connection);
  }
  if (state == PieceWriter::State::kBlocked) {
    if (output.take_progress()) connection->deadline = {};
    park(std::move(connection));
    return false;
  }
  bool more = state == PieceWriter::State::kDone && output.keep_alive();
  connection->output.reset();
  connection->phase = Phase::kNew;  // So that the next phase gets its own deadline.
  connection->deadline = {};
  if (more) return true;
  if (state == PieceWriter::State::kDone) connection->shutdown_write();
  connection.reset();
  return false;
}

void Server::Impl::answer_chunked(ConnectionPtr& connection, const Request& request,
                                  Response& response, bool keep_alive) {
  bool chunked = request.minor_version == 1;
  keep_alive = keep_alive && chunked;
  std::string head = make_head(response, chunked ? BodyFraming::kChunked : BodyFraming::kUntilClose,
                               0, keep_alive);
  bool alive = write_fully(*connection, head, options_.write_timeout);
  if (alive && request.method != "HEAD") {
    alive = produce(*connection, response.producer(), chunked, options_.write_timeout);
  }
  if (!alive || !keep_alive) connection.reset();
}

Hub& Server::Impl::next_hub() {
  return *hubs_[next_hub_.fetch_add(1, std::memory_order_relaxed) % hubs_.size()];
}

void Server::Impl::answer_hub(ConnectionPtr& connection, const Request& request, Response& response,
                              Hub& hub, bool keep_alive) {
  std::string head = make_head(response, BodyFraming::kChunked, 0, keep_alive);
  if (request.method == "HEAD") {
    // The source never hears of it; the handle is discarded with the response.
    if (!write_fully(*connection, head, options_.write_timeout) || !keep_alive) connection.reset();
    return;
  }
  leave_epoll(*connection);
  hub.attach(response.take_hub(), std::move(connection), std::move(head), keep_alive);
}

void Server::Impl::answer_stream(ConnectionPtr& connection, const Request& request,
                                 Response& response) {
  if (request.method == "HEAD") {
    (void)write_fully(*connection, make_head(response, BodyFraming::kChunked, 0, false),
                      options_.write_timeout);
    return connection.reset();
  }
  leave_epoll(*connection);
  if (std::function<void(Stream&)> body = response.take_upgrade()) {
    std::string head = make_head(response, BodyFraming::kNone, 0, true);
    streams_.run(std::move(connection),
                 [head = std::move(head), body = std::move(body)](Stream& stream) {
                   if (stream.write_all(head).ok()) body(stream);
                 });
    return;
  }
  std::string head = make_head(response, BodyFraming::kChunked, 0, false);
  streams_.run(std::move(connection),
               [head = std::move(head), body = response.take_stream()](Stream& stream) {
                 if (!stream.write_all(head).ok()) return;
                 BodyWriter writer(stream);
                 body(writer);
                 if (!writer.peer_gone()) (void)stream.write_all("0\r\n\r\n");
               });
}

void Server::Impl::leave_epoll(Connection& connection) {
  if (std::exchange(connection.in_epoll, false)) parking_.forget(connection);
}

}  // namespace wherry::http
