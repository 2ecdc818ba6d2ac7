#pragma once
// SqliteStore: the Store over one SQLite file. See store.h for the contract.
//
// Locks, in the order they are taken: publish_mutex_ (delivery and the list of watchers), then
// state_mutex_ (trees, revision, history). queue_mutex_ is taken alone. The writer thread alone
// touches the database and decides revisions.

#include <semaphore.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/strings.h"
#include "store/database.h"
#include "store/history.h"
#include "store/store.h"
#include "store/tree.h"

namespace wherry::store {

class SqliteStore final : public Store {
 public:
  static Result<std::unique_ptr<SqliteStore>> open(Options options, const Clock& clock);
  ~SqliteStore() override;

  Result<std::vector<ObjectPtr>> commit(std::vector<Write> writes) override EXCLUDES(queue_mutex_);
  void commit_later(std::vector<Write> writes, Done done) override EXCLUDES(queue_mutex_);
  Revision revision() const override EXCLUDES(state_mutex_);
  ObjectPtr get(std::string_view resource, std::string_view ns,
                std::string_view name) const override EXCLUDES(state_mutex_);
  SnapshotPtr snapshot(std::string_view resource) const override EXCLUDES(state_mutex_);
  Result<SnapshotPtr> snapshot_at(std::string_view resource, Revision revision) const override
      EXCLUDES(state_mutex_);
  Result<std::unique_ptr<Subscription>> watch(std::string_view resource, Revision after,
                                              Watcher& watcher) override EXCLUDES(publish_mutex_);
  Revision oldest_revision() const override EXCLUDES(state_mutex_);
  Metrics metrics() const override EXCLUDES(state_mutex_);
  Result<void> flush() override EXCLUDES(queue_mutex_);
  bool has_stale_values() const override { return stale_values_; }
  Result<void> recode(std::shared_ptr<const ValueCodec> codec) override EXCLUDES(queue_mutex_);

 private:
  struct Table {
    std::string name;
    bool lazy = false;
    bool coded = false;
    int64_t id = 0;  // In the resources table; 0 until first written to disk. Writer thread.
    Tree tree;       // Guarded by state_mutex_ for writing by the writer thread; see table().
  };
  // Told once, and waited for once. Unlike the standard library's semaphore it does not yield its
  // processor a few times before it sleeps, which with many writers costs more than the sleep.
  class Told {
   public:
    Told() { sem_init(&semaphore_, 0, 0); }
    ~Told() { sem_destroy(&semaphore_); }
    Told(const Told&) = delete;
    Told& operator=(const Told&) = delete;
    void tell() { sem_post(&semaphore_); }
    void wait() {
      while (sem_wait(&semaphore_) != 0) {
      }
    }

   private:
    sem_t semaphore_;
  };
  // One call of commit(), flush() or recode(), waiting for its answer on the caller's stack; or one
  // of commit_later(), which the writer deletes when it has told `then`.
  struct Request {
    std::vector<Write> writes;
    bool flush = false;
    std::shared_ptr<const ValueCodec> codec;
    Result<std::vector<ObjectPtr>> result{std::vector<ObjectPtr>{}};
    Told told;
    Done then = nullptr;
  };
  struct Change {
    Table* table;
    int64_t row;
    EventPtr event;
  };
  // What a batch of requests would do; nothing of it is visible before it is committed.
  struct Batch {
    std::map<Table*, Tree> trees;
    std::vector<Change> changes;
    Revision revision = 0;
    int64_t next_row = 0;
  };
  // A lazily persisted object that memory and disk disagree on.
  struct Dirty {
    Table* table;
    std::string ns, name;
    int64_t row;  // Where it stands on disk; 0 nowhere.
  };
  class Registration;

  SqliteStore(Options options, const Clock& clock, Database database);
  Result<void> load();
  Result<void> load_log(const std::map<int64_t, Table*>& tables);
  Result<std::string> decode(const Table& table, int64_t row, std::string_view stored) const;
  Result<ObjectPtr> load_value(const Table& table, int64_t row, std::string_view stored);
  bool enqueue(Request& request) EXCLUDES(queue_mutex_);
  Result<void> wait_for(Request& request) EXCLUDES(queue_mutex_);

  void write_loop(const std::stop_token& stop);
  void process(std::vector<Request*> requests);
  static void answer(Request* request);
  Result<std::vector<ObjectPtr>> apply(const Request& request, Batch& batch);
  Result<ObjectPtr> apply_one(const Write& write, Batch& batch);
  Result<void> mend();
  Result<void> persist(const Batch& batch);
  Result<void> persist_changes(const Batch& batch);
  Result<bool> resolve_unknown(const Batch& batch);
  Result<int64_t> resource_id(Table& table);
  void abandon();
  std::vector<EventPtr> publish(Batch batch) REQUIRES(publish_mutex_);
  void deliver(std::span<const EventPtr> events) REQUIRES(publish_mutex_);
  Result<void> flush_lazy();
  Result<void> write_dirty(std::vector<std::pair<Dirty*, Entry>>& placed);
  void note_dirty(const Batch& batch);
  void trim_disk_log();
  Result<void> write_anew(const ValueCodec& codec);
  Result<void> recode_all(std::shared_ptr<const ValueCodec> codec);

  Table& table(std::string_view name) const EXCLUDES(state_mutex_);
  bool is_lazy(std::string_view name) const;
  // What stands on disk for `plain`; `keep` holds the bytes if they are not the same.
  static std::string_view encode(const ValueCodec* codec, const Table& table, int64_t row,
                                 std::string_view plain, std::string& keep);

  const Options options_;
  const Clock& clock_;

  mutable Mutex publish_mutex_;
  struct Watching {
    std::string resource;
    Watcher* watcher;
  };
  std::vector<Watching*> watchers_ GUARDED_BY(publish_mutex_);

  mutable Mutex state_mutex_;
  mutable std::unordered_map<std::string, std::unique_ptr<Table>, StringHash, std::equal_to<>>
      tables_ GUARDED_BY(state_mutex_);
  Revision revision_ GUARDED_BY(state_mutex_) = 0;
  mutable std::unique_ptr<History> history_ GUARDED_BY(state_mutex_);
  bool stale_values_ = false;  // Fixed after load.
  Revision lazy_start_ = 0;    // Lazy resources know nothing of before this; fixed after load.
  Metrics metrics_ GUARDED_BY(state_mutex_);

  mutable Mutex queue_mutex_;
  CondVar queue_changed_;
  std::deque<Request*> queue_ GUARDED_BY(queue_mutex_);
  bool closed_ GUARDED_BY(queue_mutex_) = false;

  // Writer thread only.
  Database database_;
  std::shared_ptr<const ValueCodec> codec_;
  bool broken_ = false;  // A commit's outcome is unknown and the file could not be re-read yet.
  int64_t next_row_ = 1;
  Revision reserved_ = 0;
  std::map<std::string, Dirty> dirty_;
  std::optional<MonotonicTime> flush_due_;
  Revision log_trimmed_ = 0;
  std::vector<Table*> fresh_tables_;  // Given an id by the transaction that is open.

  std::jthread writer_;  // Last: stops first.
};

}  // namespace wherry::store
