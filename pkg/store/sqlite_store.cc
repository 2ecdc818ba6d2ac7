#include "store/sqlite_store.h"

#include <sched.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/thread.h"
#include "base/wait_scope.h"

namespace wherry::store {
namespace {

constexpr size_t kBatchRequestsMax = 256;
constexpr Revision kReserveBlock = 10'000;
constexpr int kWalPagesMax = 1'000;     // 4 MB, then pages go back into the file.
constexpr Revision kLogTrimStep = 500;  // Rows of the short log are deleted in steps of this.

std::string dirty_key(std::string_view resource, std::string_view ns, std::string_view name) {
  return fmt::format("{}\n{}\n{}", resource, ns, name);
}

Error closing() { return Error::unavailable("the server is shutting down"); }

Error named(Error error, const Write& write) {
  error.details().name = write.name;
  error.details().kind = write.resource;
  return error;
}

class TreeSnapshot final : public Snapshot {
 public:
  TreeSnapshot(Tree tree, Revision revision) : tree_(std::move(tree)), revision_(revision) {}
  Revision revision() const override { return revision_; }
  size_t size() const override { return tree_.size(); }
  ObjectPtr find(std::string_view ns, std::string_view name) const override {
    const Entry* entry = tree_.find(ns, name);
    return entry == nullptr ? nullptr : entry->object;
  }
  void scan(std::string_view ns, std::string_view after_ns, std::string_view after_name,
            const std::function<bool(const ObjectPtr&)>& visit) const override {
    tree_.scan(ns, after_ns, after_name,
               [&visit](const Entry& entry) { return visit(entry.object); });
  }
  size_t count_after(std::string_view ns, std::string_view after_ns,
                     std::string_view after_name) const override {
    return tree_.count_after(ns, after_ns, after_name);
  }

 private:
  const Tree tree_;
  const Revision revision_;
};

}  // namespace

class SqliteStore::Registration final : public Subscription {
 public:
  Registration(SqliteStore& store, std::string resource, Watcher& watcher)
      : store_(store), watching_{std::move(resource), &watcher} {}
  ~Registration() override {
    MutexLock lock(store_.publish_mutex_);
    std::erase(store_.watchers_, &watching_);
  }
  Watching* watching() { return &watching_; }

