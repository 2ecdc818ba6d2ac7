// Sandboxes and containers with the real runc.

#include <signal.h>

#include <thread>

#include "testbed.h"

namespace wherry::container {
namespace {

std::string read_to_end(int fd) {
  std::string out;
  char buffer[4096];
  while (true) {
    Result<bool> ready = os::wait_for(fd, POLLIN, std::chrono::seconds(10));
    if (!ready.ok() || !*ready) return out + "<timeout>";
    ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EAGAIN) continue;
    if (count <= 0) return out;
    out.append(buffer, static_cast<size_t>(count));
  }
}

bool ended(Session& session) {
  return os::wait_for(session.exit_fd(), POLLIN, std::chrono::seconds(10)).value();
}

TEST_F(ContainerTest, RunsAndLogsAndReportsTheExitCode) {
  std::unique_ptr<Sandbox> sandbox = driver_->create(sandbox_config("run")).value();
  run(*sandbox, container_config(
                    "run-1", "echo out; echo err >&2; hostname; echo $IMAGE; printf end; exit 7"));
  ContainerStatus status = wait_exit(*sandbox, "run-1");
  EXPECT_EQ(status.exit_code, 7);
  EXPECT_EQ(status.signal, 0);
  EXPECT_FALSE(status.oom_killed);
  EXPECT_GE(status.finished_at, status.started_at);
  std::string lines = lines_of("run-1");
  for (const char* line : {"stdout F out\n", "stderr F err\n", "stdout F pod-run\n",
                           "stdout F yes\n", "stdout P end\n"}) {
    EXPECT_NE(lines.find(line), std::string::npos) << line << " in " << lines;
  }
  EXPECT_EQ(log_of("run-1").find('Z'), 29u);
  ASSERT_TRUE(sandbox->remove_container("run-1").ok());
  EXPECT_TRUE(sandbox->containers().empty());
  Result<void> removed = sandbox->remove();
  ASSERT_TRUE(removed.ok()) << removed.error().message();
  EXPECT_FALSE(os::exists(sandbox->config().directory));
}

TEST_F(ContainerTest, LongLinesAreLoggedInParts) {
  std::unique_ptr<Sandbox> sandbox = driver_->create(sandbox_config("long")).value();
  run(*sandbox,
      container_config("long-1", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo after"));
  EXPECT_EQ(wait_exit(*sandbox, "long-1").exit_code, 0);
  std::string lines = lines_of("long-1");
  EXPECT_EQ(lines, "stdout P " + std::string(16384, 'x') + "\nstdout P " + std::string(16384, 'x') +
                       "\nstdout F " + std::string(40000 - 2 * 16384, 'x') + "\nstdout F after\n");
  ASSERT_TRUE(sandbox->remove().ok());
}

TEST_F(ContainerTest, ContainersOfAPodShareNetworkHostNameAndShm) {
  std::unique_ptr<Sandbox> sandbox = driver_->create(sandbox_config("share")).value();
  run(*sandbox, container_config("share-1", "echo shared > /dev/shm/x; sleep 100"));
  run(*sandbox, container_config("share-2",
                                 "while [ ! -s /dev/shm/x ]; do sleep 0.05; done; cat /dev/shm/x; "
                                 "ps | grep -c 'sleep 10[0]'; ip addr show lo | grep -c UP"));
  EXPECT_EQ(wait_exit(*sandbox, "share-2").exit_code, 0);
  // Its own pid namespace: the other's sleep is not seen.
  EXPECT_EQ(lines_of("share-2"), "stdout F shared\nstdout F 0\nstdout F 1\n");
  Result<os::Fd> ns = sandbox->network_namespace();
  EXPECT_TRUE(ns.ok());
  ASSERT_TRUE(sandbox->remove().ok());
}

TEST_F(ContainerTest, SharedProcessNamespace) {
  SandboxConfig config = sandbox_config("pids");
  config.share_process_namespace = true;
  std::unique_ptr<Sandbox> sandbox = driver_->create(config).value();
  run(*sandbox, container_config("pids-1", "sleep 1234 & sleep 100"));
  run(*sandbox, container_config("pids-2", "sleep 0.3; ps"));
  EXPECT_EQ(wait_exit(*sandbox, "pids-2").exit_code, 0);
  EXPECT_NE(lines_of("pids-2").find("sleep 1234"), std::string::npos) << lines_of("pids-2");
  ContainerStatus status =
      sandbox->stop_container("pids-1", SIGKILL, std::chrono::seconds(1), {}).value();
  EXPECT_EQ(status.exit_code, 137);
  run(*sandbox, container_config("pids-3", "ps"));
  EXPECT_EQ(wait_exit(*sandbox, "pids-3").exit_code, 0);
  EXPECT_EQ(lines_of("pids-3").find("sleep"), std::string::npos) << lines_of("pids-3");
  ASSERT_TRUE(sandbox->remove().ok());
}

TEST_F(ContainerTest, StopsWithTheSignalThenKills) {
  std::unique_ptr<Sandbox> sandbox = driver_->create(sandbox_config("stop")).value();
  run(*sandbox,
      container_config("stop-1", "trap 'echo bye; exit 3' TERM; while true; do sleep 0.05; done"));
  run(*sandbox, container_config("stop-2", "trap '' TERM; while true; do sleep 0.05; done"));
  // The traps must stand before the signal comes.
  ASSERT_TRUE(sandbox->exec_wait("stop-2", {"sleep", "0.3"}, std::chrono::seconds(10), {}).ok());
  Result<ContainerStatus> status =
      sandbox->stop_container("stop-1", 0, std::chrono::seconds(10), {});
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(status->exit_code, 3);
  EXPECT_EQ(lines_of("stop-1"), "stdout F bye\n");
  status = sandbox->stop_container("stop-2", 0, std::chrono::milliseconds(200), {});
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(status->exit_code, 137);
  EXPECT_EQ(status->signal, SIGKILL);
  ASSERT_TRUE(sandbox->remove().ok());
}

TEST_F(ContainerTest, ExecRunsInside) {
  std::unique_ptr<Sandbox> sandbox = driver_->create(sandbox_config("exec")).value();
  run(*sandbox, container_config("exec-1", "touch /tmp/mark; sleep 100"));
  Result<Sandbox::ExecResult> result = sandbox->exec_wait(
      "exec-1",
      {"sh", "-c", "while [ ! -e /tmp/mark ]; do sleep 0.05; done; echo out; echo err >&2; exit 4"},
      std::chrono::seconds(10), {});
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_EQ(result->exit_code, 4);
  EXPECT_NE(result->output.find("out\n"), std::string::npos);
  EXPECT_NE(result->output.find("err\n"), std::string::npos);
  result = sandbox->exec_wait("exec-1", {"sleep", "50"}, std::chrono::milliseconds(300), {});
  ASSERT_FALSE(result.ok());
  EXPECT_TRUE(result.error().is(Code::kTimeout));
  result = sandbox->exec_wait("exec-1", {"no-such-program"}, std::chrono::seconds(10), {});
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message().find("executable file not found in $PATH"), std::string::npos)
      << result.error().message();

  SessionOptions options;
  options.command = {"cat"};
  options.stdin_on = true;
  std::unique_ptr<Session> session = sandbox->exec("exec-1", options).value();
  ASSERT_TRUE(os::write_all(session->stdin_fd(), "through and back").ok());
  session->close_stdin();
  EXPECT_EQ(read_to_end(session->stdout_fd()), "through and back");
  ASSERT_TRUE(ended(*session));
  EXPECT_EQ(session->exit_code().value(), 0);

  options.command = {"sh", "-c",
                     "until stty size 2> /dev/null | grep 24; do sleep 0.05; done; exit 5"};
  options.tty = true;
  session = sandbox->exec("exec-1", options).value();
  session->resize(80, 24);
  std::string output = read_to_end(session->stdout_fd());
  EXPECT_EQ(output, "24 80\r\n");
  ASSERT_TRUE(ended(*session));
  EXPECT_EQ(session->exit_code().value(), 5);
  ASSERT_TRUE(sandbox->remove().ok());
}

TEST_F(ContainerTest, AttachGetsOutputAndGivesInput) {
  std::unique_ptr<Sandbox> sandbox = driver_->create(sandbox_config("attach")).value();
  ContainerConfig config = container_config("attach-1", "cat; echo done; exit 9");
  config.stdin_open = true;
  config.stdin_once = true;
  run(*sandbox, config);
  SessionOptions options;
  options.stdin_on = true;
  std::unique_ptr<Session> session = sandbox->attach("attach-1", options).value();
  ASSERT_TRUE(os::write_all(session->stdin_fd(), "hello\n").ok());
  session->close_stdin();
  EXPECT_EQ(read_to_end(session->stdout_fd()), "hello\ndone\n");
  ASSERT_TRUE(ended(*session));
  EXPECT_EQ(session->exit_code().value(), 9);
  EXPECT_EQ(lines_of("attach-1"), "stdout F hello\nstdout F done\n");

  config = container_config("attach-2", "read line; echo got $line; sleep 0.1");
  config.stdin_open = true;
  config.tty = true;
  run(*sandbox, config);
  session = sandbox->attach("attach-2", options).value();
  session->resize(100, 30);
  ASSERT_TRUE(os::write_all(session->stdin_fd(), "typed\r").ok());
  EXPECT_NE(read_to_end(session->stdout_fd()).find("got typed\r\n"), std::string::npos);
  ASSERT_TRUE(ended(*session));
  EXPECT_EQ(session->exit_code().value(), 0);
  ASSERT_TRUE(sandbox->remove().ok());
}

// A client that reads slowly loses nothing, even when the container has ended long ago.
TEST_F(ContainerTest, SlowAttachedClientGetsEverything) {
  std::unique_ptr<Sandbox> sandbox = driver_->create(sandbox_config("slow")).value();
  ContainerConfig config = container_config("slow-1", "read line; seq 1 100000");
  config.stdin_open = true;
  run(*sandbox, config);
  SessionOptions options;
  options.stdin_on = true;
  std::unique_ptr<Session> session = sandbox->attach("slow-1", options).value();
  ASSERT_TRUE(os::write_all(session->stdin_fd(), "go\n").ok());
  ::poll(nullptr, 0, 300);
  std::string output = read_to_end(session->stdout_fd());
  std::string expected;
  for (int i = 1; i <= 100000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(output.size(), expected.size());
  EXPECT_TRUE(output == expected);
  ASSERT_TRUE(ended(*session));
  EXPECT_EQ(session->exit_code().value(), 0);
  ASSERT_TRUE(sandbox->remove().ok());
}

TEST_F(ContainerTest, AnotherServerTakesOver) {
  SandboxConfig config = sandbox_config("adopt");
  std::unique_ptr<Sandbox> sandbox = driver_->create(config).value();
  pid_t pid = sandbox->pid();
  run(*sandbox, container_config("adopt-1", "echo first; sleep 0.5; echo second; exit 6"));
  run(*sandbox, container_config("adopt-2", "sleep 100"));
  run(*sandbox, container_config("adopt-3", "exit 2"));
  wait_exit(*sandbox, "adopt-3");
  sandbox.reset();

  std::unique_ptr<Driver> second = open();
  Result<std::unique_ptr<Sandbox>> adopted = second->adopt(config.directory);
  ASSERT_TRUE(adopted.ok()) << adopted.error().message();
  sandbox = std::move(adopted).value();
  EXPECT_TRUE(sandbox->alive());
  EXPECT_EQ(sandbox->pid(), pid);
  EXPECT_EQ(sandbox->config().hostname, "pod-adopt");
  EXPECT_EQ(sandbox->status("adopt-2").value().state, ContainerState::kRunning);
  EXPECT_EQ(sandbox->status("adopt-3").value().exit_code, 2);
  EXPECT_EQ(wait_exit(*sandbox, "adopt-1").exit_code, 6);
  EXPECT_EQ(lines_of("adopt-1"), "stdout F first\nstdout F second\n");
  ASSERT_TRUE(sandbox->remove().ok());
  EXPECT_TRUE(second->adopt(config.directory).error().is(Code::kNotFound));
}

TEST_F(ContainerTest, ASandboxWhoseMakingWasCutShortIsDiscarded) {
  SandboxConfig config = sandbox_config("cut");
  std::unique_ptr<Sandbox> sandbox = driver_->create(config).value();
  os::Fd shim = os::open_pidfd(sandbox->pid()).value();
  sandbox.reset();
  ASSERT_TRUE(os::remove_file(config.directory + "/sandbox.json").ok());
  EXPECT_TRUE(driver_->adopt(config.directory).error().is(Code::kNotFound));
  EXPECT_TRUE(os::wait_for(shim.get(), POLLIN, std::chrono::seconds(5)).value());
  EXPECT_FALSE(os::exists(config.directory));
  sandbox = driver_->create(config).value();
  ASSERT_TRUE(sandbox->remove().ok());
}

TEST_F(ContainerTest, ADeadShimIsNoticedAndCleanedUp) {
  SandboxConfig config = sandbox_config("dead");
  std::unique_ptr<Sandbox> sandbox = driver_->create(config).value();
  run(*sandbox, container_config("dead-1", "sleep 100"));
  int pid = sandbox->status("dead-1").value().pid;
  ASSERT_EQ(::kill(sandbox->pid(), SIGKILL), 0);
  ASSERT_TRUE(os::wait_for(sandbox->event_fd(), POLLIN, std::chrono::seconds(5)).value());
  std::vector<SandboxEvent> events = sandbox->read_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, SandboxEvent::Kind::kSandboxDied);
  EXPECT_FALSE(sandbox->alive());
  EXPECT_EQ(sandbox->status("dead-1").value().state, ContainerState::kExited);
  sandbox.reset();
  sandbox = driver_->adopt(config.directory).value();
  EXPECT_FALSE(sandbox->alive());
  Result<void> removed = sandbox->remove();
  ASSERT_TRUE(removed.ok()) << removed.error().message();
  EXPECT_TRUE(::kill(pid, 0) != 0 ||
              os::read_file("/proc/" + std::to_string(pid) + "/stat").value_or(") Z").find(") Z") !=
                  std::string::npos);
}

TEST_F(ContainerTest, WhatCannotStartSaysWhy) {
  std::unique_ptr<Sandbox> sandbox = driver_->create(sandbox_config("bad")).value();
  ContainerConfig config = container_config("bad-1", "");
  config.command = {"/no/such/program"};
  Result<void> created = sandbox->create_container(config);
  ASSERT_FALSE(created.ok());
  EXPECT_NE(created.error().message().find("no such file or directory"), std::string::npos)
      << created.error().message();
  EXPECT_EQ(log_of("bad-1"), "");
  config = container_config("bad-2", "true");
  config.user = "nobody-knows";
  created = sandbox->create_container(config);
  ASSERT_FALSE(created.ok());
  EXPECT_NE(created.error().message().find("unable to find user nobody-knows"), std::string::npos);
  EXPECT_TRUE(sandbox->containers().empty());
  ASSERT_TRUE(sandbox->remove().ok());
}

TEST_F(ContainerTest, UsersAndRights) {
  std::unique_ptr<Sandbox> sandbox = driver_->create(sandbox_config("user")).value();
  ContainerConfig config =
      container_config("user-1",
                       "id; echo $HOME; grep CapEff /proc/self/status; grep -E "
                       "'Seccomp:|NoNewPrivs' /proc/self/status; touch /x || true");
  config.user = "ada";
  config.supplemental_groups = {2000};
  config.security.read_only_root = true;
  config.security.no_new_privileges = true;
  config.security.drop_capabilities = {"ALL"};
  run(*sandbox, config);
  EXPECT_EQ(wait_exit(*sandbox, "user-1").exit_code, 0);
  std::string lines = lines_of("user-1");
  for (const char* part :
       {"uid=1001(ada) gid=1002(ada) groups=1002(ada),1500(extra),2000", "stdout F /home\n",
        "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Read-only file system"}) {
    EXPECT_NE(lines.find(part), std::string::npos) << part << " in " << lines;
  }
  ASSERT_TRUE(sandbox->remove().ok());
}

TEST_F(ContainerTest, MemoryLimitKillsAndSaysSo) {
  std::unique_ptr<Sandbox> sandbox = driver_->create(sandbox_config("oom")).value();
  ContainerConfig config =
      container_config("oom-1", "dd if=/dev/zero of=/dev/shm/x bs=1M count=60; sleep 100");
  config.limits.memory_bytes = 20 << 20;
  config.limits.cpu_shares = 100;
  config.limits.cpu_quota_us = 50000;
  config.limits.pids = 50;
  config.command = {"dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=60"};
  run(*sandbox, config);
  ContainerStatus status = wait_exit(*sandbox, "oom-1");
  EXPECT_EQ(status.exit_code, 137);
  EXPECT_TRUE(status.oom_killed);
  ASSERT_TRUE(sandbox->remove().ok());
}

TEST_F(ContainerTest, MountsUsageLogsAndSysctls) {
  SandboxConfig pod = sandbox_config("mounts");
  pod.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "80"}};
  std::unique_ptr<Sandbox> sandbox = driver_->create(pod).value();
  std::string volume = folder_->path() + "/volume";
  std::string memory = folder_->path() + "/memory";
  for (const std::string& path : {volume, memory})
    ASSERT_TRUE(os::make_directories(path, 0777).ok());
  ASSERT_TRUE(os::write_file_plain(volume + "/a", "content").ok());
  ASSERT_TRUE(sandbox->mount_tmpfs(memory, 1 << 20, 0777).ok());
  ContainerConfig config =
      container_config("mounts-1",
                       "cat /data/a; touch /data/b || echo read-only; df /mem | grep -c tmpfs; cat "
                       "/proc/sys/net/ipv4/ip_unprivileged_port_start; echo x > /y; sleep 100");
  config.mounts = {{.source = volume, .target = "/data", .read_only = true},
                   {.source = memory, .target = "/mem"}};
  run(*sandbox, config);
  ASSERT_TRUE(sandbox
                  ->exec_wait("mounts-1", {"sh", "-c", "while [ ! -e /y ]; do sleep 0.05; done"},
                              std::chrono::seconds(10), {})
                  .ok());
  std::string lines = lines_of("mounts-1");
  EXPECT_NE(lines.find("stdout F contentread-only\n"), std::string::npos) << lines;
  EXPECT_NE(lines.find("stdout F 1\n"), std::string::npos) << lines;
  EXPECT_NE(lines.find("stdout F 80\n"), std::string::npos) << lines;
  EXPECT_GT(sandbox->usage("mounts-1").value().memory_bytes, 0u);
  EXPECT_GT(sandbox->pod_usage().value().cpu_ns, 0u);
  EXPECT_GT(sandbox->writable_bytes("mounts-1").value(), 0u);

