// Pulls: from Debian's docker-registry filled by skopeo, and from a small server that misbehaves.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <map>

#include "base/encoding.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "base/thread.h"
#include "container/manifest.h"
#include "testbed.h"

namespace wherry::container {
namespace {

int free_port() {
  os::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  CHECK(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

bool connects(int port) {
  os::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

// A one-thread HTTP server that answers from a function; one request a connection.
class TinyServer {
 public:
  struct Request {
    std::string method;
    std::string path;
    std::string head;
    std::string header(std::string_view name) const {
      for (std::string_view line : split(head, '\n')) {
        auto pair = split_once(line, ":");
        if (pair && equals_ignore_case(trim(pair->first), name))
          return std::string(trim(pair->second));
      }
      return "";
    }
  };
  struct Response {
    int status = 200;
    std::string headers;
    std::string body;
    size_t cut = std::string::npos;  // Hang up after so many bytes of the body.
  };
  using Handler = std::function<Response(const Request&)>;

  explicit TinyServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = os::Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    socklen_t size = sizeof address;
    CHECK(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    CHECK(listen(listener_.get(), 16) == 0);
    thread_ = start_thread("tiny", [this](const std::stop_token& stop) { loop(stop); });
  }
  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
  std::vector<std::string> seen() {
    MutexLock lock(mutex_);
    return seen_;
  }

 private:
  void loop(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (!os::wait_for(listener_.get(), POLLIN, std::chrono::milliseconds(50)).value()) continue;
      os::Fd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (peer) serve(peer.get());
    }
  }
  void serve(int fd) {
    Request request;
    char buffer[4096];
    while (request.head.find("\r\n\r\n") == std::string::npos) {
      ssize_t count = ::read(fd, buffer, sizeof buffer);
      if (count <= 0) return;
      request.head.append(buffer, static_cast<size_t>(count));
    }
    std::vector<std::string_view> words =
        split(std::string_view(request.head).substr(0, request.head.find("\r\n")), ' ');
    request.method = words[0];
    request.path = words[1];
    {
      MutexLock lock(mutex_);
      seen_.push_back(request.path + " " + request.header("Range"));
    }
    Response response = handler_(request);
    std::string text =
        fmt::format("HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n",
                    response.status, response.body.size(), response.headers);
    text += response.body.substr(0, response.cut);
    (void)os::write_all(fd, text).ok();
    ::shutdown(fd, SHUT_WR);
    (void)os::wait_for(fd, POLLIN, std::chrono::milliseconds(200)).ok();
  }

  const Handler handler_;
  os::Fd listener_;
  int port_ = 0;
  Mutex mutex_;
  std::vector<std::string> seen_ GUARDED_BY(mutex_);
  std::jthread thread_;
};

// A valid one-layer image, served path by path.
struct FakeImage {
  std::string layer;
  std::string config;
  std::string manifest;
  std::string layer_digest;
  explicit FakeImage(std::string tar) : layer(std::move(tar)) {
    layer_digest = "sha256:" + pki::sha256_hex(layer);
    config = write_config(ImageConfig{.entrypoint = {"/x"}}, {layer_digest});
    manifest =
        write_manifest({"application/vnd.oci.image.config.v1+json",
                        "sha256:" + pki::sha256_hex(config), config.size()},
                       {{"application/vnd.oci.image.layer.v1.tar", layer_digest, layer.size()}});
  }
  TinyServer::Response answer(const std::string& path) const {
    if (path == "/v2/a/manifests/latest")
      return {200, "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n", manifest};
    if (path == "/v2/a/blobs/sha256:" + pki::sha256_hex(config)) return {200, "", config};
    if (path == "/v2/a/blobs/" + layer_digest) return {200, "", layer};
    return {404, "", R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})"};
  }
};

std::string small_tar(size_t bytes = 3) {
  std::string tar;
  append_tar(tar, tar_file("x", 0755), std::string(bytes, 'b'));
  finish_tar(tar);
  return tar;
}

class PullTest : public ContainerTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    fresh_ = std::make_unique<os::TempDirectory>(os::TempDirectory::make("/var/tmp").value());
    images_ = ImageStore::open(fresh_->path(), clock_).value();
  }
  Result<Image> pull(const std::string& name, const std::vector<Credentials>& credentials = {}) {
    return images_->pull(name, credentials, source_.get_token());
  }
  void expect_clean() {
    EXPECT_TRUE(os::list_directory(fresh_->path() + "/ingest").value().empty());
  }

