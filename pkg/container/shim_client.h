#pragma once
// One request to a pod's shim (cmd/shim/protocol.h). A call is a connection of its own: it is open
// while the request is under way, and hanging up tells the shim that nobody waits any more. Any
// thread; a call belongs to one.

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/fd.h"

namespace wherry::container {

struct ShimAnswer {
  std::vector<std::string> words;
  std::vector<os::Fd> fds;
  bool is(std::string_view verb) const { return !words.empty() && words[0] == verb; }
  int64_t number(size_t index) const;  // 0 when it is not there.
};

class ShimCall {
 public:
  // kUnavailable when the shim is gone.
  static Result<ShimCall> open(const std::string& socket_path,
                               const std::vector<std::string>& words,
                               const std::vector<int>& fds = {});
  // The next answer; kTimeout after the limit, kUnavailable when the shim has hung up.
  Result<ShimAnswer> receive(std::chrono::milliseconds limit);
  int fd() const { return connection_.get(); }  // Readable when there is an answer.
  os::Fd release() { return std::move(connection_); }

 private:
  explicit ShimCall(os::Fd connection) : connection_(std::move(connection)) {}
  os::Fd connection_;
};

Result<ShimAnswer> receive_answer(int connection, std::chrono::milliseconds limit);

// A request with one answer. An "error" answer comes back as such, for the caller to word.
Result<ShimAnswer> ask_shim(const std::string& socket_path, const std::vector<std::string>& words,
                            std::chrono::milliseconds limit = std::chrono::seconds(10));

}  // namespace wherry::container
