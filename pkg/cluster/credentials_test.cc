#include "cluster/credentials.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "json/yaml.h"
#include "os/file.h"

namespace wherry::cluster {
namespace {

class CredentialsTest : public testing::Test {
 protected:
  CredentialSpec spec() {
    return {folder_.path() + "/tls", {"node-1"}, {"192.0.2.7", "10.43.0.1"}, "cluster.local"};
  }
  os::TempDirectory folder_ = os::TempDirectory::make().value();
  FakeClock clock_;
};

TEST_F(CredentialsTest, AreMadeOnceAndReadAgain) {
  Credentials first = prepare_credentials(spec(), clock_).value();
  Credentials again = prepare_credentials(spec(), clock_).value();
  EXPECT_EQ(first.server_ca_pem, again.server_ca_pem);
  EXPECT_EQ(first.serving.certificate_pem, again.serving.certificate_pem);
  EXPECT_EQ(first.service_keys[0].id(), again.service_keys[0].id());
  struct stat info {};
  ASSERT_EQ(stat((spec().directory + "/serving.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(CredentialsTest, LeavesAreRenewedBeforeTheyExpireAndForNewNames) {
  Credentials first = prepare_credentials(spec(), clock_).value();
  CredentialSpec wider = spec();
  wider.ip_addresses.push_back("198.51.100.3");
  Credentials named = prepare_credentials(wider, clock_).value();
  EXPECT_NE(first.serving.certificate_pem, named.serving.certificate_pem);
  EXPECT_EQ(first.admin.certificate_pem, named.admin.certificate_pem);
  clock_.advance(std::chrono::hours(24 * 300));
  Credentials renewed = prepare_credentials(wider, clock_).value();
  EXPECT_NE(named.admin.certificate_pem, renewed.admin.certificate_pem);
  EXPECT_EQ(named.client_ca_pem, renewed.client_ca_pem);
}

TEST_F(CredentialsTest, TokenPinsTheAuthority) {
  Credentials credentials = prepare_credentials(spec(), clock_).value();
  std::string path = folder_.path() + "/token";
  std::string token = prepare_token(path, "", credentials.server_ca_pem).value();
  EXPECT_EQ(token, prepare_token(path, "", credentials.server_ca_pem).value());
  EXPECT_TRUE(token.starts_with("K10"));
  EXPECT_TRUE(
      prepare_token(path, "secret", credentials.server_ca_pem)->ends_with("::server:secret"));
}

TEST_F(CredentialsTest, KubeconfigIsYaml) {
  std::string text = kubeconfig("https://127.0.0.1:6443", "ca", {"cert", "key"});
  json::Document document = json::parse_yaml(text).value();
  EXPECT_EQ(document.root()["clusters"].at(0)["cluster"]["server"].as_string(),
            "https://127.0.0.1:6443");
}

}  // namespace
}  // namespace wherry::cluster
