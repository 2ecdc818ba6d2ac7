#pragma once
// A folder with an image store and a driver of its own, and a busybox image made on the spot. Root
// only; everything made is gone afterwards.

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "container/image.h"
#include "container/sandbox.h"
#include "container/tar.h"
#include "os/file.h"
#include "os/poll.h"
#include "os/process.h"

namespace wherry::container {

inline TarEntry tar_file(std::string name, unsigned mode) {
  TarEntry entry;
  entry.type = TarType::kFile;
  entry.name = std::move(name);
  entry.mode = mode;
  return entry;
}

inline TarEntry tar_folder(std::string name, unsigned mode) {
  TarEntry entry;
  entry.type = TarType::kDirectory;
  entry.name = std::move(name);
  entry.mode = mode;
  return entry;
}

inline TarEntry tar_link(std::string name, std::string target) {
  TarEntry entry;
  entry.type = TarType::kSymlink;
  entry.name = std::move(name);
  entry.link = std::move(target);
  entry.mode = 0777;
  return entry;
}

// A root file system with busybox, a few users and a set-uid file.
inline std::string busybox_layer() {
  std::string busybox = os::read_file(os::find_program("busybox").value()).value();
  std::string tar;
  for (const char* name : {"bin/", "etc/", "root/", "home/", "var/", "usr/"})
    append_tar(tar, tar_folder(name, 0755), "");
  append_tar(tar, tar_folder("tmp/", 01777), "");
  append_tar(tar, tar_file("bin/busybox", 0755), busybox);
  for (const char* name : {"sh",   "cat", "echo", "sleep", "id",   "ls",    "true", "hostname",
                           "stty", "ps",  "dd",   "mount", "kill", "touch", "wget", "tr",
                           "head", "yes", "seq",  "env",   "ip",   "grep",  "df",   "su"}) {
    append_tar(tar, tar_link(std::string("bin/") + name, "busybox"), "");
  }
  append_tar(tar, tar_file("etc/passwd", 0644),
             "root:x:0:0:root:/root:/bin/sh\nada:x:1001:1002:Ada:/home:/bin/sh\n");
  append_tar(tar, tar_file("etc/group", 0644), "root:x:0:\nada:x:1002:\nextra:x:1500:ada\n");
  finish_tar(tar);
  return tar;
}

// What `docker save` writes, of the given layers.
inline std::string docker_archive(const std::string& name, const std::vector<std::string>& layers,
                                  const std::string& config) {
  std::string tar;
  std::string ids;
  std::string files;
  for (size_t i = 0; i < layers.size(); ++i) {
    ids += (i > 0 ? ",\"sha256:" : "\"sha256:") + pki::sha256_hex(layers[i]) + "\"";
    files += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "/layer.tar\"";
    append_tar(tar, tar_file(std::to_string(i) + "/layer.tar", 0644), layers[i]);
  }
  append_tar(tar, tar_file("config.json", 0644),
             "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":" + config +
                 ",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" + ids + "]}}");
  append_tar(
      tar, tar_file("manifest.json", 0644),
      "[{\"Config\":\"config.json\",\"RepoTags\":[\"" + name + "\"],\"Layers\":[" + files + "]}]");
  finish_tar(tar);
  return tar;
}

class ContainerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (geteuid() != 0) return;
    folder_ = std::make_unique<os::TempDirectory>(os::TempDirectory::make("/var/tmp").value());
    store_ = ImageStore::open(folder_->path() + "/images", clock_).value();
    std::string archive =
        docker_archive("busybox:test", {busybox_layer()}, R"({"Cmd":["sh"],"Env":["IMAGE=yes"]})");
    ASSERT_TRUE(os::write_file_plain(folder_->path() + "/busybox.tar", archive).ok());
    Result<std::vector<Image>> images = store_->import_file(folder_->path() + "/busybox.tar");
    ASSERT_TRUE(images.ok()) << images.error().message();
    driver_ = open();
  }
  static void TearDownTestSuite() {
    if (driver_ != nullptr) {
      (void)driver_->cgroups().remove("/wherry-test-" + std::to_string(getpid())).ok();
    }
    driver_.reset();
    store_.reset();
    folder_.reset();
  }

  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    if (!os::find_program("runc").ok()) GTEST_SKIP() << "needs runc";
  }

  static std::unique_ptr<Driver> open() {
    DriverConfig config;
    config.runtime_root = folder_->path() + "/runc";
    config.runtimes = {find_runtime("runc").value()};
    Result<std::unique_ptr<Driver>> driver = open_driver(std::move(config), clock_);
    CHECK(driver.ok());
    return std::move(driver).value();
  }

  static SandboxConfig sandbox_config(const std::string& name) {
    SandboxConfig config;
    config.uid = name;
    config.directory = folder_->path() + "/pods/" + name;
    config.hostname = "pod-" + name;
    config.cgroup = "/wherry-test-" + std::to_string(getpid()) + "/" + name;
    return config;
  }

  static ContainerConfig container_config(const std::string& id, const std::string& script) {
    ContainerConfig config;
    config.id = id;
    config.name = id;
    config.image = store_->find("busybox:test").value();
    config.command = {"/bin/sh", "-c", script};
    config.log_path = folder_->path() + "/logs/" + id + ".log";
    return config;
  }

  static std::string log_of(const std::string& id) {
    return os::read_file(folder_->path() + "/logs/" + id + ".log").value_or("");
  }

  // The log without its time stamps.
  static std::string lines_of(const std::string& id) {
    std::string out;
    std::string text = log_of(id);
    for (size_t at = 0; at < text.size();) {
      size_t end = text.find('\n', at);
      size_t space = text.find(' ', at);
      out += text.substr(space + 1, end - space);
      at = end + 1;
    }
    return out;
  }

  // Waits for the container's end through the sandbox's events.
  static ContainerStatus wait_exit(Sandbox& sandbox, const std::string& id) {
    while (true) {
      Result<bool> ready = os::wait_for(sandbox.event_fd(), POLLIN, std::chrono::seconds(20));
      if (!ready.ok() || !*ready) {
        ADD_FAILURE() << "no event of " << id;
        return {};
      }
      for (const SandboxEvent& event : sandbox.read_events()) {
        if (event.kind == SandboxEvent::Kind::kExited && event.container.id == id)
          return event.container;
        if (event.kind == SandboxEvent::Kind::kSandboxDied) {
          ADD_FAILURE() << "the sandbox died";
          return {};
        }
      }
    }
  }

  static void run(Sandbox& sandbox, const ContainerConfig& config) {
    Result<void> created = sandbox.create_container(config);
    ASSERT_TRUE(created.ok()) << created.error().message();
    Result<void> started = sandbox.start_container(config.id);
    ASSERT_TRUE(started.ok()) << started.error().message();
  }

  static inline SystemClock clock_;
  static inline std::unique_ptr<os::TempDirectory> folder_;
  static inline std::unique_ptr<ImageStore> store_;
  static inline std::unique_ptr<Driver> driver_;
};

}  // namespace wherry::container
