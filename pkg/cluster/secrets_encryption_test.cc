#include "cluster/secrets_encryption.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "os/file.h"

namespace wherry::cluster {
namespace {

class SecretsEncryptionTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(os::make_directories(folder_.path() + "/server/db", 0700).ok());
  }
  Result<SecretsEncryption::Opened> open() {
    opened_ = {};
    store::Options options;
    options.path = folder_.path() + "/server/db/state.db";
    return SecretsEncryption::open_store(folder_.path(), std::move(options), clock_);
  }
  void put(const std::string& name, const std::string& text) {
    json::Draft draft;
    draft.root().set("kind", "Secret");
    json::Node metadata = draft.root().set_object("metadata");
    metadata.set("name", name);
    metadata.set("namespace", "ns");
    draft.root().set("text", text);
    std::vector<store::Write> writes;
    writes.push_back({"secrets", "ns", name, api::unstamped(draft.freeze().root()).value(), 0});
    ASSERT_TRUE(opened_.store->commit(std::move(writes)).ok());
  }
  std::string text_of(const std::string& name) {
    api::ObjectPtr object = opened_.store->get("secrets", "ns", name);
    return object == nullptr ? "none" : std::string(object->document().root()["text"].as_string());
  }
  bool on_disk(std::string_view text) {
    for (const auto& file : std::filesystem::directory_iterator(folder_.path() + "/server/db")) {
      std::ifstream stream(file.path(), std::ios::binary);
      std::string bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
      if (bytes.find(text) != std::string::npos) return true;
    }
    return false;
  }
  std::string key_file() { return SecretsEncryption::key_file(folder_.path()); }

  os::TempDirectory folder_ = os::TempDirectory::make().value();
  FakeClock clock_;
  SecretsEncryption::Opened opened_;
};

TEST_F(SecretsEncryptionTest, IsOnFromTheFirstStart) {
  opened_ = open().value();
  put("a", "hidden");
  EXPECT_FALSE(on_disk("hidden"));
  struct stat info {};
  ASSERT_EQ(stat(key_file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  opened_ = open().value();
  EXPECT_EQ(text_of("a"), "hidden");
}

TEST_F(SecretsEncryptionTest, RotatesAndForgetsTheOldKey) {
  opened_ = open().value();
  put("a", "hidden");
  std::string old = opened_.encryption->state().key_id;
  EXPECT_TRUE(on_disk("v1:" + old));
  std::string fresh = opened_.encryption->rotate()->key_id;
  EXPECT_NE(old, fresh);
  EXPECT_FALSE(on_disk("v1:" + old));
  EXPECT_EQ(SecretKeys::load(key_file())->keys.size(), 1U);
  opened_ = open().value();
  EXPECT_EQ(opened_.encryption->state().key_id, fresh);
  EXPECT_EQ(text_of("a"), "hidden");
}

TEST_F(SecretsEncryptionTest, CanBeTurnedOffAndOn) {
  opened_ = open().value();
  put("a", "hidden");
  ASSERT_TRUE(opened_.encryption->set_encrypt(false).ok());
  EXPECT_TRUE(on_disk("hidden"));
  EXPECT_FALSE(opened_.encryption->rotate().ok());
  opened_ = open().value();
  EXPECT_FALSE(opened_.encryption->state().encrypt);
  ASSERT_TRUE(opened_.encryption->set_encrypt(true).ok());
  EXPECT_FALSE(on_disk("hidden"));
  EXPECT_EQ(text_of("a"), "hidden");
}

TEST_F(SecretsEncryptionTest, AStartFinishesWhatTheKeyFileAsksFor) {
  opened_ = open().value();
  put("a", "hidden");
  std::string old = opened_.encryption->state().key_id;
  opened_ = {};
  // What a rotation leaves that is killed between its two writes.
  std::string fresh = SecretsEncryption::rotate_offline(folder_.path(), clock_)->key_id;
  EXPECT_EQ(SecretKeys::load(key_file())->keys.size(), 2U);
  opened_ = open().value();
  EXPECT_EQ(text_of("a"), "hidden");
  EXPECT_TRUE(on_disk("v1:" + fresh));
  EXPECT_FALSE(on_disk("v1:" + old));
  EXPECT_EQ(SecretKeys::load(key_file())->keys.size(), 1U);
}

TEST_F(SecretsEncryptionTest, AMissingOrWrongKeyIsNamed) {
  opened_ = open().value();
  put("a", "hidden");
  opened_ = {};
  std::string kept = os::read_file(key_file()).value();
  ASSERT_TRUE(os::remove_file(key_file()).ok());
  Result<SecretsEncryption::Opened> missing = open();
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.error().message().find("secrets-keys.json is missing"), std::string::npos)
      << missing.error().message();
  EXPECT_FALSE(os::exists(key_file()));

  SecretKeys other;
  other.keys.push_back(SecretKeys::generate(clock_));
  ASSERT_TRUE(other.save(key_file()).ok());
  Result<SecretsEncryption::Opened> wrong = open();
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.error().message().find("does not hold"), std::string::npos)
      << wrong.error().message();

  ASSERT_TRUE(os::write_file_atomic(key_file(), "{", 0600).ok());
  EXPECT_NE(open().error().message().find("put it back from a copy"), std::string::npos);

  ASSERT_TRUE(os::write_file_atomic(key_file(), kept, 0644).ok());
  opened_ = open().value();
  EXPECT_EQ(text_of("a"), "hidden");
  struct stat info {};
  ASSERT_EQ(stat(key_file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

}  // namespace
}  // namespace wherry::cluster
