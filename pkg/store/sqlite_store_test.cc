#include "store/sqlite_store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

namespace wherry::store {
namespace {

// ---- A disk that fails on demand: an SQLite VFS over the usual one.

struct Faults {
  std::atomic<bool> full{false};        // Writes to the WAL answer "disk full".
  std::atomic<bool> sync_fails{false};  // fsync of the WAL fails after the frames are written.
};
Faults faults;

struct FaultFile {
  sqlite3_file base;
  sqlite3_file* real;
  bool wal;
};
sqlite3_file* real_of(sqlite3_file* file) { return reinterpret_cast<FaultFile*>(file)->real; }
bool is_wal(sqlite3_file* file) { return reinterpret_cast<FaultFile*>(file)->wal; }

int fault_close(sqlite3_file* file) { return real_of(file)->pMethods->xClose(real_of(file)); }
int fault_read(sqlite3_file* file, void* to, int count, sqlite3_int64 at) {
  return real_of(file)->pMethods->xRead(real_of(file), to, count, at);
}
int fault_write(sqlite3_file* file, const void* from, int count, sqlite3_int64 at) {
  if (is_wal(file) && faults.full) return SQLITE_FULL;
  return real_of(file)->pMethods->xWrite(real_of(file), from, count, at);
}
int fault_truncate(sqlite3_file* file, sqlite3_int64 size) {
  return real_of(file)->pMethods->xTruncate(real_of(file), size);
}
int fault_sync(sqlite3_file* file, int flags) {
  if (is_wal(file) && faults.sync_fails) return SQLITE_IOERR_FSYNC;
  return real_of(file)->pMethods->xSync(real_of(file), flags);
}
int fault_size(sqlite3_file* file, sqlite3_int64* size) {
  return real_of(file)->pMethods->xFileSize(real_of(file), size);
}
int fault_lock(sqlite3_file* file, int level) {
  return real_of(file)->pMethods->xLock(real_of(file), level);
}
int fault_unlock(sqlite3_file* file, int level) {
  return real_of(file)->pMethods->xUnlock(real_of(file), level);
}
int fault_reserved(sqlite3_file* file, int* out) {
  return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}
int fault_control(sqlite3_file* file, int op, void* arg) {
  return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}
int fault_sector(sqlite3_file* file) { return real_of(file)->pMethods->xSectorSize(real_of(file)); }
int fault_traits(sqlite3_file* file) {
  return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

// Version 1: no shared memory, which the exclusive lock makes unnecessary.
const sqlite3_io_methods kFaultMethods = {
    1,           fault_close, fault_read,   fault_write,    fault_truncate, fault_sync,
    fault_size,  fault_lock,  fault_unlock, fault_reserved, fault_control,  fault_sector,
    fault_traits};

int fault_open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
  auto* real_vfs = static_cast<sqlite3_vfs*>(vfs->pAppData);
  auto* mine = reinterpret_cast<FaultFile*>(file);
  mine->real = reinterpret_cast<sqlite3_file*>(mine + 1);
  mine->wal = (flags & SQLITE_OPEN_WAL) != 0;
  mine->base.pMethods = nullptr;
  int code = real_vfs->xOpen(real_vfs, name, mine->real, flags, out);
  if (code == SQLITE_OK) mine->base.pMethods = &kFaultMethods;
  return code;
}

void register_fault_vfs() {
  static sqlite3_vfs vfs = [] {
    sqlite3_vfs* real = sqlite3_vfs_find(nullptr);
    sqlite3_vfs made = *real;
    made.zName = "faulty";
    made.pNext = nullptr;
    made.pAppData = real;
    made.szOsFile = static_cast<int>(sizeof(FaultFile)) + real->szOsFile;
    made.xOpen = &fault_open;
    return made;
  }();
  sqlite3_vfs_register(&vfs, 0);
}

// ----

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("wherry-store-" + std::to_string(getpid()) + "-" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    faults.full = false;
    faults.sync_fails = false;
    open();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  Options options() {
    Options out;
    out.path = (folder_ / "state.db").string();
    out.lazy = {"leases"};
    out.vfs = vfs_;
    out.coded = {"secrets"};
    out.codec = codec_;
    return out;
  }
  void open() {
    store_.reset();
    auto opened = SqliteStore::open(options(), clock_);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    store_ = std::move(opened).value();
  }

  static api::Unstamped bytes(const std::string& name, const std::string& text) {
    json::Draft draft;
    draft.root().set("kind", "Pod");
    draft.root().set("apiVersion", "v1");
    json::Node metadata = draft.root().set_object("metadata");
    metadata.set("name", name);
    metadata.set("namespace", "ns");
    draft.root().set("text", text);
    return api::unstamped(draft.freeze().root()).value();
  }
  Result<ObjectPtr> put(const std::string& name, const std::string& text, Revision expected,
                        const std::string& resource = "pods") {
    std::vector<Write> writes;
    writes.push_back({resource, "ns", name, bytes(name, text), expected});
    std::vector<ObjectPtr> stored = TRY(store_->commit(std::move(writes)));
    return stored[0];
  }
  Result<ObjectPtr> erase(const std::string& name, Revision expected = Write::kAny,
                          const std::string& resource = "pods") {
    std::vector<ObjectPtr> stored =
        TRY(store_->commit({{resource, "ns", name, std::nullopt, expected}}));
    return stored[0];
  }
  std::string text_of(const std::string& name, const std::string& resource = "pods") {
    ObjectPtr object = store_->get(resource, "ns", name);
    if (object == nullptr) return "none";
    return std::string(object->document().root()["text"].as_string());
  }

  // How often a text occurs in the files of the database.
  int occurrences(std::string_view text) {
    int count = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder_)) {
      std::ifstream stream(file.path(), std::ios::binary);
      std::string bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
      for (size_t at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1)) {
        ++count;
      }
    }
    return count;
  }

  std::string vfs_;
  std::shared_ptr<const ValueCodec> codec_;
  std::filesystem::path folder_;
  FakeClock clock_;
  std::unique_ptr<SqliteStore> store_;
};

