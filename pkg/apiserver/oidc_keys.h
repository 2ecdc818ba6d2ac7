#pragma once
// OidcKeys: the public keys of an OpenID provider, by OpenID Connect Discovery 1.0. A thread of its
// own fetches them at the start, again each hour, and when a token names a key that is not known;
// no more often than each ten seconds, whatever tokens say. While the provider is away the keys
// that are known stay good.
//
// Threads: candidates() any; it waits for a fetch a few seconds at most, and only a few may wait.

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "http/client.h"
#include "pki/pki.h"

namespace wherry::apiserver {

class OidcKeys {
 public:
  // `ca_pem` empty: the system's authorities.
  OidcKeys(std::string issuer, const std::string& ca_pem, const Clock& clock);
  ~OidcKeys() { stop(); }
  OidcKeys(const OidcKeys&) = delete;
  OidcKeys& operator=(const OidcKeys&) = delete;

  void start();
  void stop();

  // The keys that may have signed a token that names `id`; all of them when it names none.
  std::vector<pki::Key> candidates(std::string_view id) EXCLUDES(mutex_);

 private:
  struct Named {
    std::string id;  // Empty: the provider gave it none.
    pki::Key key;
  };
  using Keys = std::vector<Named>;

  void run(const std::stop_token& stop) EXCLUDES(mutex_);
  Result<Keys> fetch(const std::stop_token& stop);
  Result<std::string> get(const std::string& url, const std::stop_token& stop);
  static Result<Keys> parse(std::string_view key_set);
  std::vector<pki::Key> matching(std::string_view id) const REQUIRES(mutex_);

  const std::string issuer_;
  const Clock& clock_;
  http::Client client_;
  Mutex mutex_;
  CondVar changed_;
  Keys keys_ GUARDED_BY(mutex_);
  uint64_t fetches_ GUARDED_BY(mutex_) = 0;  // That have ended.
  MonotonicTime rests_until_ GUARDED_BY(mutex_){};
  bool asked_ GUARDED_BY(mutex_) = false;
  int waiting_ GUARDED_BY(mutex_) = 0;
  std::jthread thread_;
};

}  // namespace wherry::apiserver
