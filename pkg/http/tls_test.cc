#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "http/server.h"
#include "http/test_support.h"

namespace wherry::http {
namespace {

// A handshake in memory between our context and a client that shows its certificate, with an issuer
// beside it.
class TlsPair {
 public:
  explicit TlsPair(int version) {
    auto authority = testing::make_certificate("someone", "some");
    auto server = testing::make_certificate("localhost");
    context_ =
        TlsContext::create({server.certificate_pem, server.key_pem, authority.certificate_pem})
            .value();
    client_context_.reset(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
    SSL_CTX_set_min_proto_version(client_context_.get(), version);
    SSL_CTX_set_max_proto_version(client_context_.get(), version);
    show(authority);
    server_.reset(SSL_new(context_->raw()), &SSL_free);
    client_.reset(SSL_new(client_context_.get()), &SSL_free);
    SSL_set_accept_state(server_.get());
    SSL_set_connect_state(client_.get());
    BIO* one = nullptr;
    BIO* other = nullptr;
    BIO_new_bio_pair(&one, 0, &other, 0);
    SSL_set_bio(server_.get(), one, one);
    SSL_set_bio(client_.get(), other, other);
  }

  bool shake_hands() {
    for (int i = 0; i < 10; ++i) {
      SSL_do_handshake(client_.get());
      SSL_do_handshake(server_.get());
    }
    return SSL_is_init_finished(server_.get()) == 1 && SSL_is_init_finished(client_.get()) == 1;
  }
  static std::string pass(SSL* from, SSL* to, const std::string& text) {
    if (SSL_write(from, text.data(), static_cast<int>(text.size())) <= 0) return "not written";
    char buffer[256];
    int got = SSL_read(to, buffer, sizeof buffer);
    return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : "not read";
  }
  SSL* server() { return server_.get(); }
  SSL* client() { return client_.get(); }

 private:
  void show(const testing::TestCertificate& identity) {
    BIO* text = BIO_new_mem_buf(identity.certificate_pem.data(), -1);
    X509* certificate = PEM_read_bio_X509(text, nullptr, nullptr, nullptr);
    BIO_free(text);
    SSL_CTX_use_certificate(client_context_.get(), certificate);
    SSL_CTX_add_extra_chain_cert(client_context_.get(), certificate);  // Takes it over.
    text = BIO_new_mem_buf(identity.key_pem.data(), -1);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(text, nullptr, nullptr, nullptr);
    BIO_free(text);
    SSL_CTX_use_PrivateKey(client_context_.get(), key);
    EVP_PKEY_free(key);
  }

  std::shared_ptr<const TlsContext> context_;
  std::shared_ptr<SSL_CTX> client_context_;
  std::shared_ptr<SSL> server_, client_;
};

TEST(Tls, TheConnectionOutlivesThePeersCertificates) {
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsPair pair(version);
    ASSERT_TRUE(pair.shake_hands());
    std::string problem;
    std::shared_ptr<const PeerCertificate> peer = peer_certificate(pair.server(), problem);
    ASSERT_NE(peer, nullptr) << problem;
    EXPECT_EQ(peer->common_name, "someone");
    EXPECT_EQ(SSL_get0_verified_chain(pair.server()), nullptr);
    ASSERT_EQ(sk_X509_num(SSL_get_peer_cert_chain(pair.server())), 1);

    forget_certificates(pair.server());
    EXPECT_EQ(SSL_get0_peer_certificate(pair.server()), nullptr);
    EXPECT_EQ(sk_X509_num(SSL_get_peer_cert_chain(pair.server())), 0);
    EXPECT_STREQ(SSL_get_cipher_name(pair.server()), SSL_get_cipher_name(pair.client()));
    EXPECT_EQ(TlsPair::pass(pair.client(), pair.server(), "question"), "question");
    EXPECT_EQ(TlsPair::pass(pair.server(), pair.client(), "answer"), "answer");
    if (version != TLS1_3_VERSION) continue;
    // New keys come from the secrets of the connection, not from its session.
    ASSERT_EQ(SSL_key_update(pair.client(), SSL_KEY_UPDATE_REQUESTED), 1);
    EXPECT_EQ(TlsPair::pass(pair.client(), pair.server(), "again"), "again");
    EXPECT_EQ(TlsPair::pass(pair.server(), pair.client(), "well"), "well");
  }
}

TEST(Tls, AnAskedForFragmentLengthStays) {
  TlsPair pair(TLS1_3_VERSION);
  SSL_set_tlsext_max_fragment_length(pair.client(), TLSEXT_max_fragment_length_512);
  ASSERT_TRUE(pair.shake_hands());
  forget_certificates(pair.server());
  EXPECT_EQ(SSL_SESSION_get_max_fragment_length(SSL_get_session(pair.server())),
            TLSEXT_max_fragment_length_512);
}

}  // namespace
}  // namespace wherry::http
