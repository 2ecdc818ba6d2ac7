#include "os/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "os/file.h"
#include "os/namespace.h"
#include "os/poll.h"
#include "os/unix_socket.h"

namespace wherry::os {
namespace {

TEST(Process, RunGivesOutputAndCode) {
  RunResult result =
      run({.args = {"sh", "-c", "echo out; echo err >&2; exit 3"}}, std::chrono::seconds(5))
          .value();
  EXPECT_EQ(result.status.code, 3);
  EXPECT_EQ(result.output, "out\nerr\n");
}

TEST(Process, ADaemonHoldingThePipeDoesNotHoldRun) {
  RunResult result =
      run({.args = {"sh", "-c", "sleep 2 & echo done"}}, std::chrono::seconds(1)).value();
  EXPECT_EQ(result.output, "done\n");
}

TEST(Process, RunKillsAtTheLimit) {
  Result<RunResult> result = run({.args = {"sleep", "20"}}, std::chrono::milliseconds(20));
  ASSERT_FALSE(result.ok());
  EXPECT_TRUE(result.error().is(Code::kTimeout));
}

TEST(Process, SignalsCountAsShellsDo) {
  Process process = spawn({.args = {"sleep", "20"}}).value();
  EXPECT_TRUE(process.wait(std::chrono::milliseconds(1)).error().is(Code::kTimeout));
  ASSERT_TRUE(process.kill(SIGKILL).ok());
  ExitStatus status = process.wait(std::chrono::seconds(5)).value();
  EXPECT_EQ(status.code, 137);
  EXPECT_EQ(status.signal, SIGKILL);
}

TEST(Process, DescriptorsMaySwapNumbers) {
  Pipe first = make_pipe().value();
  Pipe second = make_pipe().value();
  SpawnOptions options;
  options.args = {"sh", "-c",
                  fmt::format("echo 1 >&{}; echo 2 >&{}", second.write.get(), first.write.get())};
  options.fds = {{first.write.get(), second.write.get()}, {second.write.get(), first.write.get()}};
  Process process = spawn(options).value();
  EXPECT_TRUE(process.wait(std::chrono::seconds(5)).value().ok());
  char byte = 0;
  ASSERT_EQ(::read(first.read.get(), &byte, 1), 1);
  EXPECT_EQ(byte, '1');
  ASSERT_EQ(::read(second.read.get(), &byte, 1), 1);
  EXPECT_EQ(byte, '2');
}

TEST(Process, MemfdRuns) {
  Fd program = make_memfd("true", read_file(find_program("true").value()).value()).value();
  SpawnOptions options;
  options.args = {"true"};
  options.path = "/proc/self/fd/" + std::to_string(program.get());
  Process process = spawn(options).value();
  EXPECT_TRUE(process.wait(std::chrono::seconds(5)).value().ok());
}

TEST(Process, StartTimeIsStable) {
  uint64_t first = process_start_time(getpid()).value();
  EXPECT_GT(first, 0u);
  EXPECT_EQ(process_start_time(getpid()).value(), first);
  EXPECT_TRUE(process_start_time(1 << 22 | 1).error().is(Code::kNotFound));
}

TEST(UnixSocket, CarriesMessagesAndDescriptorsOverLongPaths) {
  TempDirectory folder = TempDirectory::make().value();
  std::string deep = folder.path() + "/" + std::string(120, 'x');
  ASSERT_TRUE(make_directories(deep, 0700).ok());
  std::string path = deep + "/s.sock";
  EXPECT_TRUE(connect_unix(path, SocketKind::kSeqpacket).error().is(Code::kUnavailable));
  Fd listener = listen_unix(path, SocketKind::kSeqpacket, 4).value();
  Fd client = connect_unix(path, SocketKind::kSeqpacket).value();
  Fd server = accept_unix(listener.get()).value();
  Pipe pipe = make_pipe().value();
  ASSERT_TRUE(send_message(client.get(), "hello", {pipe.write.get()}).ok());
  Message message = receive_message(server.get(), std::chrono::seconds(1)).value();
  EXPECT_EQ(message.data, "hello");
  ASSERT_EQ(message.fds.size(), 1u);
  ASSERT_TRUE(write_all(message.fds[0].get(), "x").ok());
  char byte = 0;
  EXPECT_EQ(::read(pipe.read.get(), &byte, 1), 1);
  EXPECT_TRUE(
      receive_message(server.get(), std::chrono::milliseconds(1)).error().is(Code::kTimeout));
  client.reset();
  EXPECT_TRUE(receive_message(server.get(), std::chrono::seconds(1)).value().data.empty());
}

TEST(Poll, EventAndTimerDescriptors) {
  EventFd event = EventFd::open().value();
  EXPECT_FALSE(wait_for(event.fd(), EPOLLIN, std::chrono::milliseconds(0)).value());
  event.signal();
  EXPECT_TRUE(wait_for(event.fd(), EPOLLIN, std::chrono::milliseconds(0)).value());
  event.clear();
  Epoll epoll = Epoll::open().value();
  TimerFd timer = TimerFd::open().value();
  ASSERT_TRUE(epoll.add(timer.fd(), EPOLLIN, 7).ok());
  EXPECT_TRUE(epoll.wait(std::chrono::milliseconds(0)).value().empty());
  ASSERT_TRUE(timer.set(std::chrono::milliseconds(1)).ok());
  std::vector<Epoll::Event> events = epoll.wait(std::chrono::seconds(5)).value();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].tag, 7u);
}

}  // namespace
}  // namespace wherry::os
