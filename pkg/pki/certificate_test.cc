#include <gtest/gtest.h>

#include "pki/pki.h"

namespace wherry::pki {
namespace {

const Time kNow{std::chrono::seconds(1'700'000'000)};

CertificateSpec admin_spec() {
  return {
      .subject = {"system:admin", {"system:masters", "second"}}, .client_auth = true, .now = kNow};
}

TEST(Authority, SignsItselfAndReadsBack) {
  Authority authority = Authority::create("wherry-ca", kNow);
  EXPECT_TRUE(authority.certificate.is_ca());
  EXPECT_TRUE(authority.certificate.signed_by(authority.certificate));
  EXPECT_EQ(authority.certificate.subject().common_name, "wherry-ca");
  EXPECT_EQ(authority.certificate.not_before(), kNow - kBackdate);

  Result<Authority> again =
      Authority::from_pem(authority.certificate.pem(), authority.key.private_pem());
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->certificate.sha256(), authority.certificate.sha256());
  Authority other = Authority::create("other", kNow);
  EXPECT_FALSE(Authority::from_pem(authority.certificate.pem(), other.key.private_pem()).ok());
}

TEST(Authority, IssuesWhatTheSpecSays) {
  Authority authority = Authority::create("wherry-ca", kNow);
  Key key = Key::generate();
  CertificateSpec spec{.subject = {"wherry", {}},
                       .dns_names = {"localhost", "kubernetes.default.svc"},
                       .ip_addresses = {"127.0.0.1", "fd00::1"},
                       .server_auth = true,
                       .now = kNow};
  Result<Certificate> made = authority.issue(key, spec);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(made->dns_names(), spec.dns_names);
  EXPECT_EQ(made->ip_addresses(), spec.ip_addresses);
  EXPECT_EQ(made->issuer().common_name, "wherry-ca");
  EXPECT_FALSE(made->is_ca());
  EXPECT_TRUE(made->signed_by(authority.certificate));
  EXPECT_FALSE(made->signed_by(Authority::create("wherry-ca", kNow).certificate));
  EXPECT_TRUE(made->matches(key));
  EXPECT_FALSE(made->matches(authority.key));
  EXPECT_EQ(made->not_after(), kNow + spec.lifetime);
}

TEST(Authority, NeverOutlivedByWhatItIssues) {
  Authority authority = Authority::create("short", kNow, std::chrono::hours(24));
  Result<Certificate> made = authority.issue(Key::generate(), admin_spec());
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->not_after(), authority.certificate.not_after());
  EXPECT_EQ(made->subject().organizations, (std::vector<std::string>{"system:masters", "second"}));
}

TEST(Authority, RefusesABadAddress) {
  CertificateSpec spec = admin_spec();
  spec.ip_addresses = {"300.1.1.1"};
  Result<Certificate> made = Authority::create("a", kNow).issue(Key::generate(), spec);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().message(), "\"300.1.1.1\" is not an IP address");
}

TEST(Certificate, ReadsSeveralAndRefusesRubbish) {
  Authority a = Authority::create("a", kNow);
  Authority b = Authority::create("b", kNow);
  Result<std::vector<Certificate>> both =
      Certificate::all_from_pem(a.certificate.pem() + b.certificate.pem());
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->size(), 2U);
  EXPECT_FALSE(Certificate::from_pem("rubbish").ok());
  EXPECT_FALSE(Certificate::from_pem("").ok());
  std::string broken = a.certificate.pem();
  broken.replace(60, 4, "!!!!");
  EXPECT_FALSE(Certificate::all_from_pem(b.certificate.pem() + broken).ok());
}

TEST(SigningRequest, RoundTripAndSignature) {
  Key key = Key::generate();
  std::string pem =
      SigningRequest::create(key, {"system:node:one", {"system:nodes"}}, {"one"}, {"10.0.0.1"});
  Result<SigningRequest> request = SigningRequest::from_pem(pem);
  ASSERT_TRUE(request.ok()) << request.error().message();
  EXPECT_EQ(request->subject.common_name, "system:node:one");
  EXPECT_EQ(request->subject.organizations, std::vector<std::string>{"system:nodes"});
  EXPECT_EQ(request->dns_names, std::vector<std::string>{"one"});
  EXPECT_EQ(request->ip_addresses, std::vector<std::string>{"10.0.0.1"});
  EXPECT_EQ(request->key.id(), key.id());
  EXPECT_FALSE(request->key.is_private());
  EXPECT_FALSE(SigningRequest::from_pem("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"
                                        "-----END CERTIFICATE REQUEST-----\n")
                   .ok());

  Authority authority = Authority::create("a", kNow);
  Result<Certificate> issued =
      authority.issue(request->key, {.subject = request->subject, .now = kNow});
  ASSERT_TRUE(issued.ok());
  EXPECT_TRUE(issued->matches(key));
}

}  // namespace
}  // namespace wherry::pki
