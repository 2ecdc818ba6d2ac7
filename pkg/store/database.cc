#include "store/database.h"

#include <sqlite3.h>

#include <utility>

#include "base/log.h"

namespace wherry::store {
namespace {

constexpr std::string_view kSchema = R"sql(
  CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS resources(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE IF NOT EXISTS objects(id INTEGER PRIMARY KEY, resource INTEGER NOT NULL,
                                     revision INTEGER NOT NULL, value BLOB NOT NULL);
  CREATE TABLE IF NOT EXISTS log(revision INTEGER PRIMARY KEY, resource INTEGER NOT NULL,
                                 type INTEGER NOT NULL, id INTEGER NOT NULL, previous BLOB);
  INSERT OR IGNORE INTO meta VALUES('format', 1), ('reserved', 1);
)sql";

// WAL with full sync is what makes an acknowledged write survive a power cut. The lock is held for
// the life of the process, so a second server on the same folder is told so, and no shared-memory
// file exists.
constexpr std::string_view kPragmas =
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=4194304; PRAGMA cache_size=-1024;"
    "PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF;";

void bind_blob(sqlite3_stmt* statement, int at, std::string_view bytes) {
  sqlite3_bind_blob64(statement, at, bytes.data(), bytes.size(), SQLITE_STATIC);
}

std::string_view column_blob(sqlite3_stmt* statement, int at) {
  const void* data = sqlite3_column_blob(statement, at);
  return {static_cast<const char*>(data), static_cast<size_t>(sqlite3_column_bytes(statement, at))};
}

}  // namespace

struct Database::Statements {
  sqlite3_stmt* begin = nullptr;
  sqlite3_stmt* commit = nullptr;
  sqlite3_stmt* put = nullptr;
  sqlite3_stmt* remove = nullptr;
  sqlite3_stmt* log = nullptr;
  sqlite3_stmt* reserve = nullptr;
  sqlite3_stmt* log_previous = nullptr;
  ~Statements() {
    for (sqlite3_stmt* statement : {begin, commit, put, remove, log, reserve, log_previous}) {
      sqlite3_finalize(statement);
    }
  }
};

Database::Database() = default;

Database::Database(Database&& other) noexcept { *this = std::move(other); }

Database& Database::operator=(Database&& other) noexcept {
  if (this == &other) return *this;
  statements_.reset();
  if (db_ != nullptr) sqlite3_close_v2(db_);
  db_ = std::exchange(other.db_, nullptr);
  statements_ = std::move(other.statements_);
  wal_counter_ = std::move(other.wal_counter_);
  wal_pages_ = other.wal_pages_;
  path_ = std::move(other.path_);
  return *this;
}

Database::~Database() {
  statements_.reset();
  if (db_ != nullptr) sqlite3_close_v2(db_);
}

Error Database::damaged(std::string_view what) const {
  return Error::unavailable("{} is damaged ({}): move it and its -wal file away and restore a copy",
                            path_, what);
}

Error Database::fail(std::string_view what) const {
  int code = sqlite3_errcode(db_) & 0xff;
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) return damaged(sqlite3_errmsg(db_));
  if (code == SQLITE_FULL) {
    return Error::make(Code::kStorageFull,
                       "the disk under {} is full: nothing was written; free space on it", path_);
  }
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
    return Error::unavailable(
        "{}: {} is in use by another server: stop that one or use another data dir", what, path_);
  }
  return Error::unavailable("{}: {}: {} ({})", what, path_, sqlite3_errmsg(db_),
                            sqlite3_extended_errcode(db_));
}

Result<void> Database::run(std::string_view sql) {
  if (sqlite3_exec(db_, std::string(sql).c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return fail("state store");
  }
  return {};
}

int Database::on_wal(void* self, sqlite3*, const char*, int pages) {
  *static_cast<int64_t*>(self) = pages;
  return SQLITE_OK;
}

Result<Database> Database::open(const std::string& path, const std::string& vfs) {
  Database database;
  database.path_ = path;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  int code =
      sqlite3_open_v2(path.c_str(), &database.db_, flags, vfs.empty() ? nullptr : vfs.c_str());
  if (code != SQLITE_OK) return database.fail("open state store");
  TRY(database.run(kPragmas));
  TRY(database.run(kSchema));
  TRY(database.prepare());
  database.wal_counter_ = std::make_unique<int64_t>(0);
  sqlite3_wal_hook(database.db_, &Database::on_wal, database.wal_counter_.get());
  return database;
}

Result<void> Database::prepare() {
  statements_ = std::make_unique<Statements>();
  const std::pair<sqlite3_stmt**, const char*> wanted[] = {
      {&statements_->begin, "BEGIN IMMEDIATE"},
      {&statements_->commit, "COMMIT"},
      {&statements_->put, "INSERT OR REPLACE INTO objects VALUES(?,?,?,?)"},
      {&statements_->remove, "DELETE FROM objects WHERE id=?"},
      {&statements_->log, "INSERT INTO log VALUES(?,?,?,?,?)"},
      {&statements_->reserve, "UPDATE meta SET value=? WHERE key='reserved'"},
      {&statements_->log_previous, "UPDATE log SET previous=? WHERE revision=?"},
  };
  for (auto [statement, sql] : wanted) {
    if (sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, nullptr) !=
        SQLITE_OK) {
      return fail("prepare state store");
    }
  }
  return {};
}

Result<void> Database::step_done(sqlite3_stmt* statement, std::string_view what) {
  int code = sqlite3_step(statement);
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement);
    return {};
  }
  Error error = fail(what);
  sqlite3_reset(statement);
  return error;
}

Result<void> Database::begin() { return step_done(statements_->begin, "begin write"); }
Result<void> Database::commit() { return step_done(statements_->commit, "commit write"); }