  std::stop_source source_;
  std::unique_ptr<os::TempDirectory> fresh_;
  std::unique_ptr<ImageStore> images_;
};

TEST_F(PullTest, FromARealRegistry) {
  for (const char* name : {"docker-registry", "skopeo"}) {
    if (!os::find_program(name).ok()) GTEST_SKIP() << "needs " << name;
  }
  int port = free_port();
  std::string config = fmt::format(
      "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: "
      "{}/registry}}}}\nhttp: {{addr: "
      "\"127.0.0.1:{}\"}}\n",
      folder_->path(), port);
  ASSERT_TRUE(os::write_file_plain(folder_->path() + "/registry.yml", config).ok());
  os::Process registry =
      os::spawn({.args = {"docker-registry", "serve", folder_->path() + "/registry.yml"}}).value();
  for (int i = 0; i < 200 && !connects(port); ++i) ::poll(nullptr, 0, 50);

  std::string second;
  append_tar(second, tar_file("etc/second", 0644), "upper");
  append_tar(second, tar_file("etc/.wh.group", 0644), "");
  append_tar(second, tar_file("var/.wh..wh..opq", 0644), "");
  finish_tar(second);
  std::string archive = folder_->path() + "/two.tar";
  ASSERT_TRUE(os::write_file_plain(
                  archive, docker_archive("two:1", {busybox_layer(), second},
                                          R"({"Entrypoint":["cat"],"Cmd":["/etc/second"]})"))
                  .ok());
  std::string base = "127.0.0.1:" + std::to_string(port) + "/team/two";
  for (auto [tag, format] : {std::pair{"gzip", "gzip"}, std::pair{"zstd", "zstd"}}) {
    os::RunResult copied =
        os::run({.args = {"skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false",
                          "--format", "oci", "--dest-compress-format", format, "--dest-compress",
                          "docker-archive:" + archive, "docker://" + base + ":" + tag}},
                std::chrono::seconds(60))
            .value();
    ASSERT_TRUE(copied.status.ok()) << copied.output;
  }
  uint64_t done = 0;
  uint64_t total = 0;
  Result<Image> image =
      images_->pull(base + ":gzip", {}, source_.get_token(), [&](const PullProgress& progress) {
        done = std::max(done, progress.done_bytes);
        total = progress.total_bytes;
      });
  ASSERT_TRUE(image.ok()) << image.error().message();
  EXPECT_EQ(done, total);
  EXPECT_GT(total, 0u);
  EXPECT_EQ(image->tags, std::vector<std::string>{base + ":gzip"});
  EXPECT_EQ(image->digests, std::vector<std::string>{base + "@" + image->digest});
  EXPECT_EQ(image->config.entrypoint, std::vector<std::string>{"cat"});
  ASSERT_EQ(image->layers.size(), 2u);
  EXPECT_EQ(read_image_file(*image, "/etc/second").value(), "upper");
  EXPECT_FALSE(read_image_file(*image, "/etc/group").ok());
  struct stat info {};
  ASSERT_EQ(stat((image->layers[1] + "/etc/group").c_str(), &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode) && info.st_rdev == 0);
  char flag = 0;
  EXPECT_EQ(getxattr((image->layers[1] + "/var").c_str(), "trusted.overlay.opaque", &flag, 1), 1);
  expect_clean();

  Result<Image> zstd = pull(base + ":zstd");
  ASSERT_TRUE(zstd.ok()) << zstd.error().message();
  EXPECT_EQ(zstd->layers, image->layers);
  Result<Image> by_digest = pull(base + "@" + image->digest);
  ASSERT_TRUE(by_digest.ok()) << by_digest.error().message();
  EXPECT_EQ(by_digest->id, image->id);

  Result<Image> missing = pull(base + ":nope");
  ASSERT_FALSE(missing.ok());
  EXPECT_TRUE(missing.error().is(Code::kNotFound));
  EXPECT_EQ(missing.error().message(), "failed to pull and unpack image \"" + base +
                                           ":nope\": failed to resolve reference \"" + base +
                                           ":nope\": " + base + ":nope: not found");

  images_.reset();  // A restart finds everything again.
  images_ = ImageStore::open(fresh_->path(), clock_).value();
  EXPECT_EQ(images_->find(base + ":gzip").value().layers, image->layers);
  ASSERT_TRUE(images_->remove(base + ":gzip").ok());
  ASSERT_TRUE(images_->remove(base + ":zstd").ok());
  EXPECT_TRUE(images_->list().empty());
  EXPECT_TRUE(os::list_directory(fresh_->path() + "/l").value().empty());

  ASSERT_TRUE(registry.kill(SIGTERM).ok());
  ASSERT_TRUE(registry.wait(std::chrono::seconds(10)).ok());
}

TEST_F(PullTest, RegistryThatIsNotThere) {
  Result<Image> image = pull("127.0.0.1:" + std::to_string(free_port()) + "/a");
  ASSERT_FALSE(image.ok());
  EXPECT_TRUE(image.error().is(Code::kUnavailable)) << image.error().message();
  EXPECT_TRUE(pull("Not A Name").error().is(Code::kInvalid));
}

TEST_F(PullTest, BrokenDownloadGoesOnWhereItEnded) {
  FakeImage fake(small_tar(100000));
  int round = 0;
  TinyServer server([&](const TinyServer::Request& request) -> TinyServer::Response {
    TinyServer::Response response = fake.answer(request.path);
    if (!request.path.ends_with(fake.layer_digest)) return response;
    std::string range = request.header("Range");
    if (!range.empty()) {
      size_t start = parse_uint(std::string_view(range).substr(6, range.size() - 7)).value_or(0);
      response.status = 206;
      response.body = fake.layer.substr(start);
    }
    if (++round <= 2) response.cut = 30000;
    return response;
  });
  Result<Image> image = pull(server.host() + "/a");
  ASSERT_TRUE(image.ok()) << image.error().message();
  std::vector<std::string> seen = server.seen();
  EXPECT_TRUE(seen[seen.size() - 2].ends_with("bytes=30000-")) << join(seen, "\n");
  EXPECT_TRUE(seen.back().ends_with("bytes=60000-")) << join(seen, "\n");
  expect_clean();
}

TEST_F(PullTest, ServerWithoutRanges) {
  FakeImage fake(small_tar(100000));
  int round = 0;
  TinyServer server([&](const TinyServer::Request& request) -> TinyServer::Response {
    TinyServer::Response response = fake.answer(request.path);
    if (request.path.ends_with(fake.layer_digest) && ++round == 1) response.cut = 30000;
    return response;
  });
  Result<Image> image = pull(server.host() + "/a");
  ASSERT_TRUE(image.ok()) << image.error().message();
}

TEST_F(PullTest, TruncatedForever) {
  FakeImage fake(small_tar(1000));
  TinyServer server([&](const TinyServer::Request& request) -> TinyServer::Response {
    TinyServer::Response response = fake.answer(request.path);
    if (request.path.ends_with(fake.layer_digest)) response.cut = 0;
    return response;
  });
  Result<Image> image = pull(server.host() + "/a");
  ASSERT_FALSE(image.ok());
  EXPECT_NE(image.error().message().find(fake.layer_digest), std::string::npos)
      << image.error().message();
  EXPECT_TRUE(images_->list().empty());
}

TEST_F(PullTest, WrongDigests) {
  FakeImage fake(small_tar(1000));
  TinyServer server([&](const TinyServer::Request& request) -> TinyServer::Response {
    TinyServer::Response response = fake.answer(request.path);
    if (request.path.ends_with(fake.layer_digest)) response.body[600] ^= 1;
    return response;
  });
  Result<Image> image = pull(server.host() + "/a");
  ASSERT_FALSE(image.ok());
  EXPECT_NE(image.error().message().find("digest mismatch"), std::string::npos)
      << image.error().message();
  expect_clean();
  EXPECT_TRUE(os::list_directory(fresh_->path() + "/l").value().empty());
  image = pull(server.host() + "/a@sha256:" + std::string(64, 'a'));
  EXPECT_TRUE(image.error().is(Code::kNotFound)) << image.error().message();
}

TEST_F(PullTest, PathThatEscapesTheRoot) {
  std::string tar;
  append_tar(tar, tar_file("../../evil", 0755), "x");
  finish_tar(tar);
  FakeImage fake(tar);
  TinyServer server([&](const TinyServer::Request& request) { return fake.answer(request.path); });
  Result<Image> image = pull(server.host() + "/a");
  ASSERT_FALSE(image.ok());
  EXPECT_NE(image.error().message().find("escapes the root"), std::string::npos)
      << image.error().message();
  EXPECT_FALSE(os::exists(fresh_->path() + "/evil"));
  expect_clean();
}

TEST_F(PullTest, TokensAndPasswords) {
  FakeImage fake(small_tar());
  std::string host;
  TinyServer server([&](const TinyServer::Request& request) -> TinyServer::Response {
    if (request.path.starts_with("/token?")) {
      if (request.header("Authorization") != "Basic " + base64_encode("ada:secret"))
        return {401, "", "no"};
      if (request.path.find("service=reg&scope=repository%3Aa%3Apull") == std::string::npos)
        return {400, "", request.path};
      return {200, "", R"({"token":"letmein"})"};
    }
    if (request.header("Authorization") != "Bearer letmein") {
      return {401,
              "WWW-Authenticate: Bearer realm=\"http://" + host +
                  "/token\",service=\"reg\",scope=\"repository:a:pull\"\r\n",
              ""};
    }
    return fake.answer(request.path);
  });
  host = server.host();
  Result<Image> image = pull(host + "/a");
  ASSERT_FALSE(image.ok());
  EXPECT_TRUE(image.error().is(Code::kUnauthorized)) << image.error().message();
  image = pull(host + "/a",
               {{.username = "eve", .password = "x"}, {.username = "ada", .password = "secret"}});
  ASSERT_TRUE(image.ok()) << image.error().message();
}

TEST_F(PullTest, BasicPasswords) {
  FakeImage fake(small_tar());
  TinyServer server([&](const TinyServer::Request& request) -> TinyServer::Response {
    if (request.header("Authorization") != "Basic " + base64_encode("ada:secret")) {
      return {401, "WWW-Authenticate: Basic realm=\"x\"\r\n",
              R"({"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]})"};
    }
    return fake.answer(request.path);
  });
  EXPECT_TRUE(pull(server.host() + "/a").error().is(Code::kUnauthorized));
  Result<Image> image = pull(server.host() + "/a", {{.username = "ada", .password = "secret"}});
  ASSERT_TRUE(image.ok()) << image.error().message();
}

