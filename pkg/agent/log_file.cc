#include "agent/log_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "os/file.h"
#include "os/poll.h"

namespace wherry::agent {
namespace {

constexpr size_t kBlockBytes = 64 << 10;
constexpr auto kLookAgain = std::chrono::milliseconds(1000);

std::string rotated(const std::string& path, int number) {
  return path + "." + std::to_string(number);
}

// Reads a file piece by piece and hands out whole lines.
class LineReader {
 public:
  explicit LineReader(os::Fd fd) : fd_(std::move(fd)) {}
  int fd() const { return fd_.get(); }
  void seek(off_t offset) { ::lseek(fd_.get(), offset, SEEK_SET); }

  // Calls on_line for each line there is; false when on_line does.
  template <typename OnLine>
  bool drain(OnLine on_line) {
    std::string block(kBlockBytes, '\0');
    while (true) {
      ssize_t got = ::read(fd_.get(), block.data(), block.size());
      if (got <= 0) return true;
      pending_.append(block, 0, static_cast<size_t>(got));
      size_t start = 0;
      for (size_t end = pending_.find('\n'); end != std::string::npos;
           end = pending_.find('\n', start)) {
        if (!on_line(std::string_view(pending_).substr(start, end - start))) return false;
        start = end + 1;
      }
      pending_.erase(0, start);
    }
  }