// Turns each byte round by a mask, which stands in front, as does the place.
class MaskCodec final : public ValueCodec {
 public:
  explicit MaskCodec(char mask) : mask_(mask) {}
  std::string encode(std::string_view place, std::string_view plain) const override {
    std::string out = fmt::format("#{}{}#", mask_, place);
    for (char c : plain) out += static_cast<char>(c ^ mask_);
    return out;
  }
  Result<std::string> decode(std::string_view place, std::string_view stored) const override {
    if (!stored.starts_with('#')) return std::string(stored);
    char mask = stored[1];
    if (stored.substr(2, place.size()) != place) return Error::unavailable("moved");
    std::string out;
    for (char c : stored.substr(place.size() + 3)) out += static_cast<char>(c ^ mask);
    return out;
  }
  bool current(std::string_view stored) const override {
    return stored.starts_with('#') && stored[1] == mask_;
  }

 private:
  const char mask_;
};

struct Recorder final : Watcher {
  void on_events(std::span<const EventPtr> events) override {
    MutexLock lock(mutex);
    for (const EventPtr& event : events) {
      constexpr std::string_view kNames[] = {"ADDED", "MODIFIED", "DELETED"};
      log += fmt::format("{} {} {}; ", kNames[static_cast<int>(event->type)], event->object->name(),
                         event->object->document().root()["text"].as_string());
      last = event->revision;
      revisions.push_back(event->object->revision());
    }
  }
  std::string text() {
    MutexLock lock(mutex);
    return log;
  }
  Mutex mutex;
  std::string log;
  Revision last = 0;
  std::vector<Revision> revisions;
};

TEST_F(StoreTest, CreatesUpdatesAndDeletesUnderConditions) {
  ObjectPtr first = put("a", "one", 0).value();
  EXPECT_TRUE(put("a", "again", 0).error().is(Code::kAlreadyExists));
  ObjectPtr second = put("a", "two", first->revision()).value();
  EXPECT_GT(second->revision(), first->revision());
  Result<ObjectPtr> stale = put("a", "three", first->revision());
  EXPECT_TRUE(stale.error().is(Code::kConflict));
  EXPECT_EQ(stale.error().details().name, "a");
  EXPECT_EQ(text_of("a"), "two");
  ObjectPtr gone = erase("a").value();
  EXPECT_EQ(gone->revision(), store_->revision());
  EXPECT_EQ(gone->document().root()["metadata"]["resourceVersion"].as_string(),
            std::to_string(store_->revision()));
  EXPECT_TRUE(erase("a").error().is(Code::kNotFound));
}