  std::string log = folder_->path() + "/logs/mounts-1.log";
  ASSERT_TRUE(os::rename_path(log, log + ".1").ok());
  ASSERT_TRUE(sandbox->reopen_log("mounts-1").ok());
  EXPECT_TRUE(os::exists(log));
  ASSERT_TRUE(sandbox->remove().ok());
  EXPECT_FALSE(os::exists(driver_->cgroups().folder("memory", pod.cgroup)));
}

// Layers without entries for the folders of their files, as some image builders write them.
TEST_F(ContainerTest, LayersWithImpliedFolders) {
  std::string base, tools = busybox_layer();
  for (const char* name : {"usr/", "usr/sbin/"}) append_tar(base, tar_folder(name, 0755), "");
  append_tar(base, tar_link("sbin", "usr/sbin"), "");
  append_tar(base, tar_folder("private/", 0700), "");
  finish_tar(base);
  std::string own;
  append_tar(own, tar_file("sbin/own", 0755), "own");
  append_tar(own, tar_file("tmp/own", 0644), "own");
  append_tar(own, tar_file("private/own", 0644), "own");
  finish_tar(own);
  std::string file = folder_->path() + "/implied.tar";
  for (const char* name : {"implied:one", "implied:two"}) {  // The second finds it all made.
    std::string archive = docker_archive(name, {base, tools, own}, "{}");
    ASSERT_TRUE(os::write_file_plain(file, archive).ok());
    Result<std::vector<Image>> images = store_->import_file(file);
    ASSERT_TRUE(images.ok()) << images.error().message();
  }
  // Alone, the same layer is what its archive says.
  ASSERT_TRUE(os::write_file_plain(file, docker_archive("implied:alone", {own}, "{}")).ok());
  ASSERT_TRUE(store_->import_file(file).ok());
  EXPECT_TRUE(os::exists(store_->find("implied:alone")->layers[0] + "/sbin/own"));

  std::unique_ptr<Sandbox> sandbox = driver_->create(sandbox_config("implied")).value();
  ContainerConfig config = container_config(
      "implied-1", "cat /usr/sbin/own /sbin/own /private/own; echo; ls -ld /sbin /tmp /private");
  config.image = store_->find("implied:two").value();
  run(*sandbox, config);
  EXPECT_EQ(wait_exit(*sandbox, "implied-1").exit_code, 0);
  std::string lines = lines_of("implied-1");
  for (const char* text : {"ownownown", "drwxrwxrwt", "drwx------", "/sbin -> usr/sbin"}) {
    EXPECT_NE(lines.find(text), std::string::npos) << text << " in " << lines;
  }
  ASSERT_TRUE(sandbox->remove().ok());
}

TEST_F(ContainerTest, HostNamespaces) {
  SandboxConfig pod = sandbox_config("host");
  pod.host_network = pod.host_pid = pod.host_ipc = true;
  std::unique_ptr<Sandbox> sandbox = driver_->create(pod).value();
  ContainerConfig config =
      container_config("host-1", "echo $$; ls -d /sys/class/net/lo; sleep 200 & sleep 0.1");
  run(*sandbox, config);
  EXPECT_EQ(wait_exit(*sandbox, "host-1").exit_code, 0);
  EXPECT_EQ(lines_of("host-1"), "stdout F " +
                                    std::to_string(sandbox->status("host-1").value().pid) +
                                    "\nstdout F /sys/class/net/lo\n");
  config =
      container_config("host-2", "ls /dev | grep -c . ; mount -t tmpfs x /tmp && echo mounted");
  config.security.privileged = true;
  run(*sandbox, config);
  EXPECT_EQ(wait_exit(*sandbox, "host-2").exit_code, 0);
  EXPECT_NE(lines_of("host-2").find("mounted"), std::string::npos) << lines_of("host-2");
  ASSERT_TRUE(sandbox->remove().ok());
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
