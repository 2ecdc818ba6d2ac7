#pragma once
// TlsContext: what the server needs for a TLS handshake, made once per set of credentials and
// shared by the connections that were opened under it. TLS 1.2 and later, ALPN http/1.1, no session
// tickets (each would cost memory, and Go clients keep connections instead). Immutable; any thread.

#include <memory>
#include <string>

#include "base/result.h"
#include "http/message.h"

struct ssl_ctx_st;
struct ssl_st;
struct x509_store_st;

namespace wherry::http {

struct TlsCredentials;

class TlsContext {
 public:
  static Result<std::shared_ptr<const TlsContext>> create(const TlsCredentials& credentials);
  ssl_ctx_st* raw() const { return context_.get(); }
  // What the peer of a finished handshake showed, if it is of the authorities for proxies.
  std::shared_ptr<const PeerCertificate> proxy_certificate(ssl_st* ssl) const;

 private:
  TlsContext(std::shared_ptr<ssl_ctx_st> context, std::shared_ptr<x509_store_st> proxies)
      : context_(std::move(context)), proxies_(std::move(proxies)) {}
  std::shared_ptr<ssl_ctx_st> context_;
  std::shared_ptr<x509_store_st> proxies_;  // Null: there are none.
};

// The newest entry of this thread's OpenSSL error queue, which is emptied.
std::string tls_error();

// What the peer of a finished handshake showed: null when nothing, or when it did not verify; then
// `problem` says why.
std::shared_ptr<const PeerCertificate> peer_certificate(ssl_st* ssl, std::string& problem);
// Frees the decoded certificates of the peer, once the above have read them: nobody resumes these
// sessions, and with an issuer beside it a certificate is a third of what an idle connection costs.
void forget_certificates(ssl_st* ssl);

}  // namespace wherry::http