TEST_F(StoreTest, ATransactionIsAllOrNothing) {
  ASSERT_TRUE(put("b", "there", 0).ok());
  std::vector<Write> writes;
  writes.push_back({"pods", "ns", "a", bytes("a", "new"), 0});
  writes.push_back({"pods", "ns", "b", bytes("b", "clash"), 0});
  Revision before = store_->revision();
  EXPECT_TRUE(store_->commit(std::move(writes)).error().is(Code::kAlreadyExists));
  EXPECT_EQ(text_of("a"), "none");
  EXPECT_EQ(store_->revision(), before);
}

TEST_F(StoreTest, WatchReplaysThenFollowsWithoutGap) {
  Revision start = store_->revision();
  ASSERT_TRUE(put("a", "1", 0).ok());
  Recorder recorder;
  auto subscription = store_->watch("pods", start, recorder).value();
  ASSERT_TRUE(put("a", "2", Write::kAny).ok());
  ASSERT_TRUE(put("other", "x", 0, "secrets").ok());
  ASSERT_TRUE(erase("a").ok());
  subscription.reset();
  ASSERT_TRUE(put("b", "unseen", 0).ok());
  EXPECT_EQ(recorder.text(), "ADDED a 1; MODIFIED a 2; DELETED a 2; ");
}

TEST_F(StoreTest, SnapshotsAreConsistentAndReachBack) {
  ASSERT_TRUE(put("a", "1", 0).ok());
  ASSERT_TRUE(put("b", "1", 0).ok());
  SnapshotPtr held = store_->snapshot("pods");
  ASSERT_TRUE(erase("a").ok());
  ASSERT_TRUE(put("b", "2", Write::kAny).ok());
  ASSERT_TRUE(put("c", "1", 0).ok());
  SnapshotPtr again = store_->snapshot_at("pods", held->revision()).value();
  for (const SnapshotPtr& snapshot : {held, again}) {
    EXPECT_EQ(snapshot->size(), 2U);
    EXPECT_NE(snapshot->find("ns", "a"), nullptr);
    EXPECT_EQ(snapshot->find("ns", "b")->document().root()["text"].as_string(), "1");
  }
  clock_.advance(std::chrono::minutes(6));
  EXPECT_TRUE(store_->snapshot_at("pods", held->revision()).error().is(Code::kExpired));
}

TEST_F(StoreTest, RestartKeepsObjectsAndResumesWatches) {
  ASSERT_TRUE(put("a", "1", 0).ok());
  Revision seen = store_->revision();
  ASSERT_TRUE(put("a", "2", Write::kAny).ok());
  ASSERT_TRUE(put("b", "1", 0).ok());
  ASSERT_TRUE(erase("b").ok());
  ASSERT_TRUE(put("b", "2", 0).ok());
  Revision last = store_->revision();
  open();
  EXPECT_EQ(text_of("a"), "2");
  EXPECT_GE(store_->revision(), last);
  Recorder recorder;
  auto subscription = store_->watch("pods", seen, recorder).value();
  EXPECT_EQ(recorder.text(), "MODIFIED a 2; ADDED b 1; DELETED b 1; ADDED b 2; ");
  EXPECT_EQ(recorder.last, last);
  EXPECT_GT(put("c", "1", 0).value()->revision(), last);
}

TEST_F(StoreTest, LazyObjectsSurviveACleanEndAndAreLostByNoRevision) {
  ASSERT_TRUE(put("lease", "1", 0, "leases").ok());
  uint64_t commits = store_->metrics().commits;
  ASSERT_TRUE(put("lease", "2", Write::kAny, "leases").ok());
  EXPECT_EQ(store_->metrics().commits, commits + 1);
  Revision seen = store_->revision();
  open();
  EXPECT_EQ(text_of("lease", "leases"), "2");
  EXPECT_GE(store_->revision(), seen);
  ASSERT_TRUE(erase("lease", Write::kAny, "leases").ok());
  open();
  EXPECT_EQ(text_of("lease", "leases"), "none");
}

