#include "container/layer_graft.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "os/file.h"

namespace wherry::container {
namespace {

class LayerGraftTest : public ::testing::Test {
 protected:
  std::string at(const std::string& name) const { return root_.path() + "/" + name; }
  void folder(const std::string& name, unsigned mode = 0755) {
    ASSERT_TRUE(os::make_directories(at(name), 0755).ok());
    ASSERT_TRUE(os::change_mode(at(name), mode).ok());
  }
  void file(const std::string& name, const std::string& content) {
    ASSERT_TRUE(os::write_file_plain(at(name), content).ok());
  }
  void link(const std::string& to, const std::string& name) {
    ASSERT_TRUE(os::make_symlink(to, at(name)).ok());
  }
  bool wants(const std::vector<std::string>& implied) { return wants_graft({implied, {}}, below_); }
  Result<void> graft(const std::vector<std::string>& implied,
                     const std::map<std::string, std::string>& links = {}) {
    folder("out");
    return graft_layer(at("layer"), {implied, links}, below_, at("out"));
  }
  bool same_file(const std::string& a, const std::string& b) {
    struct stat first {
    }, second{};
    return lstat(at(a).c_str(), &first) == 0 && lstat(at(b).c_str(), &second) == 0 &&
           first.st_ino == second.st_ino;
  }
  unsigned mode(const std::string& name) {
    struct stat info {};
    return lstat(at(name).c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
  }

  os::TempDirectory root_ = os::TempDirectory::make().value();
  Folders below_{at("upper"), at("lower")};
};

TEST_F(LayerGraftTest, PlainFoldersNeedNothing) {
  folder("lower/etc");
  folder("upper");
  folder("layer/etc");
  EXPECT_FALSE(wants({"etc"}));
  EXPECT_FALSE(wants({"new", "new/inner"}));
}

TEST_F(LayerGraftTest, FilesGoBehindLinksOfTheLayersBelow) {
  folder("lower/usr/bin", 0711);
  link("/usr/bin", "lower/bin");
  folder("upper/usr");
  link("../../..//usr/./bin", "upper/usr/sbin");  // Climbs no further than the root.
  folder("layer/bin/deep");
  file("layer/bin/tool", "tool");
  link("tool", "layer/bin/alias");
  folder("layer/usr/sbin");
  file("layer/usr/sbin/other", "other");
  std::vector<std::string> implied{"bin", "bin/deep", "usr", "usr/sbin"};
  ASSERT_TRUE(wants(implied));
  ASSERT_TRUE(graft(implied).ok());
  EXPECT_EQ(os::read_file(at("out/usr/bin/tool")).value(), "tool");
  EXPECT_EQ(os::read_link(at("out/usr/bin/alias")).value(), "tool");
  EXPECT_EQ(os::read_file(at("out/usr/bin/other")).value(), "other");
  EXPECT_TRUE(os::is_directory(at("out/usr/bin/deep")));
  EXPECT_EQ(mode("out/usr/bin"), 0711u);
  EXPECT_FALSE(os::exists(at("out/bin")));
  EXPECT_FALSE(os::exists(at("out/usr/sbin")));
}

TEST_F(LayerGraftTest, FoldersBelowKeepTheirMode) {
  folder("upper");
  folder("lower/tmp", 01777);
  folder("lower/home/ada", 0700);
  folder("layer/tmp");
  folder("layer/home/ada", 0750);
  file("layer/tmp/x", "x");
  ASSERT_TRUE(wants({"tmp"}));
  ASSERT_TRUE(graft({"tmp", "home"}).ok());
  EXPECT_EQ(mode("out/tmp"), 01777u);
  EXPECT_EQ(mode("out/home/ada"), 0750u);  // It has an entry of its own.
}

TEST_F(LayerGraftTest, WhatAnUpperLayerTookAwayIsGone) {
  folder("lower/usr/bin");
  folder("lower/opt/secret", 0700);
  link("usr/bin", "lower/bin");
  folder("upper/bin");  // Instead of the link.
  folder("layer/bin");
  EXPECT_FALSE(wants({"bin"}));
  if (geteuid() != 0) GTEST_SKIP() << "whiteouts need root";
  ASSERT_EQ(mknod(at("upper/opt").c_str(), S_IFCHR, makedev(0, 0)), 0);
  EXPECT_FALSE(wants({"opt", "opt/secret"}));
}

TEST_F(LayerGraftTest, HardLinksReachIntoLayersBelow) {
  folder("lower/usr/bin");
  file("lower/usr/bin/tool", "old");
  file("lower/usr/bin/other", "other");
  link("usr/bin", "lower/bin");
  folder("upper/usr/bin");
  file("upper/usr/bin/tool", "new");
  folder("layer/opt");
  folder("layer/bin");
  std::map<std::string, std::string> links{{"opt/a", "usr/bin/tool"},
                                           {"opt/b", "bin/other"},  // Behind a link.
                                           {"opt/c", "opt/a"},
                                           {"bin/d", "usr/bin/other"}};
  EXPECT_TRUE(wants_graft({{}, links}, below_));
  ASSERT_TRUE(graft({"bin"}, links).ok());
  EXPECT_TRUE(same_file("out/opt/a", "upper/usr/bin/tool"));
  EXPECT_TRUE(same_file("out/opt/b", "lower/usr/bin/other"));
  EXPECT_TRUE(same_file("out/opt/c", "out/opt/a"));
  EXPECT_TRUE(same_file("out/usr/bin/d", "out/opt/b"));
}

TEST_F(LayerGraftTest, HardLinksToNothingAreRefused) {
  folder("upper");
  folder("lower/usr");
  folder("layer");
  for (const char* target : {"usr/none", "usr", "a"}) {
    Result<void> made = graft({}, {{"a", target}});
    ASSERT_FALSE(made.ok()) << target;
    EXPECT_NE(made.error().message().find("hard link"), std::string::npos);
  }
}

TEST_F(LayerGraftTest, LinksInACircleAreRefused) {
  folder("upper");
  folder("lower");
  link("b", "lower/a");
  link("a", "lower/b");
  folder("layer/a");
  file("layer/a/x", "x");
  Result<void> made = graft({"a"});
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message().find("too many symbolic links"), std::string::npos);
}

TEST_F(LayerGraftTest, ASubtreeIsWhatLiesOverOneAnother) {
  folder("lower/data/deep");
  file("lower/data/only", "low");
  folder("upper/data/deep");
  link("data/deep", "upper/short");
  Folders both{at("upper/data/deep"), at("lower/data/deep")};
  EXPECT_EQ(subtree(below_, "").value(), below_);
  EXPECT_EQ(subtree(below_, "data/deep").value(), both);
  EXPECT_EQ(subtree(below_, "short").value(), both);
  EXPECT_EQ(subtree(below_, "data/only").value(), Folders{at("lower/data/only")});
  EXPECT_EQ(subtree(below_, "data/none").error().code(), Code::kNotFound);
}

TEST_F(LayerGraftTest, ASubtreeEndsWhereTheUpperLayerHidesTheLower) {
  folder("lower/data/deep");
  folder("lower/gone");
  folder("upper/data/deep");
  file("upper/gone", "a file now");
  EXPECT_EQ(subtree(below_, "gone").value(), Folders{at("upper/gone")});
  if (setxattr(at("upper/data").c_str(), "user.overlay.opaque", "y", 1, 0) != 0) {
    GTEST_SKIP() << "no extended attributes here";
  }
  EXPECT_EQ(subtree(below_, "data/deep").value(), Folders{at("upper/data/deep")});
}

}  // namespace
}  // namespace wherry::container
