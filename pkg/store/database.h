#pragma once
// Database: the SQLite file under the store. Only this folder's .cc files include sqlite3.h.
//
// Tables (format 1):
//   meta(key, value)                           format, reserved (first revision no one has used
//   yet) resources(id, name)                        "pods", "deployments.apps" objects(id,
//   resource, revision, value)     current state; value is the object's JSON log(revision,
//   resource, type, id, previous) short log: what each revision did, with the bytes it
//                                              replaced (the new bytes are in objects or in a later
//                                              row)
// One thread at a time. A full disk is kStorageFull, other trouble kUnavailable.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/object.h"
#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace wherry::store {

class Database {
 public:
  struct ObjectRow {
    int64_t id;
    int64_t resource;
    api::Revision revision;
    std::string_view value;
  };
  struct LogRow {
    api::Revision revision;
    int64_t resource;
    int type;  // store::EventType.
    int64_t id;
    std::string_view previous;  // Empty for an add.
  };

  Database();  // Closed.
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;
  ~Database();

  // Opens or creates the file and takes its lock for the life of the object. Damage shows when the
  // rows are read, which a start does in full: kUnavailable with what to do. `vfs` names a
  // registered SQLite VFS; empty for the usual one (tests inject disk faults with it).
  static Result<Database> open(const std::string& path, const std::string& vfs);

  Result<void> begin();
  Result<void> commit();
  void rollback();

  Result<int64_t> add_resource(std::string_view name);
  Result<void> put_object(const ObjectRow& row);
  Result<void> delete_object(int64_t id);
  Result<void> append_log(const LogRow& row);
  Result<void> trim_log(api::Revision through);
  Result<void> set_reserved(api::Revision revision);
  Result<void> set_log_previous(api::Revision revision, std::string_view previous);
  Result<api::Revision> reserved();

  Result<void> each_resource(const std::function<void(int64_t, std::string_view)>& visit);
  Result<void> each_object(const std::function<Result<void>(const ObjectRow&)>& visit);
  Result<void> each_log_descending(const std::function<Result<void>(const LogRow&)>& visit);
  // Revision of the row with that id, 0 when there is none.
  Result<api::Revision> object_revision(int64_t id);

  // Rebuilds the file, so that nothing which was overwritten or deleted can be found in it. A wish
  // is part of the open transaction and outlives a crash; scrub() fulfils and forgets it.
  Result<void> wish_scrub();
  Result<bool> scrub_wished();
  Result<void> scrub();

  // What to say of content that makes no sense.
  Error damaged(std::string_view what) const;

  // Copies WAL pages back into the file once there are more than `pages_max`.
  void checkpoint_if_over(int pages_max);
  int64_t wal_pages() const { return wal_pages_; }

 private:
  struct Statements;
  Error fail(std::string_view what) const;
  Result<void> run(std::string_view sql);
  Result<void> step_done(sqlite3_stmt* statement, std::string_view what);
  Result<void> prepare();
  Result<int64_t> read_number(const std::string& sql);
  static int on_wal(void* self, sqlite3* db, const char* name, int pages);

  sqlite3* db_ = nullptr;
  std::unique_ptr<Statements> statements_;
  std::unique_ptr<int64_t> wal_counter_;
  int64_t wal_pages_ = 0;
  std::string path_;
};

}  // namespace wherry::store
