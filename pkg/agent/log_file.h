#pragma once
// Container logs in the form that the shim writes (the CRI's): "TIME stdout F text", with P instead
// of F for a piece of a line that goes on. Reading with kubectl's options, following, and rotation:
//
//   0.log         written now
//   0.log.1 ...   rotated, the newest has the lowest number

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "client/node_api.h"

namespace wherry::agent {

struct LogLine {
  std::string_view time;    // As written.
  std::string_view stream;  // "stdout" or "stderr".
  bool partial = false;     // Another piece follows.
  std::string_view text;    // Without the end of line.
};
// Empty for a line that is not in the format.
std::optional<LogLine> parse_log_line(std::string_view line);

// Turns lines of the file into what a client sees; keeps count of limits. Pure.
class LogFilter {
 public:
  LogFilter(const client::LogOptions& options, Time now);
  // Appends to `out`; false once the limit of bytes is reached.
  bool add(std::string_view line, std::string* out);

 private:
  const bool timestamps_;
  std::optional<Time> since_;
  std::optional<int64_t> bytes_left_;
  bool in_line_ = false;
};

// Offset in `text` where the last `lines` whole log lines begin.
size_t tail_offset(std::string_view text, int64_t lines);

// The last lines of a log without their prefixes, at most so many bytes.
std::string log_tail(const std::string& path, int lines, size_t bytes_max);

// Reads `path` and, before it, its rotated siblings as far as options ask. With follow it goes on
// until `ended` says that the container has ended and all is read, `write` says false or `stopped`
// fires.
Result<void> read_log(const std::string& path, const client::LogOptions& options, Time now,
                      const std::function<bool(std::string_view)>& write,
                      const std::function<bool()>& stopped, const std::function<bool()>& ended);

// Moves a log that has outgrown `bytes_max` away and drops the oldest beyond `files_max`. True when
// the writer must open the file anew.
Result<bool> rotate_log(const std::string& path, uint64_t bytes_max, int files_max);

}  // namespace wherry::agent
