#pragma once
// AuditLog: lines that a thread of its own appends to a file, so that no request waits for a disk.
// The queue is bounded; what does not fit is dropped, counted, and said in the log. A file that has
// grown to its limit is renamed, with the time in its name, and the oldest of these are removed.
//
// write() may be called by any thread.

#include <cstdint>
#include <deque>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "os/fd.h"

namespace wherry::apiserver {

class AuditLog {
 public:
  struct Options {
    std::string path;  // "-" is standard output, which is not rotated.
    uint64_t bytes_max = 100U << 20;
    int backups_max = 10;  // 0: all are kept.
    size_t queue_bytes_max = 16U << 20;
  };
  AuditLog(Options options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}
  ~AuditLog() { stop(); }
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  Result<void> start();
  void stop() EXCLUDES(mutex_);  // After what waits is written.
  void write(std::string line) EXCLUDES(mutex_);
  uint64_t dropped() const EXCLUDES(mutex_);

 private:
  void run(const std::stop_token& stop) EXCLUDES(mutex_);
  Result<void> append(const std::string& line);
  Result<void> open();
  Result<void> rotate();
  Result<void> remove_old();

  const Options options_;
  const Clock& clock_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<std::string> queue_ GUARDED_BY(mutex_);
  size_t queue_bytes_ GUARDED_BY(mutex_) = 0;
  uint64_t dropped_ GUARDED_BY(mutex_) = 0;
  // Of the thread.
  os::Fd file_;
  uint64_t size_ = 0;
  std::jthread thread_;
};

}  // namespace wherry::apiserver
