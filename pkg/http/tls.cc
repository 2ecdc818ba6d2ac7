#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>

#include "base/encoding.h"
#include "http/server.h"

namespace wherry::http {
namespace {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* what) const {
    Free(what);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using VerificationPtr = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

BioPtr reader(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Clients offer "h2" too; only HTTP/1.1 is spoken here. No overlap: the handshake goes on without
// ALPN.
int choose_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int offered_size, void* /*context*/) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kOurs, sizeof(kOurs) - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// A certificate that does not verify must reach authentication, which answers 401 like upstream,
// rather than break the handshake. The verdict stays in SSL_get_verify_result.
int let_pass(int /*verified*/, X509_STORE_CTX* /*context*/) { return 1; }

// The verdict is all that is kept of a verification: the chain would stay as long as the
// connection.
int verify_peer(X509_STORE_CTX* context, void* /*unused*/) {
  bool verified = X509_verify_cert(context) > 0;
  if (!verified && X509_STORE_CTX_get_error(context) == X509_V_OK) {
    X509_STORE_CTX_set_error(context, X509_V_ERR_UNSPECIFIED);
  }
  X509_STORE_CTX_set0_verified_chain(context, nullptr);
  return 1;
}

Result<void> use_chain(SSL_CTX* context, const TlsCredentials& credentials) {
  BioPtr chain = reader(credentials.certificate_chain_pem);
  X509Ptr leaf(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  if (leaf == nullptr || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return Error::invalid("the server certificate is not usable: {}", tls_error());
  }
  while (X509* next = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)) {
    SSL_CTX_add0_chain_cert(context, next);
  }
  ERR_clear_error();  // The end of the text is reported as an error.
  BioPtr key_text = reader(credentials.key_pem);
  KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (key == nullptr || SSL_CTX_use_PrivateKey(context, key.get()) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return Error::invalid("the server key is not usable with its certificate: {}", tls_error());
  }
  return {};
}

// The authorities in the text, which clients are told of too: some choose by that what they show.
Result<void> trust(X509_STORE* store, SSL_CTX* context, const std::string& ca_pem) {
  BioPtr text = reader(ca_pem);
  int count = 0;
  while (X509* next = PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr)) {
    X509Ptr authority(next);
    X509_STORE_add_cert(store, authority.get());
    SSL_CTX_add_client_CA(context, authority.get());
    ++count;
  }
  ERR_clear_error();
  if (count == 0) return Error::invalid("there is no certificate in the client CA text");
  return {};
}

Result<void> ask_for_client_certificates(SSL_CTX* context, const std::string& ca_pem) {
  TRY(trust(SSL_CTX_get_cert_store(context), context, ca_pem));
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, &let_pass);
  SSL_CTX_set_cert_verify_callback(context, &verify_peer, nullptr);
  return {};
}

std::string first_of(X509_NAME* name, int nid, int& at) {
  at = X509_NAME_get_index_by_NID(name, nid, at);
  if (at < 0) return {};
  unsigned char* utf8 = nullptr;
  int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (size < 0) return {};
  std::string text(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return text;
}

std::shared_ptr<const PeerCertificate> description_of(X509* shown) {
  auto peer = std::make_shared<PeerCertificate>();
  X509_NAME* name = X509_get_subject_name(shown);
  int at = -1;
  // The last common name counts, as Go reads it.
  for (std::string text = first_of(name, NID_commonName, at); at >= 0;
       text = first_of(name, NID_commonName, at)) {
    peer->common_name = std::move(text);
  }
  at = -1;
  for (std::string text = first_of(name, NID_organizationName, at); at >= 0;
       text = first_of(name, NID_organizationName, at)) {
    peer->organizations.push_back(std::move(text));
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int digest_size = 0;
  X509_digest(shown, EVP_sha256(), digest.data(), &digest_size);
  peer->sha256 = hex_encode({reinterpret_cast<char*>(digest.data()), digest_size});
  std::tm until{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(shown), &until) == 1) {
    peer->not_after = std::chrono::floor<std::chrono::microseconds>(
        std::chrono::system_clock::from_time_t(timegm(&until)));
  }
  return peer;
}

}  // namespace

