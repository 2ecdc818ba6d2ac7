#include "container/unpack.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container/tar.h"
#include "os/file.h"

namespace wherry::container {
namespace {

class UnpackTest : public ::testing::Test {
 protected:
  void add(TarType type, const std::string& name, const std::string& content = "",
           unsigned mode = 0644, const std::string& link = "") {
    TarEntry entry;
    entry.type = type;
    entry.name = name;
    entry.mode = mode;
    entry.link = link;
    entry.uid = 4242;  // Left out without privileges.
    entry.mtime_seconds = 1600000000;
    append_tar(tar_, entry, content);
  }
  Result<Unpacked> unpack() {
    std::string whole = tar_;
    finish_tar(whole);
    std::unique_ptr<ByteSource> source = make_text_source(whole);
    std::string target = folder_.path() + "/layer";
    CHECK(os::make_directories(target, 0755).ok());
    return unpack_layer(*source, target, {.privileged = false});
  }
  std::string at(const std::string& name) const { return folder_.path() + "/layer/" + name; }

  os::TempDirectory folder_ = os::TempDirectory::make().value();
  std::string tar_;
};

TEST_F(UnpackTest, FilesFoldersLinksModesAndTimes) {
  add(TarType::kDirectory, "./d/", "", 0755);
  add(TarType::kFile, "./d/f", "content", 04755);
  add(TarType::kSymlink, "d/s", "", 0777, "f");
  add(TarType::kHardLink, "h", "", 0644, "d/f");
  add(TarType::kFile, "deep/without/folders", "x");
  add(TarType::kFifo, "p", "", 0600);
  ASSERT_EQ(unpack().value().bytes, 8u);
  EXPECT_EQ(os::read_file(at("h")).value(), "content");
  EXPECT_EQ(os::read_link(at("d/s")).value(), "f");
  struct stat info {};
  ASSERT_EQ(stat(at("d/f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 04755u);
  EXPECT_EQ(info.st_nlink, 2u);
  EXPECT_EQ(info.st_mtime, 1600000000);
  ASSERT_EQ(stat(at("d").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtime, 1600000000);  // Although files were made in it.
  EXPECT_TRUE(os::exists(at("deep/without/folders")));
  ASSERT_EQ(stat(at("p").c_str(), &info), 0);
  EXPECT_TRUE(S_ISFIFO(info.st_mode));
}

TEST_F(UnpackTest, HardLinksToWhatIsNotHereAreForTheLayersBelow) {
  add(TarType::kFile, "mine", "x");
  add(TarType::kHardLink, "a/b", "", 0644, "./usr/bin/tool");
  add(TarType::kHardLink, "c", "", 0644, "a/none");
  add(TarType::kHardLink, "d", "", 0644, "usr/bin/tool");
  add(TarType::kFile, "d", "after all");
  add(TarType::kHardLink, "mine", "", 0644, "usr/bin/tool");
  std::map<std::string, std::string> expected{
      {"a/b", "usr/bin/tool"}, {"c", "a/none"}, {"mine", "usr/bin/tool"}};
  EXPECT_EQ(unpack().value().links, expected);
  EXPECT_EQ(os::read_file(at("d")).value(), "after all");
  EXPECT_FALSE(os::exists(at("mine")));
}

TEST_F(UnpackTest, WhiteoutsBecomeOverlays) {
  add(TarType::kFile, "a/.wh.gone", "");
  add(TarType::kFile, "b/new", "x");
  add(TarType::kFile, "b/.wh.new", "");  // The same layer's own file stays.
  add(TarType::kFile, "a/.wh..wh.plnk", "");
  ASSERT_TRUE(unpack().ok());
  struct stat info {};
  ASSERT_EQ(lstat(at("a/gone").c_str(), &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode) && info.st_rdev == 0);
  EXPECT_EQ(os::read_file(at("b/new")).value(), "x");
  EXPECT_EQ(os::list_directory(at("a")).value(), std::vector<std::string>{"gone"});
}

TEST_F(UnpackTest, FoldersWithoutAnEntryAreImplied) {
  add(TarType::kFile, "usr/bin/tool", "x");
  add(TarType::kDirectory, "usr/", "", 0711);
  add(TarType::kFile, "opt/x", "x");
  add(TarType::kFile, ".wh.opt", "");
  add(TarType::kFile, "srv/x", "x");
  add(TarType::kFile, "srv/.wh..wh..opq", "");
  EXPECT_EQ(unpack().value().implied, std::vector<std::string>{"usr/bin"});
}

TEST_F(UnpackTest, LaterEntriesReplaceEarlierOnes) {
  add(TarType::kFile, "x", "file");
  add(TarType::kDirectory, "x/", "", 0700);
  add(TarType::kFile, "x/inner", "1");
  add(TarType::kFile, "x/inner", "22");
  add(TarType::kSymlink, "x/inner2", "", 0777, "inner");
  add(TarType::kFile, "x/inner2", "333");
  ASSERT_TRUE(unpack().ok());
  EXPECT_EQ(os::read_file(at("x/inner")).value(), "22");
  EXPECT_EQ(os::read_file(at("x/inner2")).value(), "333");
}

TEST_F(UnpackTest, NothingLeavesTheFolder) {
  for (const char* name : {"../evil", "a/../../evil", "/../evil", "a/.wh...", "a/.wh.."}) {
    tar_.clear();
    add(TarType::kFile, name, "x");
    Result<Unpacked> result = unpack();
    ASSERT_FALSE(result.ok()) << name;
    EXPECT_NE(result.error().message().find("escapes the root"), std::string::npos);
  }
  tar_.clear();
  add(TarType::kHardLink, "link", "", 0644, "../../etc/passwd");
  EXPECT_FALSE(unpack().ok());

  // A link out of the folder leads to the same path inside it.
  tar_.clear();
  add(TarType::kSymlink, "out", "", 0777, folder_.path());
  add(TarType::kFile, "out/evil", "x");
  add(TarType::kSymlink, "up", "", 0777, "../../../../../../tmp");
  add(TarType::kDirectory, "tmp/", "", 0755);
  add(TarType::kFile, "up/wherry-evil", "x");
  Result<Unpacked> result = unpack();
  EXPECT_FALSE(os::exists(folder_.path() + "/evil"));
  EXPECT_FALSE(os::exists("/tmp/wherry-evil"));
}

TEST_F(UnpackTest, OverlayAttributesOfAnImageAreDropped) {
  TarEntry entry;
  entry.type = TarType::kFile;
  entry.name = "f";
  entry.mode = 0644;
  entry.xattrs["user.overlay.opaque"] = "y";
  append_tar(tar_, entry, "");
  ASSERT_TRUE(unpack().ok());
}

}  // namespace
}  // namespace wherry::container