TEST_F(PullTest, TheBinaryIsItsOwnImage) {
  Result<void> made = import_self_image(*images_);
  ASSERT_TRUE(made.ok()) << made.error().message();
  Image image = images_->find("wherry.local/hello").value();
  EXPECT_EQ(image.config.entrypoint, (std::vector<std::string>{"/wherry", "hello"}));
  ASSERT_EQ(image.layers.size(), 1u);
  EXPECT_EQ(os::read_file(image.layers[0] + "/wherry").value().size(),
            os::read_file("/proc/self/exe").value().size());
  ASSERT_TRUE(import_self_image(*images_).ok());
  EXPECT_EQ(images_->find("wherry.local/hello").value().id, image.id);
  EXPECT_EQ(pull("wherry.local/hello").value().id, image.id);  // No registry is asked.
  EXPECT_EQ(pull("wherry.local/other").error().code(), Code::kNotFound);
  Result<Image> by_two =
      images_->add_local("wherry.local/hello", {{"/proc/self/exe", "wherry", 0755}}, {}, "other");
  ASSERT_TRUE(by_two.ok()) << by_two.error().message();
  EXPECT_NE(by_two->id, image.id);
}

}  // namespace
}  // namespace wherry::container

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  int code = RUN_ALL_TESTS();
  const auto& unit = *::testing::UnitTest::GetInstance();
  printf("%d passed, %d failed, %d skipped\n", unit.successful_test_count(),
         unit.failed_test_count(), unit.skipped_test_count());
  return code;
}
