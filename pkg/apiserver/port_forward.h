#pragma once
// Port-forward: many connections into one pod over one client connection. Over SPDY (plain or
// inside WebSocket messages) each forwarded connection is a pair of streams, "error" and "data",
// with the same requestID; over WebSocket channels each port has two channels for one connection.
//
// One thread, until the client leaves.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/stream.h"
#include "os/fd.h"

namespace wherry::apiserver {

// Dials a port inside the pod.
using Dial = std::function<Result<os::Fd>(uint16_t port)>;

// `pod` names the pod in error texts: "web, uid 1234".
void forward_over_spdy(http::Stream& stream, const Dial& dial, const std::string& pod);
void forward_over_websocket(http::Stream& stream, bool base64, const std::vector<uint16_t>& ports,
                            const Dial& dial, const std::string& pod);

}  // namespace wherry::apiserver
