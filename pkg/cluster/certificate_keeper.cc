#include "cluster/certificate_keeper.h"

#include <poll.h>

#include <algorithm>

#include "base/log.h"
#include "base/thread.h"

namespace wherry::cluster {
namespace {

// After a failure (a full disk); a third of the certificate's life is left then.
constexpr std::chrono::hours kRetry{1};
// Whatever the certificates say, no more often than this.
constexpr std::chrono::minutes kLeast{1};

bool same(const Credentials& a, const Credentials& b) {
  return a.server_ca_pem == b.server_ca_pem && a.client_ca_pem == b.client_ca_pem &&
         a.serving.certificate_pem == b.serving.certificate_pem &&
         a.admin.certificate_pem == b.admin.certificate_pem &&
         a.service_keys.front().id() == b.service_keys.front().id();
}

}  // namespace

Result<Time> CertificateKeeper::pass(Renewal renewal) {
  MutexLock lock(mutex_);
  Credentials fresh = TRY(prepare_credentials(spec_, clock_, renewal));
  if (!same(fresh, current_)) {
    current_ = std::move(fresh);
    on_renewed_(current_);
  }
  Time next = Time::max();
  for (const CertificateFact& fact : current_.facts) next = std::min(next, fact.renewal);
  return next;
}

std::vector<CertificateFact> CertificateKeeper::facts() const {
  MutexLock lock(mutex_);
  return current_.facts;
}

std::string CertificateKeeper::root_ca_pem() const {
  MutexLock lock(mutex_);
  return current_.server_ca_pem;
}

pki::Authority CertificateKeeper::client_authority() const {
  MutexLock lock(mutex_);
  return current_.client_ca;
}

pki::Authority CertificateKeeper::serving_authority() const {
  MutexLock lock(mutex_);
  return current_.server_ca;
}

Result<void> CertificateKeeper::start() {
  timer_ = TRY(os::WallTimer::open());
  wake_ = TRY(os::EventFd::open());
  thread_ = start_thread("certificates", [this](const std::stop_token& stop) { run(stop); });
  return {};
}

void CertificateKeeper::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  wake_->signal();
  thread_.join();
}

void CertificateKeeper::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Result<Time> next = pass();
    if (!next.ok()) log::warn("certificates are not renewed: {}", next.error().message());
    Result<void> set =
        timer_->set(next.ok() ? std::max(*next, clock_.now() + kLeast) : clock_.now() + kRetry);
    if (!set.ok()) log::warn("certificates: {}", set.error().message());
    pollfd waited[2] = {{timer_->fd(), POLLIN, 0}, {wake_->fd(), POLLIN, 0}};
    while (poll(waited, 2, -1) < 0) {
    }
    timer_->clear();
  }
}

}  // namespace wherry::cluster
