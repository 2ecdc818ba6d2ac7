#include "http/piece_writer.h"

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "http/connection.h"

namespace wherry::http {
namespace {

constexpr size_t kRecordBytes = 16 << 10;  // One TLS record; also enough per system call.

}  // namespace

// The next bytes: the piece in front when it fills a record, else as many as make one. The same
// position gives the same bytes, which TLS demands of a repeated write.
std::string_view PieceWriter::next() {
  thread_local std::string scratch;
  std::string_view bytes = pieces_[at_].bytes.substr(offset_);
  if (bytes.size() >= kRecordBytes || at_ + 1 == pieces_.size()) return bytes;
  scratch.assign(bytes);
  for (size_t i = at_ + 1; i < pieces_.size() && scratch.size() < kRecordBytes; ++i) {
    scratch.append(pieces_[i].bytes.substr(0, kRecordBytes - scratch.size()));
  }
  return scratch;
}

void PieceWriter::advance(size_t bytes) {
  progressed_ = true;
  offset_ += bytes;
  while (at_ < pieces_.size() && offset_ >= pieces_[at_].bytes.size()) {
    offset_ -= pieces_[at_].bytes.size();
    pieces_[at_].owner.reset();
    ++at_;
  }
}

PieceWriter::State PieceWriter::write(Connection& connection) {
  while (at_ < pieces_.size()) {
    Io io = connection.write(next());
    if (io.state == IoState::kWouldBlock) {
      held_.reset();
      return State::kBlocked;
    }
    if (io.state != IoState::kDone) return State::kBroken;
    advance(io.bytes);
  }
  return State::kDone;
}

bool PieceWriter::finish(Connection& connection, MonotonicTime limit) {
  for (;;) {
    State state = write(connection);
    if (state != State::kBlocked) return state == State::kDone;
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(limit - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    bool output = connection.wanted_events() == EPOLLOUT;
    pollfd waiting{connection.fd(), static_cast<short>(output ? POLLOUT : POLLIN), 0};
    int ready = poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) return false;
  }
}

}  // namespace wherry::http
