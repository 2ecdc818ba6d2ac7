#pragma once
// Streams of an exec'd process or an attached container, as the shim's answers and plain pipes.

#include <functional>
#include <memory>

#include "base/result.h"
#include "container/sandbox.h"
#include "container/shim_client.h"
#include "os/fd.h"

namespace wherry::container {

struct SessionStreams {
  os::Fd input;  // To the process.
  os::Fd output;
  os::Fd error;
  os::Fd terminal;                        // Instead of all three.
  std::function<void()> on_input_closed;  // Attach with stdinOnce: tells the shim. May be empty.
};

// Makes what descriptors there are non-blocking.
std::unique_ptr<Session> make_session(ShimCall call, SessionStreams streams);

}  // namespace wherry::container
