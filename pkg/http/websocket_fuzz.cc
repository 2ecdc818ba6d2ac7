// WebSocket frames from a peer: no crash, nothing longer than the limit, one close at the end.

#include <sys/socket.h>

#include <cstdint>

#include "base/check.h"
#include "http/websocket.h"

namespace wherry::http {
namespace {

constexpr size_t kMessageBytesMax = 1000;

void run(std::string_view bytes) {
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  auto near = make_socket_stream(ends[0]);
  auto far = make_socket_stream(ends[1]);
  WebSocket socket(*near, WebSocket::Role::kServer, kMessageBytesMax);
  CHECK(far->send(bytes).ok());
  far->shutdown_write();
  int closes = 0;
  for (;;) {
    Result<std::optional<WebSocket::Message>> message = socket.receive();
    if (!message.ok() || !*message) break;
    CHECK((*message)->data.size() <= kMessageBytesMax);
    CHECK(closes == 0);
    if ((*message)->kind == WebSocket::Kind::kClose) ++closes;
  }
}

}  // namespace
}  // namespace wherry::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  wherry::http::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
