#pragma once
// SPDY/3.1, the server's side, as kubectl speaks it for exec, attach and port-forward: one session
// over a Stream, many streams with headers, data in both directions, flow control per stream and
// session.
//
// Threads: one at a time, the one that owns the Stream. Nothing blocks.
//
//   control frame: |1| version(15)=3 | type(16) | flags(8) | length(24) | payload
//   data frame:    |0| stream id(31)            | flags(8) | length(24) | payload
//   a header block is zlib-compressed with the SPDY/3 dictionary, one compressor for the whole
//   session: count(32), then name length(32) name value length(32) value; values of one name split
//   by NUL

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "http/stream.h"

namespace wherry::http {

// The upgrade's answer: Upgrade: SPDY/3.1 and X-Stream-Protocol-Version with the first of
// `protocols` (the server's preference order) that the client offers. kBadRequest when the request
// is no SPDY upgrade; kForbidden, as upstream, when no protocol fits.
bool is_spdy_request(const Request& request);
Result<std::string> accept_spdy(const Request& request, Response& response,
                                const std::vector<std::string>& protocols);

class SpdyHeaderCodec;

class SpdySession {
 public:
  using StreamId = uint32_t;
  enum class EventKind {
    kOpened,  // headers: lower-case names. Answer with reply() or reset().
    kData,    // data; call consumed() when it has been dealt with, which opens the peer's window
              // again.
    kEnd,     // The peer will send nothing more on this stream.
    kReset,   // The stream is gone.
    kClosed,  // The session is over (GOAWAY, end of input); given once, last.
  };
  struct Event {
    EventKind kind;
    StreamId stream = 0;
    Headers headers;
    std::string data;
  };

  explicit SpdySession(Stream& stream);
  ~SpdySession();
  SpdySession(const SpdySession&) = delete;
  SpdySession& operator=(const SpdySession&) = delete;

  // The next event if there is one, reading what is there. An error is a breach of the protocol or
  // a broken connection.
  Result<std::optional<Event>> next();

  Result<void> reply(StreamId stream, const Headers& headers = {});
  // Queues data; it leaves as far as the peer's windows allow. can_send() is 0 when more should
  // wait.
  Result<void> send(StreamId stream, std::string_view data);
  Result<void> finish(StreamId stream);  // Half-close, after all queued data.
  Result<void> reset(StreamId stream, uint32_t status = 5 /* CANCEL */);
  Result<void> consumed(StreamId stream, size_t bytes);
  Result<void> ping();
  Result<void> go_away();

  // Bytes that may be queued on the stream before it is polite to wait for its window.
  size_t can_send(StreamId stream) const;
  size_t queued() const;  // Bytes that wait for a window, all streams.
  bool readable() const;  // next() has something to do without polling.
  Stream& stream() { return stream_; }

 private:
  struct Channel {
    std::string queued;       // Waits for the peer's window.
    int64_t send_window = 0;  // What the peer will take; only heeded once it shows that it counts.
    size_t unacknowledged = 0;
    bool finish_queued = false;
    bool sent_end = false;
    bool got_end = false;
  };

  Result<void> fill();
  Result<bool> take_frame();
  Result<void> control_frame(uint16_t type, uint8_t flags, std::string_view payload);
  Result<void> data_frame(StreamId id, uint8_t flags, std::string_view payload);
  Result<void> syn_stream(uint8_t flags, std::string_view payload);
  Result<void> settings(std::string_view payload);
  Result<void> window_update(StreamId id, uint32_t delta);
  Result<void> send_control(uint16_t type, uint8_t flags, std::string_view payload);
  Result<void> send_data(StreamId id, uint8_t flags, std::string_view data);
  Result<void> pump(StreamId id, Channel& channel);
  Result<void> pump_all();
  void forget_if_done(StreamId id);
  void end_session();

  Stream& stream_;
  std::unique_ptr<SpdyHeaderCodec> codec_;
  std::string input_;
  size_t used_ = 0;
  std::map<StreamId, Channel> channels_;
  std::deque<Event> events_;  // Found in the input, not given out yet.
  // kubectl and its kin neither heed windows nor ever widen ours, so that a server which went by
  // the specification would stop after 64 KB. Windows count from the first sign that the peer knows
  // them.
  bool peer_counts_ = false;
  int64_t session_window_ = 64 << 10;
  int64_t initial_window_ = 64 << 10;
  size_t session_unacknowledged_ = 0;
  StreamId last_stream_ = 0;
  uint32_t next_ping_ = 2;
  bool over_ = false;
};

}  // namespace wherry::http
