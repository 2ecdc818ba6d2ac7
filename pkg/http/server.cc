#include "http/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/log.h"
#include "base/thread.h"
#include "http/listener.h"
#include "http/server_impl.h"

namespace wherry::http {

namespace {

// Two at least, so that one that waits for something nobody foresaw does not keep the rest waiting.
unsigned crew_size(unsigned workers_max) {
  return std::min(std::max(std::thread::hardware_concurrency(), 2U), workers_max);
}

}  // namespace

Server::Server(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Server::~Server() = default;
Result<void> Server::start() { return impl_->start(); }
void Server::stop(std::chrono::milliseconds grace) { impl_->stop(grace); }
uint16_t Server::port() const { return impl_->port(); }
Server::Counters Server::counters() const { return impl_->counters(); }
Result<void> Server::set_credentials(std::shared_ptr<const TlsCredentials> tls) {
  return impl_->set_credentials(std::move(tls));
}

Server::Impl::Impl(Options options)
    : options_(std::move(options)),
      limits_{options_.head_bytes_max, options_.body_bytes_max},
      crew_(crew_size(options_.workers_max), [this](bool up) { return add_worker(up); }),
      streams_(options_.streams_max) {
  CHECK(options_.handler != nullptr);
  CHECK(options_.workers_max >= 2);
  unsigned hubs = std::clamp(std::thread::hardware_concurrency(), 1U, options_.hubs_max);
  for (unsigned i = 0; i < hubs; ++i) {
    hubs_.push_back(
        std::make_unique<Hub>([this](ConnectionPtr connection) { resume(std::move(connection)); }));
  }
}

Result<void> Server::Impl::set_credentials(std::shared_ptr<const TlsCredentials> tls) {
  CHECK(tls != nullptr);
  std::shared_ptr<const TlsContext> context = TRY(TlsContext::create(*tls));
  MutexLock lock(mutex_);
  tls_ = std::move(context);
  return {};
}

Result<void> Server::Impl::start() {
  CHECK(!started_);
  // OpenSSL writes to sockets without MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
  if (options_.tls != nullptr) TRY(set_credentials(options_.tls));
  TRY(parking_.start());
  for (const std::string& address : options_.addresses) {
    Result<int> fd = listen_on(address);
    if (!fd.ok()) {
      for (int open : listeners_) close(open);
      listeners_.clear();
      return std::move(fd).error();
    }
    listeners_.push_back(*fd);
  }
  if (listeners_.empty()) return Error::invalid("there is no address to listen on");
  port_ = bound_port(listeners_.front());
  for (const auto& hub : hubs_) TRY(hub->start());
  started_ = true;
  for (int fd : listeners_) TRY(parking_.add_listener(fd));
  crew_.begin();
  return {};
}

bool Server::Impl::add_worker(bool up) {
  MutexLock lock(mutex_);
  if (stopping_ || workers_.size() >= options_.workers_max) return false;
  Worker& worker = workers_.emplace_back();
  ++running_workers_;
  worker.thread = start_thread("http-worker",
                               [this, &worker, up](const std::stop_token&) { work(worker, up); });
  return true;
}

void Server::Impl::work(Worker& worker, bool up) {
  WaitScope::lender = &crew_;
  crew_.start(up);
  while (crew_.listen()) {
    Parking::Event event = parking_.wait();
    crew_.took();
    if (event.kind == Parking::Event::Kind::kStop) break;
    if (event.kind == Parking::Event::Kind::kDeadline) {
      parking_.reap();
    } else if (event.kind == Parking::Event::Kind::kAccept) {
      accept_from(event.listener);
    } else if (event.kind == Parking::Event::Kind::kConnection) {
      serve(std::move(event.connection), worker);
    }
  }
  MutexLock lock(mutex_);
  --running_workers_;
  workers_changed_.notify_all();
}

void Server::Impl::accept_from(int listener) {
  // A few at a time: the others' requests are waiting too.
  for (int i = 0; i < 32 && !stopping_; ++i) {
    int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      admit(fd);
    } else if (errno == EMFILE || errno == ENFILE) {
      // Otherwise this would be tried again at once, for ever.
      if (!parking_.evict_idle()) {
        log::warn("http: out of file descriptors; not accepting connections for now");
        break;
      }
    } else if (errno != EINTR && errno != ECONNABORTED) {
      break;
    }
  }
  if (!stopping_) parking_.rearm_listener(listener);
}

void Server::Impl::admit(int fd) {
  if (connections_.load() >= options_.connections_max && !parking_.evict_idle()) {
    close(fd);
    return;
  }
  tune_socket(fd);
  std::shared_ptr<const TlsContext> tls;
  {
    MutexLock lock(mutex_);
    tls = tls_;
  }
  park(std::make_unique<Connection>(fd, std::move(tls), limits_, connections_));
}

void Server::Impl::stop(std::chrono::milliseconds grace) {
  if (!started_ || stopping_.exchange(true)) return;
  {
    MutexLock lock(mutex_);
    workers_changed_.wait_for(mutex_, grace, [this] { return briefs_ == 0; });
  }
  std::vector<ConnectionPtr> unfinished = parking_.stop();
  crew_.stop();
  for (int fd : listeners_) shutdown(fd, SHUT_RDWR);
  std::list<Worker> workers;
  {
    MutexLock lock(mutex_);
    auto all_done = [this]() NO_THREAD_SAFETY_ANALYSIS { return running_workers_ == 0; };
    if (!workers_changed_.wait_for(mutex_, grace, all_done)) {
      // Cuts those that wait for their client; what waits for something else must come to its end.
      for (Worker& worker : workers_) {
        if (worker.serving >= 0) shutdown(worker.serving, SHUT_RDWR);
      }
      workers_changed_.wait(mutex_, std::stop_token(), all_done);
    }
    workers.swap(workers_);
  }
  workers.clear();
  MonotonicTime limit = std::chrono::steady_clock::now() + kFinishLimit;
  for (const ConnectionPtr& connection : unfinished) {
    (void)connection->output->finish(*connection, limit);
  }
  unfinished.clear();
  for (const auto& hub : hubs_) hub->stop();
  streams_.stop();
  for (int fd : listeners_) close(fd);
  listeners_.clear();
}

Server::Counters Server::Impl::counters() {
  Counters counters;
  counters.connections = connections_.load();
  counters.parked = parking_.count();
  for (const auto& hub : hubs_) counters.watches += hub->count();
  counters.streams = streams_.gate().taken();
  counters.requests = requests_.load();
  MutexLock lock(mutex_);
  counters.workers = workers_.size();
  return counters;
}

}  // namespace wherry::http
