#pragma once
// CHECK: states what must be true unless we ourselves made a mistake. Always on; a failure prints
// the place and ends the process. Never used for what a client, a peer, the kernel or the disk can
// cause.

namespace wherry {

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace wherry

#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::wherry::check_failed(#condition, __FILE__, __LINE__))
