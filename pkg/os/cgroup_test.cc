#include "os/cgroup.h"

#include <gtest/gtest.h>

#include "os/file.h"
#include "os/mount.h"

namespace wherry::os {
namespace {

constexpr std::string_view kHybrid =
    "30 23 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw,nsdelegate\n"
    "33 23 0:29 / /sys/fs/cgroup/memory rw,nosuid shared:8 - cgroup cgroup rw,memory\n"
    "34 23 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
    "35 23 0:31 / /mnt/with\\040space rw - ext4 /dev/sda1 rw\n";

TEST(Mount, ParsesMountinfo) {
  std::vector<MountEntry> mounts = parse_mountinfo(kHybrid);
  ASSERT_EQ(mounts.size(), 4u);
  EXPECT_EQ(mounts[0].type, "cgroup2");
  EXPECT_EQ(mounts[0].optional, "shared:5");
  EXPECT_EQ(mounts[3].mount_point, "/mnt/with space");
}

TEST(Mount, OverlayOptionsMustFitAPage) {
  EXPECT_EQ(overlay_options({"/b", "/a"}, "/u", "/w").value(),
            "lowerdir=/b:/a,upperdir=/u,workdir=/w");
  EXPECT_TRUE(overlay_options({std::string(5000, 'x')}, "/u", "/w").error().is(Code::kInvalid));
}

TEST(Cgroup, FindsTheMode) {
  EXPECT_EQ(Cgroups::parse(kHybrid).value().mode(), CgroupMode::kHybrid);
  EXPECT_EQ(Cgroups::parse(kHybrid).value().folder("cpuacct", "/a"),
            "/sys/fs/cgroup/cpu,cpuacct/a");
  EXPECT_EQ(Cgroups::parse("1 1 0:1 / /sys/fs/cgroup rw - cgroup2 c rw\n").value().mode(),
            CgroupMode::kV2);
  EXPECT_EQ(Cgroups::parse("1 1 0:1 / /c/memory rw - cgroup c rw,memory\n").value().mode(),
            CgroupMode::kV1);
  EXPECT_TRUE(Cgroups::parse("").error().is(Code::kUnavailable));
}

TEST(Cgroup, SharesBecomeWeights) {
  EXPECT_EQ(shares_to_weight(2), 1u);
  EXPECT_EQ(shares_to_weight(512), 20u);
  EXPECT_EQ(shares_to_weight(1024), 39u);
  EXPECT_EQ(shares_to_weight(262144), 10000u);
}

// A plain folder stands in for the kernel's; the files are the ones a kernel would offer.
TEST(Cgroup, WritesLimitsOfVersion2) {
  TempDirectory folder = TempDirectory::make().value();
  std::string mount = "1 1 0:1 / " + folder.path() + " rw - cgroup2 c rw\n";
  ASSERT_TRUE(write_file_plain(folder.path() + "/cgroup.controllers", "cpu memory pids\n").ok());
  Cgroups cgroups = Cgroups::parse(mount).value();
  ASSERT_TRUE(cgroups.create("/kubepods/pod1").ok());
  CgroupLimits limits;
  limits.memory_bytes = 1 << 20;
  limits.cpu_quota_us = 50000;
  limits.cpu_shares = 512;
  limits.pids = 10;
  ASSERT_TRUE(cgroups.set_limits("/kubepods/pod1", limits).ok());
  std::string group = folder.path() + "/kubepods/pod1";
  EXPECT_EQ(read_file(group + "/memory.max").value(), "1048576");
  EXPECT_EQ(read_file(group + "/cpu.max").value(), "50000 100000");
  EXPECT_EQ(read_file(group + "/cpu.weight").value(), "20");
  EXPECT_EQ(read_file(group + "/pids.max").value(), "10");
  ASSERT_TRUE(write_file_plain(group + "/memory.events", "low 0\noom_kill 2\n").ok());
  EXPECT_EQ(cgroups.oom_kills("/kubepods/pod1"), 2u);
  EXPECT_EQ(cgroups.children("/kubepods"), std::vector<std::string>{"pod1"});
}

TEST(Cgroup, WritesLimitsOfVersion1) {
  TempDirectory folder = TempDirectory::make().value();
  std::string mount = "1 1 0:1 / " + folder.path() + "/memory rw - cgroup c rw,memory\n2 1 0:2 / " +
                      folder.path() + "/cpu rw - cgroup c rw,cpu,cpuacct\n";
  Cgroups cgroups = Cgroups::parse(mount).value();
  ASSERT_TRUE(cgroups.create("/a/b").ok());
  CgroupLimits limits;
  limits.memory_bytes = 4096;
  limits.cpu_quota_us = -1;
  limits.cpu_shares = 0;
  ASSERT_TRUE(cgroups.set_limits("/a/b", limits).ok());
  EXPECT_EQ(read_file(folder.path() + "/memory/a/b/memory.limit_in_bytes").value(), "4096");
  EXPECT_EQ(read_file(folder.path() + "/cpu/a/b/cpu.cfs_quota_us").value(), "-1");
  EXPECT_EQ(read_file(folder.path() + "/cpu/a/b/cpu.shares").value(), "2");
}

}  // namespace
}  // namespace wherry::os
