#include "container/bundle.h"

#include <gtest/gtest.h>
#include <seccomp.h>
#include <signal.h>

#include "container/seccomp.h"
#include "json/json.h"
#include "os/file.h"

namespace wherry::container {
namespace {

class BundleTest : public ::testing::Test {
 protected:
  BundleTest() {
    std::string layer = folder_.path() + "/layer";
    CHECK(os::make_directories(layer + "/etc", 0755).ok());
    CHECK(os::write_file_plain(layer + "/etc/passwd",
                               "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n")
              .ok());
    CHECK(os::write_file_plain(layer + "/etc/group", "web:x:34:\nlogs:x:50:web,other\n").ok());
    config_.id = "c1";
    config_.image.layers = {layer, folder_.path()};
    config_.image.config.entrypoint = {"/entry"};
    config_.image.config.command = {"arg"};
    config_.image.config.env = {"A=image", "B=image", "PATH=/own"};
    sandbox_.hostname = "host";
    context_.container_directory = "/pods/c1";
    context_.shm_directory = "/pods/shm";
    context_.sandbox_pid = 77;
    context_.cgroup = "/kubepods/pod1/c1";
  }

  json::Value build() {
    Result<std::string> text = build_bundle(config_, sandbox_, context_);
    if (!text.ok()) {
      ADD_FAILURE() << text.error().message();
      return {};
    }
    document_ = json::Document::parse(*text).value();
    return document_.root();
  }
  std::string error() {
    Result<std::string> text = build_bundle(config_, sandbox_, context_);
    return text.ok() ? "" : text.error().message();
  }
  static std::string mount_options(json::Value root, std::string_view target) {
    for (json::Value mount : root["mounts"].items()) {
      if (mount["destination"].as_string() == target) return mount["options"].dump();
    }
    return "";
  }

