#pragma once
// CertificateKeeper: renews the cluster's certificates while the server runs, at two thirds of
// their life, and hands them on at once. It sleeps until the next one is due; a step of the wall
// clock wakes it too, so a machine that boots in 1970 has good certificates the moment it learns
// the time.
//
// pass() is for the thread and for tests with a clock of their own. Any thread may call the rest.

#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "cluster/credentials.h"
#include "os/poll.h"
#include "os/wall_timer.h"

namespace wherry::cluster {

class CertificateKeeper {
 public:
  // `on_renewed` runs on the keeper's thread, or on that of who asks for a renewal.
  using OnRenewed = std::function<void(const Credentials&)>;
  CertificateKeeper(CredentialSpec spec, Credentials current, const Clock& clock,
                    OnRenewed on_renewed)
      : spec_(std::move(spec)),
        clock_(clock),
        on_renewed_(std::move(on_renewed)),
        current_(std::move(current)) {}
  ~CertificateKeeper() { stop(); }
  CertificateKeeper(const CertificateKeeper&) = delete;
  CertificateKeeper& operator=(const CertificateKeeper&) = delete;

  Result<void> start();
  void stop();

  // Renews what is due, or what `renewal` says; returns when to look again.
  Result<Time> pass(Renewal renewal = Renewal::kWhenDue) EXCLUDES(mutex_);
  std::vector<CertificateFact> facts() const EXCLUDES(mutex_);
  std::string root_ca_pem() const EXCLUDES(mutex_);  // Whoever servers are to be trusted by.
  pki::Authority client_authority() const EXCLUDES(mutex_);
  pki::Authority serving_authority() const EXCLUDES(mutex_);

 private:
  void run(const std::stop_token& stop);

  const CredentialSpec spec_;
  const Clock& clock_;
  const OnRenewed on_renewed_;
  mutable Mutex mutex_;  // Held over a pass, on_renewed_ included: two of them must not mix.
  Credentials current_ GUARDED_BY(mutex_);
  std::optional<os::WallTimer> timer_;
  std::optional<os::EventFd> wake_;
  std::jthread thread_;
};

}  // namespace wherry::cluster