TEST_F(StoreTest, KilledProcessLosesNoAcknowledgedWriteAndRepeatsNoRevision) {
  store_.reset();
  std::set<Revision> revisions;
  std::vector<std::string> acknowledged;
  for (int round = 0; round < 5; ++round) {
    int pipe_fds[2];
    ASSERT_EQ(pipe(pipe_fds), 0);
    pid_t child = fork();  // tidy: allow(fork): this very process is to be killed.
    if (child == 0) {
      auto opened = SqliteStore::open(options(), clock_);
      store_ = std::move(opened).value();
      for (int i = 0; i < 20; ++i) {
        std::string name = fmt::format("p{}-{}", round, i);
        Revision revision[2] = {put(name, "x", 0).value()->revision(),
                                put(name, "x", 0, "leases").value()->revision()};
        if (write(pipe_fds[1], revision, sizeof revision) < 0) _exit(1);
      }
      _exit(0);  // No destructor runs: as if killed.
    }
    close(pipe_fds[1]);
    Revision revision[2];
    for (int i = 0; read(pipe_fds[0], revision, sizeof revision) == sizeof revision; ++i) {
      EXPECT_TRUE(revisions.insert(revision[0]).second);
      EXPECT_TRUE(revisions.insert(revision[1]).second);
      acknowledged.push_back(fmt::format("p{}-{}", round, i));
    }
    close(pipe_fds[0]);
    waitpid(child, nullptr, 0);
  }
  open();
  EXPECT_EQ(acknowledged.size(), 100U);
  for (const std::string& name : acknowledged) EXPECT_EQ(text_of(name), "x") << name;
  EXPECT_GE(store_->revision(), *revisions.rbegin());
}

TEST_F(StoreTest, FullDiskRefusesWritesAndGoesOnReading) {
  register_fault_vfs();
  vfs_ = "faulty";
  open();
  ASSERT_TRUE(put("a", "1", 0).ok());
  faults.full = true;
  Result<ObjectPtr> refused = put("new-kind", "1", 0, "configmaps");
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().is(Code::kStorageFull)) << refused.error().message();
  EXPECT_TRUE(put("a", "2", Write::kAny).error().is(Code::kStorageFull));
  EXPECT_EQ(text_of("a"), "1");
  faults.full = false;
  ASSERT_TRUE(put("a", "3", Write::kAny).ok());
  ASSERT_TRUE(put("new-kind", "1", 0, "configmaps").ok());
  vfs_.clear();
  open();
  EXPECT_EQ(text_of("a"), "3");
  EXPECT_EQ(text_of("new-kind", "configmaps"), "1");
}

TEST_F(StoreTest, LaterCommitsAreToldOnceAndAfterWatchersHeard) {
  register_fault_vfs();
  vfs_ = "faulty";
  open();
  constexpr int kWrites = 40;
  std::atomic<int> told{0}, stored{0}, existing{0}, unseen{0};
  auto write = [&](const std::string& name) {
    std::vector<Write> writes;
    writes.push_back({"pods", "ns", name, bytes(name, "1"), 0});
    store_->commit_later(std::move(writes), [&, name](Result<std::vector<ObjectPtr>> done) {
      if (done.ok()) ++stored;
      if (done.ok() && store_->get("pods", "ns", name) != done->front()) ++unseen;
      if (!done.ok() && done.error().is(Code::kAlreadyExists)) ++existing;
      ++told;
    });
  };
  for (int i = 0; i < kWrites; ++i) write("a" + std::to_string(i / 2));
  ASSERT_TRUE(store_->flush().ok());  // Comes after all of them.
  EXPECT_EQ(told, kWrites);
  EXPECT_EQ(stored, kWrites / 2);
  EXPECT_EQ(existing, kWrites / 2);
  EXPECT_EQ(unseen, 0);
  faults.full = true;
  write("b");
  ASSERT_FALSE(put("c", "1", 0).ok());
  faults.full = false;
  EXPECT_EQ(told, kWrites + 1);
  EXPECT_EQ(text_of("b"), "none");
  std::vector<Write> last;
  last.push_back({"pods", "ns", "d", bytes("d", "1"), 0});
  store_->commit_later(std::move(last), [&](Result<std::vector<ObjectPtr>>) { ++told; });
  open();  // What is under way when the store ends is told too.
  EXPECT_EQ(told, kWrites + 2);
  EXPECT_EQ(text_of("d"), "1");
}

TEST_F(StoreTest, ACommitWithUnknownOutcomeIsResolvedByReading) {
  register_fault_vfs();
  vfs_ = "faulty";
  open();
  ASSERT_TRUE(put("a", "1", 0).ok());
  faults.sync_fails = true;
  Result<ObjectPtr> unsure = put("a", "2", Write::kAny);
  faults.sync_fails = false;
  std::string now = text_of("a");
  EXPECT_EQ(now, unsure.ok() ? "2" : "1");
  Result<ObjectPtr> next = put("b", "1", 0);
  ASSERT_TRUE(next.ok()) << next.error().message();
  vfs_.clear();
  open();
  EXPECT_EQ(text_of("a"), now);
  EXPECT_EQ(text_of("b"), "1");
}

