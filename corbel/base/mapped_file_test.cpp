#include "corbel/base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>

namespace corbel {
namespace {

namespace fs = std::filesystem;

/// A fresh folder, removed afterwards.
class InFolder : public testing::Test {
 protected:
  InFolder() {
    std::string name = testing::TempDir() + "corbel_files_XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~InFolder() override {
    fs::permissions(folder_, fs::perms::owner_all);
    fs::remove_all(folder_);
  }
  fs::path file(std::string_view name, std::string_view content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }
  std::vector<std::string> listing() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename());
    return names;
  }
  fs::path folder_;
};

/// Root may read and write everywhere; this drops that power for a scope, where it can.
class WithoutRoot {
 public:
  WithoutRoot() : dropped_(::geteuid() == 0 && ::seteuid(kNobody) == 0) {}
  ~WithoutRoot() {
    if (dropped_ && ::seteuid(0) != 0) std::abort();
  }
  WithoutRoot(const WithoutRoot&) = delete;
  WithoutRoot& operator=(const WithoutRoot&) = delete;

 private:
  static constexpr ::uid_t kNobody = 65534;
  bool dropped_;
};

using MapFile = InFolder;
using ReadFile = InFolder;
using WriteFile = InFolder;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_F(MapFile, GivesTheBytesAndKeepsThemWhenMovedAndWhenTheNameGoes) {
  const fs::path path = file("weights", "abc");
  Result<MappedFile> opened = MappedFile::open(path);
  ASSERT_TRUE(opened) << opened.error().message;
  MappedFile moved = std::move(*opened);
  fs::remove(path);
  EXPECT_EQ(text_of(moved.bytes()), "abc");
  EXPECT_EQ(moved.path(), path);
  moved = *MappedFile::open(file("other", "xyz"));
  EXPECT_EQ(text_of(moved.bytes()), "xyz");
}

TEST_F(MapFile, RefusesWhatIsNoFileWithBytesInItNamingPathAndReason) {
  EXPECT_EQ(MappedFile::open(folder_ / "absent").error().message,
            cat("cannot open ", (folder_ / "absent").string(), ": No such file or directory"));
  EXPECT_EQ(MappedFile::open(folder_).error().message, cat(folder_.string(), " is a folder, expected a file"));
  const fs::path empty = file("empty", "");
  EXPECT_EQ(MappedFile::open(empty).error().message, cat(empty.string(), " is empty (0 bytes)"));
}

TEST_F(MapFile, RefusesANamedPipeWithoutWaitingForIt) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::open(pipe).error().message,
            cat(pipe.string(), " is a pipe, socket or device, expected a regular file"));
  EXPECT_FALSE(MappedFile::open("/dev/zero"));
}

TEST_F(MapFile, NamesAMissingPermission) {
  const fs::path path = file("secret", "abc");
  fs::permissions(path, fs::perms::none);
  fs::permissions(folder_, fs::perms(0755));
  const WithoutRoot without_root;
  if (::geteuid() == 0) GTEST_SKIP() << "runs as a root that cannot become nobody; root may read everything";
  EXPECT_EQ(MappedFile::open(path).error().message, cat("cannot open ", path.string(), ": Permission denied"));
}

TEST_F(ReadFile, GivesTheWholeTextAlsoOfAnEmptyFileAndOfOneThatClaimsToBeEmpty) {
  EXPECT_EQ(*read_text_file(file("a", std::string("x\0y\n", 4))), std::string("x\0y\n", 4));
  EXPECT_EQ(*read_text_file(file("b", "")), "");
  EXPECT_THAT(*read_text_file("/proc/self/status"), testing::HasSubstr("VmPeak"));
}

TEST_F(ReadFile, RefusesMoreBytesThanAllowed) {
  const fs::path path = file("a", "12345");
  EXPECT_EQ(*read_text_file(path, 5), "12345");
  EXPECT_EQ(read_text_file(path, 4).error().message,
            cat(path.string(), " has 5 bytes, more than the 4 that such a file may have"));
  EXPECT_THAT(read_text_file("/proc/self/status", 10).error().message, testing::HasSubstr("more than the 10 bytes"));
  EXPECT_FALSE(read_text_file("/dev/zero"));
}

TEST_F(WriteFile, ReplacesAFileWholeAndLeavesNothingElse) {
  const fs::path path = file("a", "old");
  ASSERT_TRUE(write_file_atomically(path, bytes_of("new text")));
  EXPECT_EQ(*read_text_file(path), "new text");
  EXPECT_THAT(listing(), testing::ElementsAre("a"));
}

TEST_F(WriteFile, JoinsPartsInOrder) {
  const std::array parts{bytes_of("one "), bytes_of(""), bytes_of("two")};
  ASSERT_TRUE(write_parts_atomically(folder_ / "a", parts));
  EXPECT_EQ(*read_text_file(folder_ / "a"), "one two");
}

TEST_F(WriteFile, KeepsTheOldFileAndRemovesItsOwnWhenTheDiskIsFull) {
  const fs::path path = file("a", "old");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  // A limit on the size of files stands in for a full disk: write() fails half-way, as root too.
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Result<void> written = write_file_atomically(path, bytes_of(std::string(5000, 'x')));
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message, cat("cannot write ", path.string(), ": File too large; nothing was left behind"));
  EXPECT_EQ(*read_text_file(path), "old");
  EXPECT_THAT(listing(), testing::ElementsAre("a"));
}

TEST_F(WriteFile, NamesAFolderThatIsAbsent) {
  const fs::path absent = folder_ / "no" / "a";
  EXPECT_EQ(write_file_atomically(absent, {}).error().message,
            cat("cannot write ", absent.string(), ": No such file or directory"));
}

TEST_F(WriteFile, NamesAFolderThatMayNotBeWritten) {
  fs::permissions(folder_, fs::perms(0555));
  const WithoutRoot without_root;
  if (::geteuid() == 0) GTEST_SKIP() << "runs as a root that cannot become nobody; root may write everywhere";
  EXPECT_EQ(write_file_atomically(folder_ / "a", {}).error().message,
            cat("cannot write ", (folder_ / "a").string(), ": Permission denied"));
}

// A pipe stands for every special file: to try this on a real device would destroy it if the check were broken.
TEST_F(WriteFile, NeverReplacesAFolderOrAPipe) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(write_file_atomically(pipe, bytes_of("x")));
  EXPECT_FALSE(write_file_atomically(folder_, bytes_of("x")));
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST_F(WriteFile, WritesThroughASymbolicLinkAndKeepsIt) {
  const fs::path target = file("target", "old");
  fs::create_symlink(target, folder_ / "link");
  ASSERT_TRUE(write_file_atomically(folder_ / "link", bytes_of("new")));
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(*read_text_file(target), "new");
}

TEST_F(WriteFile, StepsAroundWhatAKilledProcessLeft) {
  file(cat(".a.", ::getpid(), ".0.tmp"), "half");
  ASSERT_TRUE(write_file_atomically(folder_ / "a", bytes_of("new")));
  EXPECT_EQ(*read_text_file(folder_ / "a"), "new");
}

}  // namespace
}  // namespace corbel
