#include "base/random.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace wherry {
namespace {

TEST(Random, UuidsHaveTheirForm) {
  for (int i = 0; i < 100; ++i) {
    std::string uuid = random_uuid();
    ASSERT_EQ(uuid.size(), 36U);
    for (size_t at = 0; at < uuid.size(); ++at) {
      bool dash = at == 8 || at == 13 || at == 18 || at == 23;
      EXPECT_EQ(uuid[at] == '-', dash) << uuid;
      if (dash) continue;
      EXPECT_NE(std::string("0123456789abcdef").find(uuid[at]), std::string::npos) << uuid;
    }
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos) << uuid;
  }
}

// Also across the places where a thread fetches new bytes, and from thread to thread.
TEST(Random, NothingComesTwice) {
  constexpr size_t kEach = 1000;
  std::vector<std::vector<std::string>> made(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : made) {
      threads.emplace_back([&mine] {
        for (size_t i = 0; i < kEach; ++i) {
          mine.push_back(random_uuid());
          mine.push_back(std::to_string(random_u64()));
          mine.push_back(random_suffix(16));
        }
      });
    }
  }
  std::set<std::string> all;
  for (const auto& mine : made) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), made.size() * kEach * 3);
}

}  // namespace
}  // namespace wherry
