// SPDY frames from a peer: no crash, and events only on streams that were opened.

#include <sys/socket.h>

#include <cstdint>
#include <set>

#include "base/check.h"
#include "http/spdy.h"

namespace wherry::http {
namespace {

void run(std::string_view bytes) {
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  auto near = make_socket_stream(ends[0]);
  auto far = make_socket_stream(ends[1]);
  SpdySession session(*near);
  CHECK(far->send(bytes).ok());
  far->shutdown_write();
  std::set<SpdySession::StreamId> open;
  bool closed = false;
  for (;;) {
    Result<std::optional<SpdySession::Event>> event = session.next();
    if (!event.ok() || !*event) break;
    CHECK(!closed);
    SpdySession::StreamId id = (*event)->stream;
    switch ((*event)->kind) {
      case SpdySession::EventKind::kOpened:
        CHECK(open.insert(id).second);
        (void)session.reply(id);
        (void)session.send(id, "answer");
        break;
      case SpdySession::EventKind::kData:
        CHECK(open.contains(id));
        (void)session.consumed(id, (*event)->data.size());
        break;
      case SpdySession::EventKind::kEnd:
        CHECK(open.contains(id));
        (void)session.finish(id);
        break;
      case SpdySession::EventKind::kReset: CHECK(open.contains(id)); break;
      case SpdySession::EventKind::kClosed: closed = true; break;
    }
  }
}

}  // namespace
}  // namespace wherry::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  wherry::http::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
