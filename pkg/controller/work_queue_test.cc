#include "controller/work_queue.h"

#include <gtest/gtest.h>

namespace wherry::controller {
namespace {

const ObjectKey kA{"ns", "a"};
const ObjectKey kB{"ns", "b"};

TEST(WorkQueue, EqualKeysCollapse) {
  FakeClock clock;
  WorkQueue queue(clock);
  queue.add(kA);
  queue.add(kB);
  queue.add(kA);
  EXPECT_EQ(queue.try_get(), kA);
  EXPECT_EQ(queue.try_get(), kB);
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

TEST(WorkQueue, AKeyInProgressRunsAgainAfterwardsAndNeverTwiceAtOnce) {
  FakeClock clock;
  WorkQueue queue(clock);
  queue.add(kA);
  ASSERT_EQ(queue.try_get(), kA);
  queue.add(kA);
  EXPECT_EQ(queue.try_get(), std::nullopt);
  queue.done(kA);
  EXPECT_EQ(queue.try_get(), kA);
  queue.done(kA);
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

TEST(WorkQueue, FailedKeysBackOffAndForgetClearsIt) {
  FakeClock clock;
  WorkQueue queue(clock);
  auto delay = [&] {
    queue.add_failed(kA);
    Duration wait = *queue.next_due() - clock.monotonic();
    clock.advance(wait);
    EXPECT_EQ(queue.try_get(), kA);
    queue.done(kA);
    return wait;
  };
  EXPECT_EQ(delay(), std::chrono::milliseconds(5));
  EXPECT_EQ(delay(), std::chrono::milliseconds(10));
  EXPECT_EQ(delay(), std::chrono::milliseconds(20));
  queue.forget(kA);
  EXPECT_EQ(delay(), std::chrono::milliseconds(5));
}

TEST(WorkQueue, ForeverIsNotNow) {
  FakeClock clock;
  WorkQueue queue(clock);
  queue.add_after(kA, Duration::max());
  ASSERT_TRUE(queue.next_due());
  EXPECT_GT(*queue.next_due(), clock.monotonic());
}

TEST(WorkQueue, TheEarlierOfTwoDelaysCounts) {
  FakeClock clock;
  WorkQueue queue(clock);
  queue.add_after(kA, std::chrono::seconds(10));
  queue.add_after(kA, std::chrono::seconds(2));
  queue.add_after(kA, std::chrono::seconds(30));
  clock.advance(std::chrono::seconds(2));
  EXPECT_EQ(queue.try_get(), kA);
  queue.done(kA);
  clock.advance(std::chrono::seconds(60));
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

}  // namespace
}  // namespace wherry::controller
