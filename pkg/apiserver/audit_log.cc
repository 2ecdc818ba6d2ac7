#include "apiserver/audit_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "os/file.h"

namespace wherry::apiserver {
namespace {

std::string folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<void> AuditLog::open() {
  if (options_.path == "-") {
    file_ = os::Fd(dup(STDOUT_FILENO));
    return file_ ? Result<void>() : Error::from_errno(errno, "standard output");
  }
  file_ = TRY(os::open_file(options_.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  struct stat info {};
  if (fstat(file_.get(), &info) != 0) return Error::from_errno(errno, options_.path);
  size_ = static_cast<uint64_t>(info.st_size);
  return {};
}

Result<void> AuditLog::start() {
  Result<void> opened = open();
  if (!opened.ok()) return std::move(opened).error().with_prefix("--audit-log-path");
  thread_ = start_thread("audit", [this](const std::stop_token& stop) { run(stop); });
  return {};
}

void AuditLog::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void AuditLog::write(std::string line) {
  {
    MutexLock lock(mutex_);
    if (queue_bytes_ + line.size() > options_.queue_bytes_max) {
      if (dropped_++ == 0) {
        log::warn("audit: {} does not keep up: events are dropped", options_.path);
      }
      return;
    }
    queue_bytes_ += line.size();
    queue_.push_back(std::move(line));
  }
  changed_.notify_one();
}

uint64_t AuditLog::dropped() const {
  MutexLock lock(mutex_);
  return dropped_;
}

Result<void> AuditLog::remove_old() {
  if (options_.backups_max == 0) return {};
  std::string folder = folder_of(options_.path);
  std::string prefix = options_.path.substr(options_.path.rfind('/') + 1) + "-";
  std::vector<std::string> old;
  // Sorted, and the time in the name sorts as text.
  for (std::string& name : TRY(os::list_directory(folder))) {
    if (name.starts_with(prefix)) old.push_back(std::move(name));
  }
  size_t kept = static_cast<size_t>(options_.backups_max);
  for (size_t i = 0; i + kept < old.size(); ++i) TRY(os::remove_file(folder + "/" + old[i]));
  return {};
}

Result<void> AuditLog::rotate() {
  file_.reset();
  std::string to = fmt::format("{}-{}", options_.path, format_micro_time(clock_.now()));
  TRY(os::rename_path(options_.path, to));
  TRY(open());
  return remove_old();
}

Result<void> AuditLog::append(const std::string& line) {
  bool full = size_ > 0 && size_ + line.size() > options_.bytes_max;
  if (full && options_.path != "-") TRY(rotate());
  if (!file_) TRY(open());
  TRY(os::write_all(file_.get(), line));
  size_ += line.size();
  return {};
}

void AuditLog::run(const std::stop_token& stop) {
  bool failing = false;
  while (true) {
    std::deque<std::string> lines;
    {
      MutexLock lock(mutex_);
      changed_.wait(mutex_, stop, [this]() NO_THREAD_SAFETY_ANALYSIS { return !queue_.empty(); });
      lines.swap(queue_);
      queue_bytes_ = 0;
    }
    if (lines.empty() && stop.stop_requested()) return;
    for (const std::string& line : lines) {
      Result<void> written = append(line);
      if (!written.ok() && !failing) log::error("audit: {}", written.error().message());
      failing = !written.ok();
    }
  }
}

}  // namespace wherry::apiserver