 private:
  os::Fd fd_;
  std::string pending_;
};

// Where in the file the last `lines` lines begin; `missing` says how many earlier files must give.
off_t file_tail_offset(int fd, int64_t lines, int64_t* missing) {
  off_t end = ::lseek(fd, 0, SEEK_END);
  std::string text;
  off_t at = end;
  while (at > 0) {
    off_t step = std::min<off_t>(at, kBlockBytes);
    std::string block(static_cast<size_t>(step), '\0');
    ssize_t got = ::pread(fd, block.data(), block.size(), at - step);
    if (got <= 0) break;
    block.resize(static_cast<size_t>(got));
    text.insert(0, block);
    at -= step;
    size_t offset = tail_offset(text, lines);
    if (offset > 0) {
      *missing = 0;
      return at + static_cast<off_t>(offset);
    }
  }
  int64_t have = 0;
  for (std::string_view line : split(text, '\n')) {
    std::optional<LogLine> parsed = parse_log_line(line);
    if (parsed && !parsed->partial) ++have;
  }
  *missing = std::max<int64_t>(lines - have, 0);
  return 0;
}

// Follows by inotify; a second passes at most between two looks at `stopped`, since that is how
// streams tell that their client has gone.
class Follower {
 public:
  explicit Follower(const std::string& path) : fd_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    if (fd_)
      ::inotify_add_watch(fd_.get(), path.c_str(), IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF);
  }
  // True when the file was moved away: a new one is written.
  bool wait() {
    Result<bool> ready = os::wait_for(fd_.get(), POLLIN, kLookAgain);
    if (!ready.ok() || !*ready) return false;
    alignas(inotify_event) char buffer[4096];
    bool moved = false;
    ssize_t got = ::read(fd_.get(), buffer, sizeof buffer);
    for (ssize_t at = 0; at < got;) {
      auto* event = reinterpret_cast<inotify_event*>(buffer + at);
      moved |= (event->mask & (IN_MOVE_SELF | IN_DELETE_SELF)) != 0;
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
    return moved;
  }

 private:
  os::Fd fd_;
};

}  // namespace

std::optional<LogLine> parse_log_line(std::string_view line) {
  size_t first = line.find(' ');
  if (first == std::string_view::npos) return std::nullopt;
  size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  size_t third = line.find(' ', second + 1);
  if (third == std::string_view::npos) return std::nullopt;
  LogLine out;
  out.time = line.substr(0, first);
  out.stream = line.substr(first + 1, second - first - 1);
  out.partial = line.substr(second + 1, third - second - 1).starts_with('P');
  out.text = line.substr(third + 1);
  if (out.stream != "stdout" && out.stream != "stderr") return std::nullopt;
  return out;
}

LogFilter::LogFilter(const client::LogOptions& options, Time now)
    : timestamps_(options.timestamps),
      since_(options.since_time),
      bytes_left_(options.limit_bytes) {
  if (options.since_seconds) since_ = now - std::chrono::seconds(*options.since_seconds);
}

bool LogFilter::add(std::string_view line, std::string* out) {
  std::optional<LogLine> parsed = parse_log_line(line);
  if (!parsed) return true;
  if (since_) {
    std::optional<Time> time = parse_time(parsed->time);
    if (time && *time < *since_) return true;
  }
  std::string text;
  if (timestamps_ && !in_line_) text = std::string(parsed->time) + " ";
  text += parsed->text;
  if (!parsed->partial) text += '\n';
  in_line_ = parsed->partial;
  if (!bytes_left_) {
    *out += text;
    return true;
  }
  size_t take = std::min(text.size(), static_cast<size_t>(std::max<int64_t>(*bytes_left_, 0)));
  out->append(text, 0, take);
  *bytes_left_ -= static_cast<int64_t>(take);
  return *bytes_left_ > 0;
}

size_t tail_offset(std::string_view text, int64_t lines) {
  if (lines <= 0) return text.size();
  size_t end = text.size();
  if (end > 0 && text[end - 1] == '\n') --end;
  int64_t seen = 0;
  while (end > 0) {
    size_t newline = text.rfind('\n', end - 1);
    size_t start = newline == std::string_view::npos ? 0 : newline + 1;
    std::optional<LogLine> line = parse_log_line(text.substr(start, end - start));
    // Pieces of a long line count as one, with its last piece.
    if (line && !line->partial && ++seen > lines) return end + 1;
    if (newline == std::string_view::npos) return 0;
    end = newline;
  }
  return 0;
}

std::string log_tail(const std::string& path, int lines, size_t bytes_max) {
  client::LogOptions options;
  options.tail_lines = lines;
  std::string out;
  auto write = [&](std::string_view text) {
    out += text;
    return true;
  };
  auto no = [] { return false; };
  (void)!read_log(path, options, Time{}, write, no, no).ok();
  return out.size() > bytes_max ? out.substr(out.size() - bytes_max) : out;
}

Result<void> read_log(const std::string& path, const client::LogOptions& options, Time now,
                      const std::function<bool(std::string_view)>& write,
                      const std::function<bool()>& stopped, const std::function<bool()>& ended) {
  std::vector<LineReader> files;  // Oldest first.
  int64_t missing = options.tail_lines.value_or(0);
  std::vector<std::pair<std::string, off_t>> plan;
  for (int number = 0;; ++number) {
    std::string name = number == 0 ? path : rotated(path, number);
    Result<os::Fd> fd = os::open_file(name, O_RDONLY | O_CLOEXEC);
    if (!fd.ok()) {
      if (number == 0) return std::move(fd).error();
      break;
    }
    off_t offset = options.tail_lines ? file_tail_offset(fd->get(), missing, &missing) : 0;
    files.insert(files.begin(), LineReader(std::move(*fd)));
    files.front().seek(offset);
    if (options.tail_lines && missing == 0) break;
  }
  LogFilter filter(options, now);
  std::string out;
  bool open = true;
  auto on_line = [&](std::string_view line) {
    open = filter.add(line, &out);
    if (out.size() >= kBlockBytes || !open) {
      if (!write(out)) open = false;
      out.clear();
    }
    return open;
  };
  auto flush = [&] {
    if (!out.empty() && !write(out)) open = false;
    out.clear();
    return open;
  };
  for (LineReader& file : files) {
    if (!file.drain(on_line) || !flush()) return {};
  }
  if (!options.follow) return {};
  LineReader current = std::move(files.back());
  auto follower = std::make_unique<Follower>(path);
  while (!stopped()) {
    bool was_over = ended();
    if (!current.drain(on_line) || !flush()) return {};
    if (was_over) return {};  // Asked before the last read, so nothing can be missed.
    if (!follower->wait()) continue;
    if (!current.drain(on_line) || !flush()) return {};
    Result<os::Fd> next = os::open_file(path, O_RDONLY | O_CLOEXEC);
    if (!next.ok()) continue;
    current = LineReader(std::move(*next));
    follower = std::make_unique<Follower>(path);
  }
  return {};
}

Result<bool> rotate_log(const std::string& path, uint64_t bytes_max, int files_max) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return false;
  if (static_cast<uint64_t>(info.st_size) < bytes_max) return false;
  TRY(os::remove_file(rotated(path, files_max - 1)));
  for (int number = files_max - 2; number >= 1; --number) {
    if (os::exists(rotated(path, number))) {
      TRY(os::rename_path(rotated(path, number), rotated(path, number + 1)));
    }
  }
  TRY(os::rename_path(path, rotated(path, 1)));
  return true;
}

}  // namespace wherry::agent
