#include "cluster/certificate_keeper.h"

#include <gtest/gtest.h>

#include "os/file.h"

namespace wherry::cluster {
namespace {

constexpr std::chrono::hours kDay{24};

class KeeperTest : public testing::Test {
 protected:
  CredentialSpec spec() { return {folder_.path() + "/tls", {"node-1"}, {"192.0.2.7"}, "c.local"}; }
  void make() {
    Credentials first = prepare_credentials(spec(), clock_).value();
    keeper_ = std::make_unique<CertificateKeeper>(spec(), first, clock_,
                                                  [this](const Credentials& fresh) {
                                                    ++renewals_;
                                                    now_ = fresh;
                                                  });
    now_ = std::move(first);
  }
  void expect_all_valid(Time at) {
    for (const CertificateFact& fact : keeper_->facts()) {
      EXPECT_LE(fact.from, at) << fact.name;
      EXPECT_GT(fact.until, at) << fact.name;
    }
    // What is in use is what the facts are about, and it is trusted.
    pki::Certificate serving = pki::Certificate::from_pem(now_->serving.certificate_pem).value();
    EXPECT_GT(serving.not_after(), at);
    EXPECT_TRUE(trusted(serving, now_->server_ca_pem));
    pki::Certificate admin = pki::Certificate::from_pem(now_->admin.certificate_pem).value();
    EXPECT_GT(admin.not_after(), at);
    EXPECT_TRUE(trusted(admin, now_->client_ca_pem));
  }
  static bool trusted(const pki::Certificate& certificate, const std::string& bundle) {
    for (const pki::Certificate& authority : pki::Certificate::all_from_pem(bundle).value()) {
      if (certificate.signed_by(authority)) return true;
    }
    return false;
  }

  os::TempDirectory folder_ = os::TempDirectory::make().value();
  FakeClock clock_{Time(std::chrono::sys_days(std::chrono::year(2026) / 6 / 1))};
  std::unique_ptr<CertificateKeeper> keeper_;
  std::optional<Credentials> now_;
  int renewals_ = 0;
};

TEST_F(KeeperTest, NothingExpiresInThreeYears) {
  make();
  Time end = clock_.now() + kDay * 3 * 365;
  while (clock_.now() < end) {
    Time next = keeper_->pass().value();
    ASSERT_GT(next, clock_.now());
    expect_all_valid(clock_.now());
    // Until the very moment of the next look, and a day late.
    expect_all_valid(next + kDay);
    clock_.advance(next - clock_.now());
  }
  EXPECT_GE(renewals_, 4);
  EXPECT_LE(renewals_, 6);
}

TEST_F(KeeperTest, AuthoritiesAreReplacedInTimeTooAndOldOnesStayTrusted) {
  make();
  std::string first_ca = now_->server_ca_pem;
  Time end = clock_.now() + kDay * 25 * 365;
  while (clock_.now() < end) {
    Credentials before = *now_;
    Time next = keeper_->pass().value();
    ASSERT_GT(next, clock_.now());
    expect_all_valid(clock_.now());
    // Who got the bundle before knows what is shown now: directly or through the cross certificate.
    auto chain = pki::Certificate::all_from_pem(now_->serving.certificate_pem).value();
    bool known = trusted(chain[0], before.server_ca_pem);
    for (size_t i = 1; i < chain.size(); ++i) {
      known |= chain[0].signed_by(chain[i]) && trusted(chain[i], before.server_ca_pem);
    }
    EXPECT_TRUE(known);
    clock_.advance(next - clock_.now());
  }
  EXPECT_EQ(now_->server_ca_pem.find(first_ca), std::string::npos);
}

TEST_F(KeeperTest, AClockThatStartsIn1970AndJumps) {
  clock_.step(-clock_.now().time_since_epoch());
  make();
  expect_all_valid(clock_.now());
  std::string ca = now_->server_ca_pem;
  for (int year : {2026, 2024, 2031, 1970, 2027}) {
    clock_.step(Time(std::chrono::sys_days(std::chrono::year(year) / 11 / 30)) - clock_.now());
    ASSERT_TRUE(keeper_->pass().ok());
    expect_all_valid(clock_.now());
    EXPECT_EQ(ca, now_->server_ca_pem) << year;  // No need for another authority.
  }
  EXPECT_GE(renewals_, 4);
}

TEST_F(KeeperTest, RenewsOnDemand) {
  make();
  std::string serving = now_->serving.certificate_pem;
  ASSERT_TRUE(keeper_->pass().ok());
  EXPECT_EQ(renewals_, 0);
  ASSERT_TRUE(keeper_->pass(Renewal::kLeaves).ok());
  EXPECT_EQ(renewals_, 1);
  EXPECT_NE(serving, now_->serving.certificate_pem);
  std::string ca = now_->client_ca_pem;
  ASSERT_TRUE(keeper_->pass(Renewal::kAuthorities).ok());
  EXPECT_EQ(renewals_, 2);
  EXPECT_TRUE(now_->client_ca_pem.ends_with(ca));
  EXPECT_GT(now_->client_ca_pem.size(), ca.size());
  expect_all_valid(clock_.now());
  // The next start finds it all in good order.
  Credentials again = prepare_credentials(spec(), clock_).value();
  EXPECT_EQ(again.serving.certificate_pem, now_->serving.certificate_pem);
  EXPECT_EQ(again.client_ca_pem, now_->client_ca_pem);
}

TEST_F(KeeperTest, EarlierServiceKeysStayKnown) {
  make();
  std::string first = now_->service_keys[0].id();
  ASSERT_TRUE(keeper_->pass(Renewal::kServiceKey).ok());
  ASSERT_EQ(now_->service_keys.size(), 2U);
  EXPECT_TRUE(now_->service_keys[0].is_private());
  EXPECT_NE(now_->service_keys[0].id(), first);
  EXPECT_EQ(now_->service_keys[1].id(), first);
  EXPECT_FALSE(now_->service_keys[1].is_private());
  Credentials again = prepare_credentials(spec(), clock_).value();
  EXPECT_EQ(again.service_keys[0].id(), now_->service_keys[0].id());
  EXPECT_EQ(again.service_keys.size(), 2U);
}

TEST_F(KeeperTest, AnAuthorityWhoseSecondFileIsMissingAfterACrashIsWhole) {
  make();
  ASSERT_TRUE(os::remove_file(spec().directory + "/server-ca.crt").ok());
  Credentials again = prepare_credentials(spec(), clock_).value();
  EXPECT_EQ(again.server_ca_pem, now_->server_ca_pem);
  EXPECT_EQ(os::read_file(spec().directory + "/server-ca.crt").value(), now_->server_ca_pem);
}

TEST_F(KeeperTest, ItsThreadEndsWhenAsked) {
  make();
  ASSERT_TRUE(keeper_->start().ok());
  keeper_->stop();
}

}  // namespace
}  // namespace wherry::cluster
