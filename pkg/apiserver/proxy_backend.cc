#include "apiserver/proxy_backend.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr size_t kHeadBytesMax = 256 << 10;
constexpr size_t kPieceBytes = 32 << 10;

Error malformed() { return Error::unavailable("malformed HTTP response"); }

}  // namespace

Result<void> ProxyBackend::send(std::string_view method, std::string_view target,
                                const http::Headers& headers, std::string_view body) {
  head_only_ = method == "HEAD";
  std::string out = fmt::format("{} {} HTTP/1.1\r\n", method, target);
  for (const auto& [name, value] : headers.fields()) out += name + ": " + value + "\r\n";
  out += "\r\n";
  out += body;
  return stream_->write_all(out);
}

Result<bool> ProxyBackend::fill(std::chrono::milliseconds limit) {
  char piece[kPieceBytes];
  http::Stream::Read read = TRY(stream_->read_wait(piece, sizeof piece, limit));
  buffer_.append(piece, read.bytes);
  return !(read.end && read.bytes == 0);
}

Result<std::string> ProxyBackend::read_line(std::chrono::milliseconds limit) {
  size_t end;
  while ((end = buffer_.find('\n')) == std::string::npos) {
    if (buffer_.size() > kHeadBytesMax) return malformed();
    if (!TRY(fill(limit))) return Error::unavailable("EOF");
  }
  std::string line(trim(std::string_view(buffer_).substr(0, end)));
  buffer_.erase(0, end + 1);
  return line;
}

Result<ProxyBackend::Head> ProxyBackend::read_head(std::chrono::milliseconds limit) {
  for (;;) {
    Head head;
    std::string status_line = TRY(read_line(limit));
    if (!status_line.starts_with("HTTP/1.") || status_line.size() < 12) return malformed();
    std::optional<int64_t> status = parse_int(std::string_view(status_line).substr(9, 3));
    if (!status || *status < 100) return malformed();
    head.status = static_cast<int>(*status);
    size_t bytes = 0;
    for (;;) {
      std::string line = TRY(read_line(limit));
      if (line.empty()) break;
      bytes += line.size();
      auto field = split_once(line, ":");
      if (!field || bytes > kHeadBytesMax) return malformed();
      head.headers.add(std::string(trim(field->first)), std::string(trim(field->second)));
    }
    if (head.status < 200 && head.status != 101) continue;
    TRY(choose_framing(head));
    return head;
  }
}

// RFC 9112, section 6.3.
Result<void> ProxyBackend::choose_framing(const Head& head) {
  if (head_only_ || head.status < 200 || head.status == 204 || head.status == 304) {
    framing_ = Framing::kNone;
  } else if (head.headers.has_token("Transfer-Encoding", "chunked")) {
    framing_ = Framing::kChunked;
  } else if (head.headers.has("Content-Length")) {
    std::optional<uint64_t> length = parse_uint(head.headers.get("Content-Length"));
    if (!length) return malformed();
    left_ = *length;
    framing_ = Framing::kLength;
  } else {
    framing_ = Framing::kUntilClose;
  }
  ended_ = framing_ == Framing::kNone || (framing_ == Framing::kLength && left_ == 0);
  return {};
}

Result<void> ProxyBackend::next_chunk(std::chrono::milliseconds limit) {
  if (std::exchange(in_chunk_, false)) static_cast<void>(TRY(read_line(limit)));
  std::string line = TRY(read_line(limit));
  std::string_view digits = trim(std::string_view(line).substr(0, line.find(';')));
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), left_, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return malformed();
  in_chunk_ = left_ != 0;
  if (left_ != 0) return {};
  ended_ = true;
  // Trailers say nothing that a proxy passes on.
  for (std::string trailer = line; !trailer.empty();) trailer = TRY(read_line(limit));
  return {};
}

Result<std::string> ProxyBackend::take(std::chrono::milliseconds limit) {
  if (buffer_.empty() && !TRY(fill(limit))) return Error::unavailable("unexpected EOF");
  std::string piece = buffer_.substr(0, std::min<uint64_t>(left_, buffer_.size()));
  buffer_.erase(0, piece.size());
  left_ -= piece.size();
  return piece;
}

Result<std::string> ProxyBackend::read_piece(std::chrono::milliseconds limit) {
  if (ended_) return std::string();
  if (framing_ == Framing::kUntilClose) {
    if (buffer_.empty() && !TRY(fill(limit))) ended_ = true;
    return std::exchange(buffer_, {});
  }
  if (framing_ == Framing::kChunked && left_ == 0) {
    TRY(next_chunk(limit));
    if (ended_) return std::string();
  }
  std::string piece = TRY(take(limit));
  if (framing_ == Framing::kLength && left_ == 0) ended_ = true;
  return piece;
}

bool ProxyBackend::wait(std::chrono::milliseconds limit) {
  return ended_ || !buffer_.empty() || stream_->wait_readable(limit);
}

Result<std::string> ProxyBackend::read_all(size_t bytes_max, std::chrono::milliseconds limit) {
  std::string body;
  for (;;) {
    std::string piece = TRY(read_piece(limit));
    if (piece.empty()) return body;
    body += piece;
    if (body.size() > bytes_max) return Error::unavailable("the answer is too large");
  }
}

}  // namespace wherry::apiserver
