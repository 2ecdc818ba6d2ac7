#include "container/manifest.h"

#include <gtest/gtest.h>

#include "container/registry.h"

namespace wherry::container {
namespace {

const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256:" + std::string(64, 'b');

TEST(Manifest, IndexEntryForThisPlatform) {
  std::string index = R"({"manifests":[
    {"digest":")" + kA +
                      R"(","platform":{"os":"linux","architecture":"arm64","variant":"v8"}},
    {"digest":")" + kB +
                      R"(","platform":{"os":"linux","architecture":"amd64"}}]})";
  EXPECT_TRUE(is_index(index, ""));
  EXPECT_EQ(choose_manifest(index, {"amd64", ""})->digest, kB);
  EXPECT_EQ(choose_manifest(index, {"arm64", ""})->digest, kA);
  Result<Descriptor> none = choose_manifest(index, {"riscv64", ""});
  EXPECT_TRUE(none.error().is(Code::kNotFound));
  EXPECT_NE(none.error().message().find("no match for platform"), std::string::npos);
}

TEST(Manifest, OlderArmServesANewerOne) {
  std::string index = R"({"manifests":[
    {"digest":")" + kA +
                      R"(","platform":{"os":"linux","architecture":"arm","variant":"v6"}},
    {"digest":")" + kB +
                      R"(","platform":{"os":"linux","architecture":"arm","variant":"v7"}}]})";
  EXPECT_EQ(choose_manifest(index, {"arm", "v7"})->digest, kB);
  EXPECT_EQ(choose_manifest(index, {"arm", "v6"})->digest, kA);
}

TEST(Manifest, WrittenIsReadAgain) {
  ImageConfig config;
  config.entrypoint = {"/x", "y"};
  config.env = {"A=b"};
  config.user = "1000:50";
  config.exposed_ports = {"80/tcp"};
  config.stop_signal = "SIGINT";
  ConfigDocument document = parse_config(write_config(config, {kA})).value();
  EXPECT_EQ(document.config.entrypoint, config.entrypoint);
  EXPECT_EQ(document.config.env, config.env);
  EXPECT_EQ(document.config.user, "1000:50");
  EXPECT_EQ(document.config.exposed_ports, config.exposed_ports);
  EXPECT_EQ(document.config.stop_signal, "SIGINT");
  EXPECT_EQ(document.diff_ids, std::vector<std::string>{kA});
  std::string text =
      write_manifest({"", kA, 10}, {{"application/vnd.oci.image.layer.v1.tar+zstd", kB, 20}});
  Manifest manifest = parse_manifest(text).value();
  EXPECT_EQ(manifest.config.digest, kA);
  EXPECT_EQ(manifest.layers.at(0).size, 20u);
  EXPECT_FALSE(is_index(text, ""));
}

TEST(Manifest, NonsenseIsRefused) {
  EXPECT_FALSE(parse_manifest("{}").ok());
  EXPECT_FALSE(parse_manifest("[").ok());
  EXPECT_FALSE(parse_manifest(R"({"schemaVersion":1})").ok());
  EXPECT_FALSE(parse_manifest(R"({"config":{"digest":"sha256:../../x"},"layers":[]})").ok());
  EXPECT_FALSE(parse_config(R"({"rootfs":{"diff_ids":["x"]}})").ok());
  EXPECT_FALSE(parse_config("{}").ok());
}

TEST(Challenge, IsTakenApart) {
  Challenge challenge = parse_challenge(
      R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push")");
  EXPECT_EQ(challenge.scheme, "bearer");
  EXPECT_EQ(challenge.parameters["realm"], "https://auth.docker.io/token");
  EXPECT_EQ(challenge.parameters["scope"], "repository:a/b:pull,push");
  EXPECT_EQ(parse_challenge("Basic realm=x").parameters["realm"], "x");
  EXPECT_EQ(parse_challenge("Basic").scheme, "basic");
  EXPECT_EQ(parse_challenge("").scheme, "");
  EXPECT_EQ(parse_challenge("Bearer realm=\"a\\\"b").parameters["realm"], "a\"b");
}

}  // namespace
}  // namespace wherry::container