 private:
  SqliteStore& store_;
  Watching watching_;
};

Result<std::unique_ptr<Store>> open(Options options, const Clock& clock) {
  std::unique_ptr<SqliteStore> opened = TRY(SqliteStore::open(std::move(options), clock));
  return std::unique_ptr<Store>(std::move(opened));
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(Options options, const Clock& clock) {
  Database database = TRY(Database::open(options.path, options.vfs));
  std::unique_ptr<SqliteStore> opened(
      new SqliteStore(std::move(options), clock, std::move(database)));
  TRY(opened->load());
  SqliteStore* self = opened.get();
  opened->writer_ =
      start_thread("store", [self](const std::stop_token& stop) { self->write_loop(stop); });
  return opened;
}

SqliteStore::SqliteStore(Options options, const Clock& clock, Database database)
    : options_(std::move(options)),
      clock_(clock),
      database_(std::move(database)),
      codec_(options_.codec) {}

SqliteStore::~SqliteStore() {
  {
    MutexLock lock(queue_mutex_);
    closed_ = true;
  }
  writer_.request_stop();
  if (writer_.joinable()) writer_.join();
}

bool SqliteStore::is_lazy(std::string_view name) const {
  return std::find(options_.lazy.begin(), options_.lazy.end(), name) != options_.lazy.end();
}

SqliteStore::Table& SqliteStore::table(std::string_view name) const {
  MutexLock lock(state_mutex_);
  auto found = tables_.find(name);
  if (found == tables_.end()) {
    auto made = std::make_unique<Table>();
    made->name = std::string(name);
    made->lazy = is_lazy(name);
    made->coded =
        std::find(options_.coded.begin(), options_.coded.end(), name) != options_.coded.end();
    found = tables_.emplace(made->name, std::move(made)).first;
  }
  return *found->second;
}

// ---- Reading

Revision SqliteStore::revision() const {
  MutexLock lock(state_mutex_);
  return revision_;
}

ObjectPtr SqliteStore::get(std::string_view resource, std::string_view ns,
                           std::string_view name) const {
  Tree tree;
  {
    MutexLock lock(state_mutex_);
    auto found = tables_.find(resource);
    if (found == tables_.end()) return nullptr;
    tree = found->second->tree;
  }
  const Entry* entry = tree.find(ns, name);
  return entry == nullptr ? nullptr : entry->object;
}

SnapshotPtr SqliteStore::snapshot(std::string_view resource) const {
  MutexLock lock(state_mutex_);
  auto found = tables_.find(resource);
  return std::make_shared<TreeSnapshot>(found == tables_.end() ? Tree() : found->second->tree,
                                        revision_);
}

Result<SnapshotPtr> SqliteStore::snapshot_at(std::string_view resource, Revision revision) const {
  Tree tree;
  std::vector<EventPtr> later;
  {
    MutexLock lock(state_mutex_);
    Revision oldest = history_->trim(clock_.monotonic());
    if (is_lazy(resource)) oldest = std::max(oldest, lazy_start_);
    if (revision < oldest) {
      return Error::make(Code::kExpired, "too old resource version: {} ({})", revision, oldest);
    }
    if (revision > revision_) {
      return Error::timeout("Too large resource version: {}, current: {}", revision, revision_);
    }
    auto found = tables_.find(resource);
    if (found != tables_.end()) tree = found->second->tree;
    later = history_->after(resource, revision);
  }
  // Undo what happened since, newest first.
  for (auto event = later.rbegin(); event != later.rend(); ++event) {
    const Event& undone = **event;
    if (undone.type == EventType::kAdded) {
      tree = tree.erase(undone.object->ns(), undone.object->name());
    } else {
      tree = tree.put({undone.previous, 0});
    }
  }
  return std::make_shared<TreeSnapshot>(std::move(tree), revision);
}

Result<std::unique_ptr<Subscription>> SqliteStore::watch(std::string_view resource, Revision after,
                                                         Watcher& watcher) {
  auto registration = std::make_unique<Registration>(*this, std::string(resource), watcher);
  MutexLock publish(publish_mutex_);
  std::vector<EventPtr> missed;
  {
    MutexLock lock(state_mutex_);
    Revision oldest = history_->trim(clock_.monotonic());
    if (is_lazy(resource)) oldest = std::max(oldest, lazy_start_);
    if (after < oldest) {
      return Error::make(Code::kExpired, "too old resource version: {} ({})", after, oldest);
    }
    missed = history_->after(resource, after);
  }
  if (!missed.empty()) watcher.on_events(missed);
  watchers_.push_back(registration->watching());
  return std::unique_ptr<Subscription>(std::move(registration));
}

Revision SqliteStore::oldest_revision() const {
  MutexLock lock(state_mutex_);
  return history_->trim(clock_.monotonic());
}

Metrics SqliteStore::metrics() const {
  MutexLock lock(state_mutex_);
  Metrics out = metrics_;
  out.events = history_->size();
  for (const auto& [name, table] : tables_) out.objects += table->tree.size();
  return out;
}

// ---- Writing

Result<std::vector<ObjectPtr>> SqliteStore::commit(std::vector<Write> writes) {
  Request request;
  request.writes = std::move(writes);
  TRY(wait_for(request));
  return std::move(request.result);
}

void SqliteStore::commit_later(std::vector<Write> writes, Done done) {
  auto request = std::make_unique<Request>();
  request->writes = std::move(writes);
  request->then = std::move(done);
  if (enqueue(*request)) {
    static_cast<void>(request.release());
  } else {
    request->then(closing());
  }
}

// Hands the request to the writer. False: there will be none any more.
bool SqliteStore::enqueue(Request& request) {
  bool first = false;
  {
    MutexLock lock(queue_mutex_);
    if (closed_) return false;
    first = queue_.empty();
    queue_.push_back(&request);
  }
  if (first) queue_changed_.notify_one();
  return true;
}

// Its own outcome is in request.result.
Result<void> SqliteStore::wait_for(Request& request) {
  if (!enqueue(request)) return closing();
  WaitScope wait;
  request.told.wait();
  return {};
}

void SqliteStore::answer(Request* request) {
  if (request->then == nullptr) return request->told.tell();
  std::unique_ptr<Request> ours(request);
  ours->then(std::move(ours->result));
}

Result<void> SqliteStore::flush() {
  Request request;
  request.flush = true;
  TRY(wait_for(request));
  if (!request.result.ok()) return std::move(request.result).error();
  return {};
}

Result<void> SqliteStore::recode(std::shared_ptr<const ValueCodec> codec) {
  CHECK(codec != nullptr);
  Request request;
  request.codec = std::move(codec);
  TRY(wait_for(request));
  if (!request.result.ok()) return std::move(request.result).error();
  return {};
}

void SqliteStore::write_loop(const std::stop_token& stop) {
  // Whom it wakes up for is not to be interrupted for it: where processors are idle it starts at
  // once all the same, and where none is, more comes into the batch.
  const sched_param none{};
  (void)sched_setscheduler(0, SCHED_BATCH, &none);
  while (true) {
    std::vector<Request*> requests;
    {
      MutexLock lock(queue_mutex_);
      auto ready = [this]() NO_THREAD_SAFETY_ANALYSIS { return !queue_.empty(); };
      if (flush_due_) {
        Duration left = *flush_due_ - clock_.monotonic();
        queue_changed_.wait_for(queue_mutex_, stop, std::max(left, Duration::zero()), ready);
      } else {
        queue_changed_.wait(queue_mutex_, stop, ready);
      }
      while (!queue_.empty() && requests.size() < kBatchRequestsMax) {
        requests.push_back(queue_.front());
        queue_.pop_front();
      }
    }
    if (!requests.empty()) process(std::move(requests));
    bool stopping = stop.stop_requested();
    if (flush_due_ && (stopping || clock_.monotonic() >= *flush_due_)) {
      Result<void> flushed = flush_lazy();
      if (!flushed.ok()) log::warn("{}", flushed.error().message());
    }
    if (!stopping) continue;
    MutexLock lock(queue_mutex_);
    if (queue_.empty()) break;
  }
  // A clean end needs no gap in the revisions.
  Revision last = revision();
  if (database_.begin().ok() && !(database_.set_reserved(last).ok() && database_.commit().ok())) {
    database_.rollback();
  }
}

void SqliteStore::process(std::vector<Request*> requests) {
  Batch batch;
  batch.revision = revision();
  batch.next_row = next_row_;
  std::vector<Request*> accepted;
  bool flush = false;
  for (Request* request : requests) {
    flush |= request->flush;
    request->result = apply(*request, batch);
    if (request->result.ok()) accepted.push_back(request);
  }

  Result<void> persisted = batch.changes.empty() ? Result<void>() : persist(batch);
  if (!persisted.ok()) {
    for (Request* request : accepted) request->result = persisted.error();
    batch = Batch{.revision = revision(), .next_row = next_row_};
  }
  {
    // Held over publication and delivery: a watch that starts in between would see events twice.
    MutexLock publishing(publish_mutex_);
    std::vector<EventPtr> events = publish(std::move(batch));
    if (flush) {
      Result<void> flushed = flush_lazy();
      for (Request* request : accepted) {
        if (request->flush && !flushed.ok()) request->result = flushed.error();
      }
    }
    // Delivered before the callers run: what a watcher keeps (an owner index) never trails a
    // writer.
    if (!events.empty()) deliver(events);
  }
  for (Request* request : requests) {
    if (request->codec == nullptr || !request->result.ok()) continue;
    Result<void> recoded = recode_all(request->codec);
    if (!recoded.ok()) request->result = std::move(recoded).error();
  }
  for (Request* request : requests) answer(request);
  trim_disk_log();
}

Result<std::vector<ObjectPtr>> SqliteStore::apply(const Request& request, Batch& batch) {
  // Roots only: cheap to keep for undoing. One write does nothing or all.
  std::map<Table*, Tree> trees;
  if (request.writes.size() > 1) trees = batch.trees;
  size_t changes = batch.changes.size();
  Revision revision = batch.revision;
  int64_t next_row = batch.next_row;
  std::vector<ObjectPtr> stored;
  for (const Write& write : request.writes) {
    Result<ObjectPtr> one = apply_one(write, batch);
    if (!one.ok()) {
      if (request.writes.size() > 1) batch.trees = std::move(trees);
      batch.changes.resize(changes);
      batch.revision = revision;
      batch.next_row = next_row;
      return std::move(one).error();
    }
    stored.push_back(std::move(one).value());
  }
  return stored;
}

Result<ObjectPtr> SqliteStore::apply_one(const Write& write, Batch& batch) {
  Table& target = table(write.resource);
  // Only this thread changes the trees, so reading one here needs no lock.
  Tree& tree = batch.trees.try_emplace(&target, target.tree).first->second;
  const Entry* found = tree.find(write.ns, write.name);
  if (found == nullptr && write.expected != 0) {
    return named(Error::not_found("{} \"{}\" not found", write.resource, write.name), write);
  }
  if (found != nullptr && write.expected == 0) {
    return named(
        Error::make(Code::kAlreadyExists, "{} \"{}\" already exists", write.resource, write.name),
        write);
  }
  if (found != nullptr && write.expected != Write::kAny &&
      found->object->revision() != write.expected) {
    return named(Error::conflict("{} \"{}\" is at revision {}, not {}", write.resource, write.name,
                                 found->object->revision(), write.expected),
                 write);
  }
  Revision revision = batch.revision + 1;
  ObjectPtr previous = found == nullptr ? nullptr : found->object;
  int64_t row = found == nullptr ? 0 : found->row;
  Event event{EventType::kAdded, revision, target.name, nullptr, previous};
  if (!write.value) {
    if (previous == nullptr) return named(Error::not_found("{} not found", write.name), write);
    event.type = EventType::kDeleted;
    // The last state of a deleted object carries the deletion's own revision.
    event.object = api::Object::restamp(*previous, revision);
    tree = tree.erase(write.ns, write.name);
  } else {
    event.object = api::Object::stamp(*write.value, revision);
    if (previous != nullptr) event.type = EventType::kModified;
    if (event.object->ns() != write.ns || event.object->name() != write.name) {
      return named(Error::internal("object {}/{} does not match its key {}/{}", event.object->ns(),
                                   event.object->name(), write.ns, write.name),
                   write);
    }
    if (row == 0 && !target.lazy) row = batch.next_row++;
    tree = std::move(tree).put({event.object, row});
  }
  batch.revision = revision;
  batch.changes.push_back({&target, row, std::make_shared<const Event>(event)});
  return event.object;
}

// After a commit with unknown outcome nothing is written before the file is open anew.
Result<void> SqliteStore::mend() {
  if (!broken_) return {};
  database_ = Database();
  database_ = TRY(Database::open(options_.path, options_.vfs));
  broken_ = false;
  return {};
}

Result<void> SqliteStore::persist(const Batch& batch) {
  TRY(mend());
  bool durable = batch.revision >= reserved_ ||
                 std::any_of(batch.changes.begin(), batch.changes.end(),
                             [](const Change& change) { return !change.table->lazy; });
  if (!durable) return {};
  Revision reserved = reserved_;
  Result<void> written = persist_changes(batch);
  if (!written.ok()) {
    abandon();
    reserved_ = reserved;
    return written;
  }
  Result<void> committed = database_.commit();
  if (committed.ok()) {
    fresh_tables_.clear();
    return {};
  }
  if (committed.error().is(Code::kStorageFull)) {
    abandon();
    reserved_ = reserved;
    return committed;
  }
  Result<bool> known = resolve_unknown(batch);
  if (known.ok() && *known) {
    fresh_tables_.clear();
    return {};
  }
  abandon();
  reserved_ = reserved;
  if (!known.ok()) {
    broken_ = true;
    log::error("state store: the outcome of a commit is unknown, writes are refused: {}",
               known.error().message());
  }
  return committed;
}

Result<void> SqliteStore::persist_changes(const Batch& batch) {
  TRY(database_.begin());
  std::string kept;
  for (const Change& change : batch.changes) {
    if (change.table->lazy) continue;
    int64_t resource = TRY(resource_id(*change.table));
    const Event& event = *change.event;
    if (event.type == EventType::kDeleted) {
      TRY(database_.delete_object(change.row));
    } else {
      std::string_view value =
          encode(codec_.get(), *change.table, change.row, event.object->json(), kept);
      TRY(database_.put_object({change.row, resource, event.revision, value}));
    }
    std::string_view previous;
    if (event.previous != nullptr) {
      previous = encode(codec_.get(), *change.table, change.row, event.previous->json(), kept);
    }
    TRY(database_.append_log(
        {event.revision, resource, static_cast<int>(event.type), change.row, previous}));
  }
  if (batch.revision >= reserved_) {
    reserved_ = batch.revision + kReserveBlock;
    TRY(database_.set_reserved(reserved_));
  }
  return {};
}

Result<int64_t> SqliteStore::resource_id(Table& table) {
  if (table.id == 0) {
    table.id = TRY(database_.add_resource(table.name));
    fresh_tables_.push_back(&table);
  }
  return table.id;
}

// Gives up the open transaction, and the ids it would have made.
void SqliteStore::abandon() {
  database_.rollback();
  for (Table* fresh : fresh_tables_) fresh->id = 0;
  fresh_tables_.clear();
}

// After a failed COMMIT: reads the file anew and looks whether the batch is in it.
Result<bool> SqliteStore::resolve_unknown(const Batch& batch) {
  database_ = Database();
  database_ = TRY(Database::open(options_.path, options_.vfs));
  for (const Change& change : batch.changes) {
    if (change.table->lazy) continue;
    Revision there = TRY(database_.object_revision(change.row));
    return change.event->type == EventType::kDeleted ? there == 0 : there == change.event->revision;
  }
  return false;
}

std::vector<EventPtr> SqliteStore::publish(Batch batch) {
  next_row_ = batch.next_row;
  note_dirty(batch);
  database_.checkpoint_if_over(kWalPagesMax);
  MonotonicTime now = clock_.monotonic();
  std::vector<EventPtr> published;
  MutexLock lock(state_mutex_);
  for (auto& [target, tree] : batch.trees) target->tree = std::move(tree);
  revision_ = batch.revision;
  for (Change& change : batch.changes) {
    history_->append(change.event, now);
    published.push_back(std::move(change.event));
  }
  history_->trim(now);
  metrics_.commits += batch.changes.empty() ? 0 : 1;
  metrics_.writes += batch.changes.size();
  metrics_.wal_bytes = static_cast<uint64_t>(database_.wal_pages()) * 4096;
  return published;
}

void SqliteStore::deliver(std::span<const EventPtr> events) {
  std::vector<EventPtr> mine;
  for (Watching* watching : watchers_) {
    if (watching->resource.empty()) {
      watching->watcher->on_events(events);
      continue;
    }
    mine.clear();
    for (const EventPtr& event : events) {
      if (event->resource == watching->resource) mine.push_back(event);
    }
    if (!mine.empty()) watching->watcher->on_events(mine);
  }
}

// ---- What reaches the disk late

void SqliteStore::note_dirty(const Batch& batch) {
  for (const Change& change : batch.changes) {
    if (!change.table->lazy) continue;
    const api::Object& object = *change.event->object;
    std::string key = dirty_key(change.table->name, object.ns(), object.name());
    dirty_.try_emplace(
        key, Dirty{change.table, std::string(object.ns()), std::string(object.name()), change.row});
    if (!flush_due_) flush_due_ = clock_.monotonic() + options_.lazy_flush;
  }
}

Result<void> SqliteStore::flush_lazy() {
  flush_due_.reset();
  if (dirty_.empty()) return {};
  std::vector<std::pair<Dirty*, Entry>> placed;
  Result<void> written = write_dirty(placed);
  if (written.ok()) written = database_.commit();
  if (!written.ok()) {
    abandon();
    flush_due_ = clock_.monotonic() + options_.lazy_flush;
    return std::move(written).error().with_prefix("events and leases stay in memory");
  }
  MutexLock lock(state_mutex_);
  for (auto& [dirty, entry] : placed) dirty->table->tree = dirty->table->tree.put(entry);
  dirty_.clear();
  fresh_tables_.clear();
  return {};
}

Result<void> SqliteStore::write_dirty(std::vector<std::pair<Dirty*, Entry>>& placed) {
  TRY(database_.begin());
  std::string kept;
  for (auto& [key, dirty] : dirty_) {
    const Entry* entry = dirty.table->tree.find(dirty.ns, dirty.name);
    if (entry == nullptr) {
      if (dirty.row != 0) TRY(database_.delete_object(dirty.row));
      continue;
    }
    int64_t resource = TRY(resource_id(*dirty.table));
    // Deleted and made anew since: the old row is taken over.
    int64_t row = entry->row != 0 ? entry->row : dirty.row != 0 ? dirty.row : next_row_++;
    std::string_view value = encode(codec_.get(), *dirty.table, row, entry->object->json(), kept);
    TRY(database_.put_object({row, resource, entry->object->revision(), value}));
    placed.emplace_back(&dirty, Entry{entry->object, row});
  }
  return {};
}

void SqliteStore::trim_disk_log() {
  Revision through = 0;
  {
    MutexLock lock(state_mutex_);
    through = history_->trimmed_through();
  }
  if (through < log_trimmed_ + kLogTrimStep) return;
  Result<void> done = database_.begin();
  if (done.ok()) done = database_.trim_log(through);
  if (done.ok()) done = database_.commit();
  if (!done.ok()) database_.rollback();  // Next time; a full disk must not stop anything here.
  log_trimmed_ = through;
}

// ---- Values that stand coded on disk

std::string_view SqliteStore::encode(const ValueCodec* codec, const Table& table, int64_t row,
                                     std::string_view plain, std::string& keep) {
  if (codec == nullptr || !table.coded) return plain;
  keep = codec->encode(fmt::format("{}/{}", table.name, row), plain);
  return keep;
}

Result<std::string> SqliteStore::decode(const Table& table, int64_t row,
                                        std::string_view stored) const {
  if (codec_ == nullptr || !table.coded) return std::string(stored);
  return codec_->decode(fmt::format("{}/{}", table.name, row), stored);
}

// The same at a start, where stale values are noted.
Result<ObjectPtr> SqliteStore::load_value(const Table& table, int64_t row,
                                          std::string_view stored) {
  if (table.coded && codec_ != nullptr && !codec_->current(stored)) stale_values_ = true;
  std::string plain = TRY(decode(table, row, stored));
  Result<ObjectPtr> parsed = api::Object::parse(std::move(plain));
  if (!parsed.ok()) return database_.damaged(parsed.error().message());
  return parsed;
}

// In the open transaction.
Result<void> SqliteStore::write_anew(const ValueCodec& codec) {
  std::map<int64_t, const Table*> coded;
  {
    MutexLock lock(state_mutex_);
    for (const auto& [name, table] : tables_) {
      if (table->coded && table->id != 0) coded[table->id] = table.get();
    }
  }
  std::string kept;
  for (const auto& [id, table] : coded) {
    Result<void> put;
    table->tree.scan("", "", "", [&, resource = id, from = table](const Entry& entry) {
      if (entry.row == 0) return true;  // A lazy one that is not on disk yet.
      std::string_view value = encode(&codec, *from, entry.row, entry.object->json(), kept);
      put = database_.put_object({entry.row, resource, entry.object->revision(), value});
      return put.ok();
    });
    TRY(std::move(put));
  }
  // Collected first: SQLite leaves open what a query sees of changes made meanwhile.
  std::vector<std::pair<Revision, std::string>> previous;
  TRY(database_.each_log_descending([&](const Database::LogRow& row) -> Result<void> {
    auto found = coded.find(row.resource);
    if (found == coded.end() || row.previous.empty()) return {};
    std::string plain = TRY(decode(*found->second, row.id, row.previous));
    encode(&codec, *found->second, row.id, plain, kept);
    previous.emplace_back(row.revision, kept);
    return {};
  }));
  for (const auto& [revision, value] : previous) {
    TRY(database_.set_log_previous(revision, value));
  }
  return database_.wish_scrub();
}

Result<void> SqliteStore::recode_all(std::shared_ptr<const ValueCodec> codec) {
  TRY(mend());
  Result<void> written = database_.begin();
  if (written.ok()) written = write_anew(*codec);
  if (!written.ok()) {
    database_.rollback();
    return written;
  }
  Result<void> committed = database_.commit();
  if (!committed.ok()) {
    database_.rollback();
    // Either codec reads what is there now, so which of them won need not be known.
    broken_ = !committed.error().is(Code::kStorageFull);
    return committed;
  }
  codec_ = std::move(codec);
  Result<void> scrubbed = database_.scrub();
  if (!scrubbed.ok()) {
    log::warn("state store: old bytes stay in {} until the next start: {}", options_.path,
              scrubbed.error().message());
  }
  return {};
}

// ---- Start

Result<void> SqliteStore::load() {
  std::map<int64_t, Table*> tables;
  TRY(database_.each_resource([&](int64_t id, std::string_view name) {
    Table& made = table(name);
    made.id = id;
    tables[id] = &made;
  }));
  TRY(database_.each_object([&](const Database::ObjectRow& row) -> Result<void> {
    auto found = tables.find(row.resource);
    // Rows are written after their resource, in one transaction.
    if (found == tables.end()) return database_.damaged("an object of no known resource");
    ObjectPtr object = TRY(load_value(*found->second, row.id, row.value));
    Tree& tree = found->second->tree;
    tree = std::move(tree).put({std::move(object), row.id});
    next_row_ = std::max(next_row_, row.id + 1);
    return {};
  }));
  bool scrub = TRY(database_.scrub_wished());
  if (scrub) TRY(database_.scrub());
  reserved_ = TRY(database_.reserved());
  lazy_start_ = reserved_;
  {
    MutexLock lock(state_mutex_);
    revision_ = reserved_;
  }
  return load_log(tables);
}

// Rebuilds the recent events from the short log: walking back from the newest, the bytes after a
// change are what the next newer change of the same row replaced, or the row's current bytes.
Result<void> SqliteStore::load_log(const std::map<int64_t, Table*>& tables) {
  std::map<int64_t, ObjectPtr> now;
  for (const auto& [id, target] : tables) {
    target->tree.scan("", "", "", [&now](const Entry& entry) {
      now[entry.row] = entry.object;
      return true;
    });
  }
  std::vector<EventPtr> newest_first;
  Revision oldest = reserved_;
  TRY(database_.each_log_descending([&](const Database::LogRow& row) -> Result<void> {
    auto known = tables.find(row.resource);
    if (known == tables.end()) return database_.damaged("a change of no known resource");
    Table* target = known->second;
    Event event{static_cast<EventType>(row.type), row.revision, target->name, now[row.id], nullptr};
    if (!row.previous.empty()) {
      event.previous = TRY(load_value(*target, row.id, row.previous));
    }
    if (event.type == EventType::kDeleted) {
      event.object = api::Object::restamp(*event.previous, row.revision);
    }
    now[row.id] = event.previous;
    next_row_ = std::max(next_row_, row.id + 1);
    oldest = row.revision - 1;
    if (event.object != nullptr) newest_first.push_back(std::make_shared<const Event>(event));
    return {};
  }));
  MutexLock lock(state_mutex_);
  history_ = std::make_unique<History>(
      History::Limits{options_.history, options_.history_events_max, options_.history_bytes_max},
      oldest);
  MonotonicTime at = clock_.monotonic();
  for (auto event = newest_first.rbegin(); event != newest_first.rend(); ++event) {
    history_->append(*event, at);
  }
  log_trimmed_ = oldest;
  return {};
}

}  // namespace wherry::store
