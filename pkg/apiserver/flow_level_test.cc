#include "apiserver/flow_level.h"

#include <gtest/gtest.h>

#include <thread>

namespace wherry::apiserver {
namespace {

struct Levels {
  explicit Levels(std::vector<FlowLimits> limits) {
    auto list = std::make_shared<std::vector<std::shared_ptr<FlowLevel>>>();
    for (size_t i = 0; i < limits.size(); ++i) list->push_back(std::make_shared<FlowLevel>(clock));
    all = list;
    for (size_t i = 0; i < limits.size(); ++i) (*all)[i]->configure(limits[i], all);
  }
  FlowLevel& operator[](size_t at) const { return *(*all)[at]; }
  FakeClock clock;
  FlowLevelList all;
};

FlowLimits queuing(unsigned seats, unsigned length = 50) {
  return {.seats = seats, .queues_up = true, .queues = 16, .hand_size = 2, .queue_length = length};
}

TEST(FlowLevel, SeatsAreTakenAndGivenBack) {
  Levels levels({queuing(3)});
  FlowLevel& level = levels[0];
  std::vector<SeatPtr> seats;
  for (int i = 0; i < 3; ++i) seats.push_back(level.enter(1, 1).seat);
  EXPECT_NE(seats[2], nullptr);
  EXPECT_EQ(level.in_use(), 3U);
  FlowLevel::Entry late = level.enter(1, 1);
  EXPECT_EQ(late.seat, nullptr);
  ASSERT_NE(late.turn, nullptr);
  EXPECT_EQ(level.waiting(), 1U);
  EXPECT_FALSE(late.turn->granted());
  seats.pop_back();
  EXPECT_TRUE(late.turn->granted());
  EXPECT_EQ(level.in_use(), 3U);
  EXPECT_EQ(level.waiting(), 0U);
  seats.clear();
  EXPECT_NE(late.turn->take_seat(), nullptr);
  EXPECT_EQ(level.in_use(), 0U);
}

TEST(FlowLevel, RefusesWithoutQueues) {
  Levels levels({FlowLimits{.seats = 1}});
  SeatPtr seat = levels[0].enter(1, 1).seat;
  FlowLevel::Entry refused = levels[0].enter(1, 1);
  EXPECT_EQ(refused.seat, nullptr);
  EXPECT_EQ(refused.turn, nullptr);
  seat.reset();
  EXPECT_NE(levels[0].enter(1, 1).seat, nullptr);
}

TEST(FlowLevel, AFullQueueRefusesUnlessClientsHaveLeft) {
  Levels levels(
      {FlowLimits{.seats = 1, .queues_up = true, .queues = 1, .hand_size = 1, .queue_length = 2}});
  SeatPtr seat = levels[0].enter(1, 1).seat;
  FlowLevel::Entry one = levels[0].enter(1, 1);
  FlowLevel::Entry two = levels[0].enter(1, 1);
  EXPECT_EQ(levels[0].enter(1, 1).turn, nullptr);
  one.turn.reset();
  EXPECT_NE(levels[0].enter(1, 1).turn, nullptr);
  EXPECT_FALSE(two.turn->granted());
  seat.reset();  // Those that left are passed over.
  EXPECT_TRUE(two.turn->granted());
}

TEST(FlowLevel, AWaiterThatLeavesWithItsSeatGivesItBack) {
  Levels levels(
      {FlowLimits{.seats = 1, .queues_up = true, .queues = 1, .hand_size = 1, .queue_length = 5}});
  SeatPtr seat = levels[0].enter(1, 1).seat;
  FlowLevel::Entry one = levels[0].enter(1, 1);
  FlowLevel::Entry two = levels[0].enter(2, 1);
  seat.reset();
  ASSERT_TRUE(one.turn->granted());
  one.turn.reset();
  EXPECT_TRUE(two.turn->granted());
}

TEST(FlowLevel, BorrowsWhatOthersLendAndDoNotUse) {
  FlowLimits lender = queuing(4);
  lender.lendable = 2;
  Levels levels({queuing(1), lender, queuing(1)});
  std::vector<SeatPtr> seats;
  for (int i = 0; i < 3; ++i) seats.push_back(levels[0].enter(1, 1).seat);
  EXPECT_NE(seats[2], nullptr);
  EXPECT_EQ(levels[0].enter(1, 1).seat, nullptr);
  // The third level has its own seat, and nothing is left to lend to it.
  SeatPtr third = levels[2].enter(1, 1).seat;
  EXPECT_NE(third, nullptr);
  EXPECT_EQ(levels[2].enter(1, 1).seat, nullptr);
  // The lender's own seats are its own at once.
  for (int i = 0; i < 4; ++i) seats.push_back(levels[1].enter(1, 1).seat);
  EXPECT_NE(seats.back(), nullptr);
}

TEST(FlowLevel, BorrowingHasALimit) {
  FlowLimits lender = queuing(4);
  lender.lendable = 4;
  FlowLimits modest = queuing(1);
  modest.borrowable = 1;
  Levels levels({modest, lender});
  SeatPtr own = levels[0].enter(1, 1).seat;
  SeatPtr lent = levels[0].enter(1, 1).seat;
  EXPECT_NE(lent, nullptr);
  EXPECT_EQ(levels[0].enter(1, 1).seat, nullptr);
}

TEST(FlowLevel, AWideRequestRunsAlone) {
  Levels levels({queuing(2)});
  SeatPtr wide = levels[0].enter(1, 10).seat;
  EXPECT_NE(wide, nullptr);
  FlowLevel::Entry small = levels[0].enter(2, 1);
  EXPECT_EQ(small.seat, nullptr);
  wide.reset();
  EXPECT_TRUE(small.turn->granted());
}

// A client that fills the queues of its hand does not stand in front of another one.
TEST(FlowLevel, AQuietFlowDoesNotWaitForALoudOne) {
  Levels levels(
      {{.seats = 2, .queues_up = true, .queues = 128, .hand_size = 6, .queue_length = 50}});
  FlowLevel& level = levels[0];
  constexpr uint64_t kLoud = 0x9e3779b97f4a7c15ULL;
  constexpr uint64_t kQuiet = 0xbf58476d1ce4e5b9ULL;
  std::vector<SeatPtr> running;
  for (int i = 0; i < 2; ++i) running.push_back(level.enter(kLoud, 1).seat);
  std::deque<std::shared_ptr<FlowTurn>> loud;
  for (int i = 0; i < 200; ++i) loud.push_back(level.enter(kLoud, 1).turn);
  ASSERT_NE(loud.back(), nullptr);
  // Some of the loud flow's have been served, and charged, when the quiet one comes.
  auto serve_one = [&] {
    levels.clock.advance(std::chrono::milliseconds(1));
    running.erase(running.begin());
    for (auto& turn : loud) {
      if (turn == nullptr || !turn->granted()) continue;
      running.push_back(turn->take_seat());
      turn.reset();
    }
  };
  for (int i = 0; i < 20; ++i) serve_one();
  for (int round = 0; round < 10; ++round) {
    std::shared_ptr<FlowTurn> quiet = level.enter(kQuiet, 1).turn;
    ASSERT_NE(quiet, nullptr);
    int served_before = 0;
    for (; !quiet->granted() && served_before < 100; ++served_before) serve_one();
    // At most one from each queue of the loud flow's hand.
    EXPECT_LE(served_before, 7);
  }
}

TEST(FlowLevel, ReconfiguringLosesNobody) {
  Levels levels({queuing(1)});
  SeatPtr seat = levels[0].enter(1, 1).seat;
  std::vector<std::shared_ptr<FlowTurn>> turns;
  for (uint64_t flow = 0; flow < 20; ++flow) {
    turns.push_back(levels[0].enter(flow * 0x9e3779b97f4a7c15ULL, 1).turn);
  }
  FlowLimits fewer = queuing(5);
  fewer.queues = 2;
  levels[0].configure(fewer, levels.all);
  EXPECT_EQ(levels[0].in_use(), 5U);
  EXPECT_EQ(levels[0].waiting(), 16U);
  FlowLimits plain{.seats = 40};
  levels[0].configure(plain, levels.all);
  EXPECT_EQ(levels[0].waiting(), 0U);
}

TEST(FlowLevel, ManyThreadsLoseNoWakeUp) {
  Levels levels({queuing(3, 1000)});
  FlowLevel& level = levels[0];
  std::atomic<unsigned> most{0};
  std::vector<std::jthread> threads;
  for (uint64_t thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 2000; ++i) {
        FlowLevel::Entry entry = level.enter(thread, 1);
        while (entry.turn != nullptr && !entry.turn->granted()) std::this_thread::yield();
        if (entry.turn != nullptr) entry.seat = entry.turn->take_seat();
        unsigned taken = level.in_use();
        if (taken > most) most = taken;
      }
    });
  }
  threads.clear();
  EXPECT_LE(most, 3U);
  EXPECT_EQ(level.in_use(), 0U);
  EXPECT_EQ(level.waiting(), 0U);
}

}  // namespace
}  // namespace wherry::apiserver