std::string tls_error() {
  unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "unknown TLS error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "TLS error " + std::to_string(code);
}

Result<std::shared_ptr<const TlsContext>> TlsContext::create(const TlsCredentials& credentials) {
  // No host file may make the library load providers.
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // Of TLS 1.2 only what has forward secrecy and authenticated encryption; 1.3 has nothing else.
  CHECK(SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20") == 1);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE |
                                         SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  // The short key first: it is as safe and a sixth quicker, and bulk is what a large list costs.
  // Clients without AES in hardware put ChaCha in front, and get it.
  CHECK(SSL_CTX_set_ciphersuites(context.get(),
                                 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                 "TLS_CHACHA20_POLY1305_SHA256") == 1);
  CHECK(SSL_CTX_set_cipher_list(context.get(),
                                "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305") == 1);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  // Released buffers: an idle connection keeps 14 KB instead of 42.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_alpn_select_cb(context.get(), &choose_protocol, nullptr);
  TRY(use_chain(context.get(), credentials));
  if (!credentials.client_ca_pem.empty()) {
    TRY(ask_for_client_certificates(context.get(), credentials.client_ca_pem));
  }
  std::shared_ptr<X509_STORE> proxies;
  if (!credentials.proxy_ca_pem.empty()) {
    CHECK(!credentials.client_ca_pem.empty());
    proxies.reset(X509_STORE_new(), &X509_STORE_free);
    TRY(trust(proxies.get(), context.get(), credentials.proxy_ca_pem));
  }
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(context), std::move(proxies)));
}

std::shared_ptr<const PeerCertificate> peer_certificate(SSL* ssl, std::string& problem) {
  X509Ptr shown(SSL_get1_peer_certificate(ssl));
  if (shown == nullptr) return nullptr;
  if (long verdict = SSL_get_verify_result(ssl); verdict != X509_V_OK) {
    problem = X509_verify_cert_error_string(verdict);
    return nullptr;
  }
  return description_of(shown.get());
}

std::shared_ptr<const PeerCertificate> TlsContext::proxy_certificate(SSL* ssl) const {
  if (proxies_ == nullptr) return nullptr;
  X509Ptr shown(SSL_get1_peer_certificate(ssl));
  if (shown == nullptr) return nullptr;
  VerificationPtr verification(X509_STORE_CTX_new());
  bool verified = verification != nullptr &&
                  X509_STORE_CTX_init(verification.get(), proxies_.get(), shown.get(),
                                      SSL_get_peer_cert_chain(ssl)) == 1 &&
                  X509_STORE_CTX_set_default(verification.get(), "ssl_client") == 1 &&
                  X509_verify_cert(verification.get()) == 1;
  ERR_clear_error();
  return verified ? description_of(shown.get()) : nullptr;
}

void forget_certificates(SSL* ssl) {
  SSL_SESSION* session = SSL_get_session(ssl);
  if (session == nullptr || SSL_get0_peer_certificate(ssl) == nullptr) return;
  // A limit that the client asked for stands in the session too.
  if (SSL_SESSION_get_max_fragment_length(session) != TLSEXT_max_fragment_length_DISABLED) return;
  if (STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl); chain != nullptr) {
    while (X509* issuer = sk_X509_pop(chain)) X509_free(issuer);
  }
  std::unique_ptr<SSL_SESSION, Freer<SSL_SESSION_free>> bare(SSL_SESSION_new());
  CHECK(bare != nullptr);
  SSL_SESSION_set_protocol_version(bare.get(), SSL_version(ssl));
  SSL_SESSION_set_cipher(bare.get(), SSL_get_current_cipher(ssl));
  unsigned char* text = nullptr;
  int size = i2d_SSL_SESSION(bare.get(), &text);
  const unsigned char* from = text;
  // Read over the one that is there, which loses the certificate thereby.
  if (size > 0) d2i_SSL_SESSION(&session, &from, size);
  OPENSSL_free(text);
  ERR_clear_error();
}

}  // namespace wherry::http