TEST_F(StoreTest, CodedValuesStandPlainNowhereOnDisk) {
  codec_ = std::make_shared<MaskCodec>('\x15');
  open();
  Revision start = store_->revision();
  ASSERT_TRUE(put("s", "first-hidden", 0, "secrets").ok());
  ASSERT_TRUE(put("s", "second-hidden", Write::kAny, "secrets").ok());
  ASSERT_TRUE(put("t", "third-hidden", 0, "secrets").ok());
  ASSERT_TRUE(erase("t", Write::kAny, "secrets").ok());
  ASSERT_TRUE(put("p", "in-the-open", 0).ok());
  EXPECT_EQ(text_of("s", "secrets"), "second-hidden");
  EXPECT_EQ(occurrences("-hidden"), 0);
  EXPECT_GT(occurrences("in-the-open"), 0);
  open();
  EXPECT_FALSE(store_->has_stale_values());
  EXPECT_EQ(text_of("s", "secrets"), "second-hidden");
  Recorder recorder;
  auto subscription = store_->watch("secrets", start, recorder).value();
  EXPECT_EQ(recorder.text(),
            "ADDED s first-hidden; MODIFIED s second-hidden; ADDED t third-hidden; "
            "DELETED t third-hidden; ");
}

TEST_F(StoreTest, PlainValuesOfOldAreCodedWithoutATrace) {
  std::string big = std::string(30'000, 'x') + "-hidden";
  ASSERT_TRUE(put("s", big, 0, "secrets").ok());
  ASSERT_TRUE(put("s", "short-hidden", Write::kAny, "secrets").ok());
  ASSERT_TRUE(put("t", big, 0, "secrets").ok());
  ASSERT_TRUE(erase("t", Write::kAny, "secrets").ok());
  EXPECT_GT(occurrences("-hidden"), 0);
  codec_ = std::make_shared<MaskCodec>('\x15');
  open();
  EXPECT_TRUE(store_->has_stale_values());
  ASSERT_TRUE(store_->recode(codec_).ok());
  EXPECT_EQ(occurrences("-hidden"), 0);
  auto next = std::make_shared<MaskCodec>('\x1a');
  std::string prefix = codec_->encode("", "").substr(0, 2) + "secrets/";
  EXPECT_GT(occurrences(prefix), 0);
  ASSERT_TRUE(store_->recode(next).ok());
  EXPECT_EQ(occurrences(prefix), 0);
  ASSERT_TRUE(put("u", "late-hidden", 0, "secrets").ok());
  codec_ = next;
  open();
  EXPECT_FALSE(store_->has_stale_values());
  EXPECT_EQ(text_of("s", "secrets"), "short-hidden");
  EXPECT_EQ(text_of("u", "secrets"), "late-hidden");
}

TEST_F(StoreTest, ARecodingThatFailsChangesNothing) {
  register_fault_vfs();
  vfs_ = "faulty";
  codec_ = std::make_shared<MaskCodec>('\x15');
  open();
  ASSERT_TRUE(put("s", std::string(9'000, 'x'), 0, "secrets").ok());
  faults.full = true;
  Result<void> refused = store_->recode(std::make_shared<MaskCodec>('\x1a'));
  faults.full = false;
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().is(Code::kStorageFull)) << refused.error().message();
  ASSERT_TRUE(put("t", "1", 0, "secrets").ok());
  open();
  EXPECT_FALSE(store_->has_stale_values());
  EXPECT_EQ(text_of("t", "secrets"), "1");
}

TEST_F(StoreTest, ASecondServerOnTheSameFileIsTold) {
  auto second = SqliteStore::open(options(), clock_);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message().find("in use"), std::string::npos) << second.error().message();
}

TEST_F(StoreTest, ADamagedFileIsNamed) {
  ASSERT_TRUE(put("a", std::string(20'000, 'x'), 0).ok());
  store_.reset();
  std::string path = options().path;
  std::filesystem::remove(path + "-wal");
  FILE* file = std::fopen(path.c_str(), "r+");
  ASSERT_NE(file, nullptr);
  std::fseek(file, 0, SEEK_SET);
  std::string noise(100, '\x7f');
  std::fwrite(noise.data(), 1, noise.size(), file);
  std::fclose(file);
  auto opened = SqliteStore::open(options(), clock_);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message().find("state.db"), std::string::npos);
}

}  // namespace
}  // namespace wherry::store