  os::TempDirectory folder_ = os::TempDirectory::make().value();
  ContainerConfig config_;
  SandboxConfig sandbox_;
  BundleContext context_;
  json::Document document_;
};

TEST_F(BundleTest, CommandAndEnvironment) {
  json::Value root = build();
  EXPECT_EQ(root["process"]["args"].dump(), R"(["/entry","arg"])");
  config_.args = {"other"};
  config_.env = {"B=pod", "C=pod"};
  root = build();
  EXPECT_EQ(root["process"]["args"].dump(), R"(["/entry","other"])");
  EXPECT_EQ(root["process"]["env"].dump(),
            R"(["PATH=/own","HOSTNAME=host","A=image","B=pod","C=pod","HOME=/root"])");
  config_.command = {"/cmd"};
  config_.args = {};
  root = build();
  EXPECT_EQ(root["process"]["args"].dump(), R"(["/cmd"])");
  config_.command = {};
  config_.image.config.entrypoint = {};
  config_.image.config.command = {};
  EXPECT_EQ(error(), "no command specified");
}

TEST_F(BundleTest, TheRootIsTheFirstMount) {
  json::Value root = build();
  EXPECT_EQ(root["mounts"].at(0)["destination"].as_string(), "/");
  EXPECT_EQ(mount_options(root, "/"),
            "[\"lowerdir=" + folder_.path() + ":" + folder_.path() +
                "/layer\",\"upperdir=/pods/c1/upper\",\"workdir=/pods/c1/work\"]");
  context_.overlay_as_mount = false;
  EXPECT_EQ(build()["mounts"].at(0)["destination"].as_string(), "/proc");
}

TEST_F(BundleTest, Users) {
  auto user = [&](const std::string& text) {
    config_.user = text;
    json::Value value = build()["process"]["user"];
    return value.dump();
  };
  EXPECT_EQ(user(""), R"({"uid":0,"gid":0,"additionalGids":[0]})");
  EXPECT_EQ(user("web"), R"({"uid":33,"gid":34,"additionalGids":[34,50]})");
  EXPECT_EQ(user("33"), R"({"uid":33,"gid":34,"additionalGids":[34,50]})");
  EXPECT_EQ(user("1000:logs"), R"({"uid":1000,"gid":50,"additionalGids":[50]})");
  config_.group = 7;
  config_.supplemental_groups = {8};
  EXPECT_EQ(user("web"), R"({"uid":33,"gid":7,"additionalGids":[7,8,50]})");
  config_.user = "ghost";
  EXPECT_EQ(error(), "unable to find user ghost: no matching entries in passwd file");
}

TEST_F(BundleTest, NamespacesOfTheSandbox) {
  EXPECT_EQ(
      build()["linux"]["namespaces"].dump(),
      R"([{"type":"mount"},{"type":"network","path":"/proc/77/ns/net"},{"type":"uts","path":"/proc/77/ns/uts"},)"
      R"({"type":"ipc","path":"/proc/77/ns/ipc"},{"type":"pid"}])");
  context_.shared_pid_init = 78;
  EXPECT_NE(build()["linux"]["namespaces"].dump().find("/proc/78/ns/pid"), std::string::npos);
  sandbox_.host_network = sandbox_.host_ipc = sandbox_.host_pid = true;
  EXPECT_EQ(build()["linux"]["namespaces"].dump(), R"([{"type":"mount"}])");
}

TEST_F(BundleTest, AnImageIsMountedForReadingOnly) {
  config_.mounts = {{.source = "", .target = "/a", .layers = {"/l/2", "/l/1"}},
                    {.source = "", .target = "/b", .layers = {"/l/1/part"}}};
  json::Value root = build();
  EXPECT_EQ(mount_options(root, "/a"), R"(["ro","noexec","nosuid","nodev","lowerdir=/l/2:/l/1"])");
  EXPECT_EQ(mount_options(root, "/b"), R"(["rbind","rprivate","ro","noexec","nosuid","nodev"])");
}

TEST_F(BundleTest, MountsComeInOrderOfDepth) {
  config_.mounts = {{.source = "/h/b", .target = "/a/b"},
                    {.source = "/h/a", .target = "/a", .read_only = true}};
  json::Value root = build();
  size_t count = root["mounts"].size();
  EXPECT_EQ(root["mounts"].at(count - 2)["destination"].as_string(), "/a");
  EXPECT_EQ(mount_options(root, "/a"), R"(["rbind","rprivate","ro"])");
  EXPECT_EQ(mount_options(root, "/a/b"), R"(["rbind","rprivate","rw"])");
  config_.mounts = {{.source = "/h", .target = "/dev/shm"}};
  EXPECT_EQ(mount_options(build(), "/dev/shm"), R"(["rbind","rprivate","rw"])");
}

TEST_F(BundleTest, LimitsAndDevices) {
  config_.limits.memory_bytes = 1000000;
  config_.limits.cpu_shares = 512;
  config_.limits.cpu_quota_us = 20000;
  config_.limits.pids = 9;
  EXPECT_EQ(
      build()["linux"]["resources"].dump(),
      R"({"devices":[{"allow":false,"access":"rwm"}],"cpu":{"shares":512,"quota":20000,"period":100000},)"
      R"("memory":{"limit":1000000,"swap":1000000},"pids":{"limit":9}})");
  config_.oom_score_adj = -997;
  context_.oom_score_adj_min = 0;
  EXPECT_EQ(build()["process"]["oomScoreAdj"].as_int(), 0);
}

TEST_F(BundleTest, PrivilegedSeesMore) {
  config_.security.privileged = true;
  json::Value root = build();
  EXPECT_FALSE(root["linux"]["seccomp"]);
  EXPECT_FALSE(root["linux"]["maskedPaths"]);
  EXPECT_EQ(root["linux"]["resources"]["devices"].at(0)["allow"].as_bool(), true);
  EXPECT_NE(mount_options(root, "/sys").find("\"rw\""), std::string::npos);
}

TEST_F(BundleTest, ExecTakesTheContainersProcess) {
  config_.env = {"C=pod"};
  std::string text = build_bundle(config_, sandbox_, context_).value();
  json::Document process =
      json::Document::parse(exec_process(text, {"ls", "-l"}, true).value()).value();
  EXPECT_EQ(process.root()["args"].dump(), R"(["ls","-l"])");
  EXPECT_TRUE(process.root()["terminal"].as_bool());
  EXPECT_NE(process.root()["env"].dump().find("TERM=xterm"), std::string::npos);
  EXPECT_NE(process.root()["env"].dump().find("C=pod"), std::string::npos);
}

TEST(Capabilities, AddAndDrop) {
  Security security;
  std::set<std::string> base = capability_set(security).value();
  EXPECT_EQ(base.count("CAP_SYS_ADMIN"), 0u);
  security.drop_capabilities = {"ALL"};
  EXPECT_TRUE(capability_set(security)->empty());
  security.add_capabilities = {"net_bind_service"};
  EXPECT_EQ(capability_set(security).value(), std::set<std::string>{"CAP_NET_BIND_SERVICE"});
  security.add_capabilities = {"NO_SUCH"};
  EXPECT_TRUE(capability_set(security).error().is(Code::kInvalid));
}

TEST(Signals, ByNameAndNumber) {
  EXPECT_EQ(parse_signal("SIGTERM").value(), SIGTERM);
  EXPECT_EQ(parse_signal("quit").value(), SIGQUIT);
  EXPECT_EQ(parse_signal("9").value(), SIGKILL);
  EXPECT_EQ(parse_signal("SIGRTMIN+3").value(), 37);
  EXPECT_FALSE(parse_signal("SIGNONSENSE").ok());
  EXPECT_FALSE(parse_signal("0").ok());
  EXPECT_FALSE(parse_signal("RTMIN+99").ok());
}

TEST(Seccomp, TheDefaultIsAcceptedByTheLibraryForThisMachine) {
  json::Draft draft;
  default_seccomp(draft.root(), {"CAP_SYS_CHROOT"});
  std::string text = draft.dump();
  json::Document document = json::Document::parse(text).value();
  EXPECT_EQ(document.root()["architectures"].size(), 1u);
  Result<void> compiled = check_seccomp(document.root());
  EXPECT_TRUE(compiled.ok()) << compiled.error().message();
  size_t names = 0;
  std::set<std::string> seen;
  for (json::Value rule : document.root()["syscalls"].items()) {
    for (json::Value name : rule["names"].items()) {
      int number = seccomp_syscall_resolve_name(std::string(name.as_string()).c_str());
      EXPECT_GE(number, 0) << name.as_string();
      if (!rule["args"]) {
        EXPECT_TRUE(seen.insert(std::string(name.as_string())).second)
            << name.as_string() << " twice";
      }
      ++names;
    }
  }
  EXPECT_GT(names, 250u);
  for (const char* must :
       {"read", "execve", "chroot", "epoll_pwait2", "clone3", "socket", "futex"}) {
    EXPECT_NE(text.find(std::string("\"") + must + "\""), std::string::npos) << must;
  }
  for (const char* never : {"mount", "keyctl", "bpf", "reboot", "init_module", "userfaultfd",
                            "io_uring_setup", "setns", "unshare"}) {
    EXPECT_EQ(text.find(std::string("\"") + never + "\""), std::string::npos) << never;
  }
}

TEST(Seccomp, LocalhostProfiles) {
  json::Draft draft;
  std::string profile = R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
    {"names":["read"],"action":"SCMP_ACT_ALLOW"},
    {"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
    {"names":["write"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_ADMIN"]}}]})";
  ASSERT_TRUE(load_seccomp(draft.root(), profile, {}).ok());
  EXPECT_EQ(
      draft.root()["syscalls"].dump(),
      R"([{"names":["read"],"action":"SCMP_ACT_ALLOW"},{"names":["write"],"action":"SCMP_ACT_ALLOW"}])");
  json::Draft other;
  EXPECT_FALSE(load_seccomp(other.root(), "{}", {}).ok());
  EXPECT_FALSE(load_seccomp(other.root(), "nonsense", {}).ok());
}

TEST(Seccomp, RefusesWhatDoesNotCompile) {
  auto problem = [](const std::string& rules) {
    json::Draft draft;
    Result<void> loaded = load_seccomp(
        draft.root(), R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[)" + rules + "]}", {});
    return loaded.ok() ? std::string("none") : loaded.error().message();
  };
  EXPECT_EQ(problem(R"({"names":["read"],"action":"SCMP_ACT_PERHAPS"})"),
            "seccomp profile: unknown action \"SCMP_ACT_PERHAPS\"");
  EXPECT_EQ(problem(R"({"names":["read"],"action":"SCMP_ACT_ALLOW",
                        "args":[{"index":0,"value":1,"op":"SCMP_CMP_LIKE"}]})"),
            "seccomp profile: unknown operator \"SCMP_CMP_LIKE\"");
  EXPECT_EQ(problem(R"({"names":["read"],"action":"SCMP_ACT_ALLOW",
                        "args":[{"index":9,"value":1,"op":"SCMP_CMP_EQ"}]})"),
            "seccomp profile: the rule for \"read\" does not compile: Invalid argument");
  EXPECT_EQ(problem(R"({"names":["no_such_call"],"action":"SCMP_ACT_ALLOW"},
                       {"names":["read"],"action":"SCMP_ACT_ERRNO"})"),
            "none");
}

}  // namespace
}  // namespace wherry::container