void Database::rollback() {
  // Already rolled back by SQLite after some errors; then this one says so and that is fine.
  if (sqlite3_get_autocommit(db_) == 0) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

Result<int64_t> Database::add_resource(std::string_view name) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db_, "INSERT INTO resources(name) VALUES(?)", -1, &statement, nullptr) !=
      SQLITE_OK) {
    return fail("write resource");
  }
  sqlite3_bind_text64(statement, 1, name.data(), name.size(), SQLITE_STATIC, SQLITE_UTF8);
  Result<void> done = step_done(statement, "write resource");
  sqlite3_finalize(statement);
  TRY(std::move(done));
  return static_cast<int64_t>(sqlite3_last_insert_rowid(db_));
}

Result<void> Database::put_object(const ObjectRow& row) {
  sqlite3_stmt* statement = statements_->put;
  sqlite3_bind_int64(statement, 1, row.id);
  sqlite3_bind_int64(statement, 2, row.resource);
  sqlite3_bind_int64(statement, 3, row.revision);
  bind_blob(statement, 4, row.value);
  return step_done(statement, "write object");
}

Result<void> Database::delete_object(int64_t id) {
  sqlite3_bind_int64(statements_->remove, 1, id);
  return step_done(statements_->remove, "delete object");
}

Result<void> Database::append_log(const LogRow& row) {
  sqlite3_stmt* statement = statements_->log;
  sqlite3_bind_int64(statement, 1, row.revision);
  sqlite3_bind_int64(statement, 2, row.resource);
  sqlite3_bind_int(statement, 3, row.type);
  sqlite3_bind_int64(statement, 4, row.id);
  if (row.previous.empty()) {
    sqlite3_bind_null(statement, 5);
  } else {
    bind_blob(statement, 5, row.previous);
  }
  return step_done(statement, "write log");
}

Result<void> Database::trim_log(api::Revision through) {
  return run(fmt::format("DELETE FROM log WHERE revision <= {}", through));
}

Result<void> Database::set_reserved(api::Revision revision) {
  sqlite3_bind_int64(statements_->reserve, 1, revision);
  return step_done(statements_->reserve, "reserve revisions");
}

Result<void> Database::set_log_previous(api::Revision revision, std::string_view previous) {
  bind_blob(statements_->log_previous, 1, previous);
  sqlite3_bind_int64(statements_->log_previous, 2, revision);
  return step_done(statements_->log_previous, "write log");
}

namespace {

// Runs a query; visit gets each row and may end it with an error.
Result<void> each_row(sqlite3* db, const char* sql,
                      const std::function<Result<void>(sqlite3_stmt*)>& visit,
                      const std::function<Error()>& fail) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, nullptr) != SQLITE_OK) return fail();
  std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> owner(statement, &sqlite3_finalize);
  while (true) {
    int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_ROW) return fail();
    TRY(visit(statement));
  }
}

}  // namespace

// The one number a query yields; 0 when it yields no row.
Result<int64_t> Database::read_number(const std::string& sql) {
  int64_t value = 0;
  TRY(each_row(
      db_, sql.c_str(),
      [&value](sqlite3_stmt* row) -> Result<void> {
        value = sqlite3_column_int64(row, 0);
        return {};
      },
      [this] { return fail("read state store"); }));
  return value;
}

Result<api::Revision> Database::reserved() {
  return read_number("SELECT value FROM meta WHERE key='reserved'");
}

Result<void> Database::each_resource(const std::function<void(int64_t, std::string_view)>& visit) {
  return each_row(
      db_, "SELECT id, name FROM resources",
      [&visit](sqlite3_stmt* row) -> Result<void> {
        visit(sqlite3_column_int64(row, 0), column_blob(row, 1));
        return {};
      },
      [this] { return fail("read state store"); });
}

Result<void> Database::each_object(const std::function<Result<void>(const ObjectRow&)>& visit) {
  return each_row(
      db_, "SELECT id, resource, revision, value FROM objects",
      [&visit](sqlite3_stmt* row) {
        return visit({sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1),
                      sqlite3_column_int64(row, 2), column_blob(row, 3)});
      },
      [this] { return fail("read state store"); });
}

Result<void> Database::each_log_descending(
    const std::function<Result<void>(const LogRow&)>& visit) {
  return each_row(
      db_, "SELECT revision, resource, type, id, previous FROM log ORDER BY revision DESC",
      [&visit](sqlite3_stmt* row) {
        return visit({sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1),
                      sqlite3_column_int(row, 2), sqlite3_column_int64(row, 3),
                      column_blob(row, 4)});
      },
      [this] { return fail("read state store"); });
}

Result<api::Revision> Database::object_revision(int64_t id) {
  return read_number(fmt::format("SELECT revision FROM objects WHERE id={}", id));
}

Result<void> Database::wish_scrub() {
  return run("INSERT OR REPLACE INTO meta VALUES('scrub', 1)");
}

Result<bool> Database::scrub_wished() {
  int64_t wished = TRY(read_number("SELECT value FROM meta WHERE key='scrub'"));
  return wished != 0;
}

Result<void> Database::scrub() {
  TRY(run("VACUUM"));
  if (sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr) !=
      SQLITE_OK) {
    return fail("checkpoint");
  }
  *wal_counter_ = 0;
  return run("DELETE FROM meta WHERE key='scrub'");
}

void Database::checkpoint_if_over(int pages_max) {
  wal_pages_ = *wal_counter_;
  if (wal_pages_ <= pages_max) return;
  int in_log = 0;
  int copied = 0;
  int code = sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
  if (code != SQLITE_OK) log::warn("state store: checkpoint of {}: {}", path_, sqlite3_errmsg(db_));
  *wal_counter_ = 0;
}

}  // namespace wherry::store
