#pragma once
// Signals as a descriptor. Block them in main() before the first thread starts, so that all threads
// inherit the mask; then read them from one SignalFd.

#include <initializer_list>

#include "base/result.h"
#include "os/fd.h"

namespace wherry::os {

Result<void> block_signals(std::initializer_list<int> signals);
void ignore_broken_pipes();  // SIGPIPE becomes EPIPE.

class SignalFd {
 public:
  static Result<SignalFd> open(std::initializer_list<int> signals);
  int fd() const { return fd_.get(); }
  // The next pending signal; 0 when there is none. Does not block.
  int read();

 private:
  explicit SignalFd(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace wherry::os
