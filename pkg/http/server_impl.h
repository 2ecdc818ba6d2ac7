#pragma once
// The server's inside: who owns a connection when. A worker takes one out of the parking, brings it
// as far as it goes without waiting, and puts it back, or hands it to the hub or to a stream
// thread.

#include <array>
#include <atomic>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "http/crew.h"
#include "http/hub_thread.h"
#include "http/parking.h"
#include "http/server.h"
#include "http/stream_pool.h"
#include "http/turn.h"

namespace wherry::http {

// How long clients may take for the rest of their answers when the server stops.
constexpr std::chrono::seconds kFinishLimit{2};

class Server::Impl {
 public:
  explicit Impl(Options options);
  ~Impl() { stop(std::chrono::seconds(5)); }

  Result<void> start();
  void stop(std::chrono::milliseconds grace) EXCLUDES(mutex_);
  Result<void> set_credentials(std::shared_ptr<const TlsCredentials> tls) EXCLUDES(mutex_);
  uint16_t port() const { return port_; }
  Counters counters() EXCLUDES(mutex_);

 private:
  struct Worker {
    int serving = -1;  // Descriptor, for stop() to cut; -1 while none. Guarded by mutex_.
    std::jthread thread;
  };
  class Serving;
  using ConnectionPtr = std::unique_ptr<Connection>;

  bool add_worker(bool up) EXCLUDES(mutex_);
  void work(Worker& worker, bool up);
  void accept_from(int listener);
  void admit(int fd);

  // Each takes the connection and leaves it null when it went elsewhere.
  void serve(ConnectionPtr connection, Worker& worker);
  void park(ConnectionPtr connection);
  bool read_request(ConnectionPtr& connection);
  bool send_output(ConnectionPtr& connection);
  void drain_input(ConnectionPtr connection);
  void refuse(ConnectionPtr connection, const Error& error);
  bool take_turn(ConnectionPtr& connection, Worker& worker);
  void answer(ConnectionPtr& connection, std::unique_ptr<Request> request, Worker& worker);
  void answer_later(ConnectionPtr& connection, std::unique_ptr<Request> request,
                    std::shared_ptr<Turn> turn, Worker& worker);
  void one_brief_less() EXCLUDES(mutex_);
  void answer_body(ConnectionPtr& connection, const Request& request, Response& response,
                   bool keep_alive);
  void answer_chunked(ConnectionPtr& connection, const Request& request, Response& response,
                      bool keep_alive);
  void answer_hub(ConnectionPtr& connection, const Request& request, Response& response, Hub& hub,
                  bool keep_alive);
  void answer_stream(ConnectionPtr& connection, const Request& request, Response& response);
  void resume(ConnectionPtr connection);
  Hub& next_hub();
  void leave_epoll(Connection& connection);

  const Options options_;
  const RequestLimits limits_;
  std::vector<int> listeners_;
  uint16_t port_ = 0;

  std::atomic<bool> stopping_{false};
  std::atomic<size_t> connections_{0};
  std::atomic<size_t> briefs_{0};  // Brief turns that have not come.
  std::atomic<uint64_t> requests_{0};
  bool started_ = false;

  Parking parking_;
  Crew crew_;
  StreamPool streams_;
  std::vector<std::unique_ptr<Hub>> hubs_;
  std::atomic<unsigned> next_hub_{0};

  Mutex mutex_;
  CondVar workers_changed_;  // And briefs_, while stopping.
  std::shared_ptr<const TlsContext> tls_ GUARDED_BY(mutex_);
  std::list<Worker> workers_ GUARDED_BY(mutex_);
  unsigned running_workers_ GUARDED_BY(mutex_) = 0;
};

}  // namespace wherry::http
