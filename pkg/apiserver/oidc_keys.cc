#include "apiserver/oidc_keys.h"

#include "base/encoding.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/thread.h"
#include "base/wait_scope.h"
#include "json/json.h"
#include "pki/jwk.h"

namespace wherry::apiserver {
namespace {

constexpr std::chrono::seconds kPatience{3};  // Of one request; the fetch itself may take longer.
constexpr std::chrono::seconds kFetchTimeout{15};
constexpr std::chrono::seconds kRest{10};
constexpr std::chrono::seconds kRetryMin{2}, kRetryMax{60};
constexpr std::chrono::hours kFreshFor{1};
constexpr int kWaitingMax = 4;
constexpr size_t kBodyBytesMax = 1 << 20;

std::string bytes_in(json::Value text) {
  return base64url_decode(text.as_string()).value_or(std::string());
}

Result<pki::Key> key_of(json::Value jwk) {
  std::string_view type = jwk["kty"].as_string();
  if (type == "RSA") return pki::rsa_public_key(bytes_in(jwk["n"]), bytes_in(jwk["e"]));
  if (type == "EC" && jwk["crv"].as_string() == "P-256") {
    return pki::p256_public_key(bytes_in(jwk["x"]), bytes_in(jwk["y"]));
  }
  return Error::unsupported("keys of type {}", quote(type));
}

}  // namespace

OidcKeys::OidcKeys(std::string issuer, const std::string& ca_pem, const Clock& clock)
    : issuer_(std::move(issuer)),
      clock_(clock),
      client_(http::ClientOptions{.ca_pem = ca_pem, .use_proxy = true}) {}

void OidcKeys::start() {
  thread_ = start_thread("oidc", [this](const std::stop_token& stop) { run(stop); });
}

void OidcKeys::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

std::vector<pki::Key> OidcKeys::matching(std::string_view id) const {
  std::vector<pki::Key> out;
  for (const Named& known : keys_) {
    if (id.empty() || known.id.empty() || known.id == id) out.push_back(known.key);
  }
  return out;
}

std::vector<pki::Key> OidcKeys::candidates(std::string_view id) {
  MutexLock lock(mutex_);
  std::vector<pki::Key> found = matching(id);
  bool may_ask = clock_.monotonic() >= rests_until_ && waiting_ < kWaitingMax;
  if (!found.empty() || !may_ask) return found;
  asked_ = true;
  changed_.notify_all();
  uint64_t before = fetches_;
  ++waiting_;
  WaitScope wait;
  changed_.wait_for(mutex_, kPatience,
                    [&]() NO_THREAD_SAFETY_ANALYSIS { return fetches_ != before; });
  --waiting_;
  return matching(id);
}

Result<std::string> OidcKeys::get(const std::string& url, const std::stop_token& stop) {
  if (!url.starts_with("https://")) return Error::invalid("{} is no https URL", quote(url));
  http::ClientRequest request;
  request.url = url;
  request.timeout = kFetchTimeout;
  request.body_bytes_max = kBodyBytesMax;
  http::ClientResponse response = TRY(client_.request(request, stop));
  if (response.status == 200) return std::move(response.body);
  return Error::unavailable("{} answers {}", url, response.status);
}

Result<OidcKeys::Keys> OidcKeys::parse(std::string_view key_set) {
  json::Document document = TRY(json::Document::parse(key_set));
  Keys keys;
  for (json::Value jwk : document.root()["keys"].items()) {
    std::string_view use = jwk["use"].as_string();
    Result<pki::Key> key = key_of(jwk);
    // A key of a kind that is not used here is none of our business.
    if (key.ok() && (use.empty() || use == "sig")) {
      keys.push_back({std::string(jwk["kid"].as_string()), *key});
    }
  }
  if (keys.empty()) return Error::invalid("there is no key of a supported type in it");
  return keys;
}

Result<OidcKeys::Keys> OidcKeys::fetch(const std::stop_token& stop) {
  std::string base = issuer_;
  while (base.ends_with('/')) base.pop_back();
  std::string text = TRY(get(base + "/.well-known/openid-configuration", stop));
  json::Document document = TRY(json::Document::parse(text));
  std::string_view named = document.root()["issuer"].as_string();
  if (named != issuer_) return Error::invalid("it calls itself {}", quote(named));
  std::string key_set = TRY(get(std::string(document.root()["jwks_uri"].as_string()), stop));
  return parse(key_set);
}

void OidcKeys::run(const std::stop_token& stop) {
  Duration pause = kRetryMin;
  while (!stop.stop_requested()) {
    Result<Keys> fresh = fetch(stop);
    if (!fresh.ok() && !stop.stop_requested()) {
      log::warn("the keys of {} are not known: {}", issuer_, fresh.error().message());
    }
    pause = fresh.ok() ? Duration(kRetryMin) : std::min<Duration>(pause * 2, kRetryMax);
    MutexLock lock(mutex_);
    if (fresh.ok()) keys_ = std::move(*fresh);
    ++fetches_;
    asked_ = false;
    rests_until_ = clock_.monotonic() + kRest;
    changed_.notify_all();
    changed_.wait_for(mutex_, stop, fresh.ok() ? Duration(kFreshFor) : pause,
                      [this]() NO_THREAD_SAFETY_ANALYSIS { return asked_; });
  }
}

}  // namespace wherry::apiserver
