#pragma once
// Listening sockets.

#include <cstdint>
#include <string>

#include "base/result.h"

namespace wherry::http {

// A non-blocking listening TCP socket on "192.0.2.1:6443", "[::]:6443" (both families) or
// "0.0.0.0:0".
Result<int> listen_on(const std::string& address);
uint16_t bound_port(int fd);

// The options of an accepted connection: no delay, and dead peers noticed within minutes.
void tune_socket(int fd);

}  // namespace wherry::http
