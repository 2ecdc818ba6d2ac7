#include "os/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace wherry::os {
namespace {

TEST(File, AtomicWriteReplacesAndSetsTheMode) {
  TempDirectory folder = TempDirectory::make().value();
  std::string path = folder.path() + "/a";
  ASSERT_TRUE(write_file_atomic(path, "one two", 0600).ok());
  ASSERT_TRUE(write_file_atomic(path, "three", 0640).ok());
  EXPECT_EQ(read_file(path).value(), "three");
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  EXPECT_EQ(list_directory(folder.path()).value(), std::vector<std::string>{"a"});
}

TEST(File, PlainWriteLeavesNoOldTail) {
  TempDirectory folder = TempDirectory::make().value();
  std::string path = folder.path() + "/a";
  ASSERT_TRUE(write_file_plain(path, "a long text").ok());
  ASSERT_TRUE(write_file_plain(path, "b").ok());
  EXPECT_EQ(read_file(path).value(), "b");
}

TEST(File, MissingFileIsNotFoundAndNamesThePath) {
  Result<std::string> text = read_file("/nonexistent/file");
  ASSERT_FALSE(text.ok());
  EXPECT_TRUE(text.error().is(Code::kNotFound));
  EXPECT_NE(text.error().message().find("/nonexistent/file"), std::string::npos);
}

TEST(File, RemoveTreeDoesNotFollowLinks) {
  TempDirectory folder = TempDirectory::make().value();
  std::string tree = folder.path() + "/tree";
  ASSERT_TRUE(make_directories(tree + "/a/b/c", 0755).ok());
  ASSERT_TRUE(make_directories(folder.path() + "/kept", 0755).ok());
  ASSERT_TRUE(write_file_plain(folder.path() + "/kept/file", "x").ok());
  ASSERT_TRUE(make_symlink("../../kept", tree + "/a/link").ok());
  ASSERT_TRUE(remove_tree(tree).ok());
  EXPECT_FALSE(exists(tree));
  EXPECT_TRUE(exists(folder.path() + "/kept/file"));
  EXPECT_TRUE(remove_tree(tree).ok());
}

TEST(File, DuplicateKeepsContentAndMode) {
  TempDirectory folder = TempDirectory::make().value();
  std::string from = folder.path() + "/from";
  ASSERT_TRUE(write_file_atomic(from, "bytes", 0644).ok());
  ASSERT_TRUE(duplicate_file(from, folder.path() + "/to", 0755).ok());
  EXPECT_EQ(read_file(folder.path() + "/to").value(), "bytes");
  struct stat info {};
  ASSERT_EQ(stat((folder.path() + "/to").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0755u);
  EXPECT_FALSE(duplicate_file(from, folder.path() + "/to", 0755).ok());
}

TEST(File, ReadAllStopsAtTheLimit) {
  TempDirectory folder = TempDirectory::make().value();
  ASSERT_TRUE(write_file_plain(folder.path() + "/a", "12345").ok());
  Fd fd = open_file(folder.path() + "/a", O_RDONLY).value();
  EXPECT_TRUE(read_all(fd.get(), 4).error().is(Code::kRequestEntityTooLarge));
}

}  // namespace
}  // namespace wherry::os
