#include "http/websocket.h"

#include <algorithm>

#include "base/random.h"

namespace wherry::http {
namespace {

constexpr uint8_t kContinuation = 0x0;
constexpr uint8_t kTextFrame = 0x1;
constexpr uint8_t kBinaryFrame = 0x2;
constexpr uint8_t kCloseFrame = 0x8;
constexpr uint8_t kPingFrame = 0x9;
constexpr uint8_t kPongFrame = 0xa;

constexpr uint16_t kProtocolError = 1002;
constexpr uint16_t kBadData = 1007;
constexpr uint16_t kTooBig = 1009;
constexpr uint16_t kNoCode = 1005;
constexpr uint16_t kVanished = 1006;

constexpr size_t kControlBytesMax = 125;
constexpr size_t kReadBytes = 16 << 10;
constexpr size_t kUnsentBytesMax = 4 << 20;  // A peer that asks and never reads.

uint64_t big_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

void apply_mask(std::string& payload, std::string_view mask) {
  for (size_t i = 0; i < payload.size(); ++i)
    payload[i] = static_cast<char>(payload[i] ^ mask[i % 4]);
}

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    auto first = static_cast<unsigned char>(text[i]);
    size_t length = first < 0x80   ? 1
                    : first < 0xc2 ? 0
                    : first < 0xe0 ? 2
                    : first < 0xf0 ? 3
                    : first < 0xf5 ? 4
                                   : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    auto second = length > 1 ? static_cast<unsigned char>(text[i + 1]) : 0x80;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
      return false;
    }
    i += length;
  }
  return true;
}

bool is_close_code(uint16_t code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != kNoCode && code != kVanished) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace

WebSocket::WebSocket(Stream& stream, Role role, size_t message_bytes_max)
    : stream_(stream), role_(role), message_bytes_max_(message_bytes_max) {}

std::optional<WebSocket::Extent> WebSocket::frame_extent() const {
  std::string_view rest = std::string_view(input_).substr(consumed_);
  if (rest.size() < 2) return std::nullopt;
  auto second = static_cast<unsigned char>(rest[1]);
  size_t length_bytes = (second & 0x7f) == 126 ? 2 : (second & 0x7f) == 127 ? 8 : 0;
  Extent extent;
  extent.head = 2 + length_bytes + ((second & 0x80) != 0 ? 4 : 0);
  if (rest.size() < extent.head) return std::nullopt;
  extent.payload = length_bytes == 0 ? second & 0x7f : big_endian(rest.substr(2, length_bytes));
  return extent;
}

Error WebSocket::breach(uint16_t code, std::string_view message) {
  (void)close(code, message);
  close_received_ = true;  // Nothing the peer says from here on counts.
  return Error::bad_request("websocket: {}", message);
}

// Checks what the head says as soon as it is there, before a payload is waited for.
Result<std::optional<WebSocket::Frame>> WebSocket::take_frame() {
  std::optional<Extent> extent = frame_extent();
  if (!extent) return std::optional<Frame>();
  auto first = static_cast<unsigned char>(input_[consumed_]);
  bool masked = (static_cast<unsigned char>(input_[consumed_ + 1]) & 0x80) != 0;
  Frame frame;
  frame.opcode = first & 0x0f;
  frame.final = (first & 0x80) != 0;
  if ((first & 0x70) != 0) return breach(kProtocolError, "reserved bits are set");
  if (masked != (role_ == Role::kServer)) return breach(kProtocolError, "the masking is wrong");
  bool is_control = frame.opcode >= kCloseFrame;
  if (frame.opcode > kPongFrame || (frame.opcode > kBinaryFrame && !is_control)) {
    return breach(kProtocolError, "unknown kind of frame");
  }
  if (is_control && (!frame.final || extent->payload > kControlBytesMax)) {
    return breach(kProtocolError, "malformed control frame");
  }
  if (extent->payload > message_bytes_max_ ||
      assembling_.size() + extent->payload > message_bytes_max_) {
    return breach(kTooBig, "the message is too long");
  }
  if (input_.size() - consumed_ < extent->head + extent->payload) return std::optional<Frame>();
  frame.payload = input_.substr(consumed_ + extent->head, extent->payload);
  if (masked)
    apply_mask(frame.payload, std::string_view(input_).substr(consumed_ + extent->head - 4, 4));
  consumed_ += extent->head + extent->payload;
  if (consumed_ == input_.size()) {
    input_.clear();
    consumed_ = 0;
  } else if (consumed_ > (64 << 10)) {
    input_.erase(0, consumed_);
    consumed_ = 0;
  }
  return std::optional<Frame>(std::move(frame));
}

Result<std::optional<WebSocket::Message>> WebSocket::control(const Frame& frame) {
  if (frame.opcode == kPingFrame) {
    if (stream_.queued() > kUnsentBytesMax)
      return Error::unavailable("websocket: the peer does not read");
    if (!close_sent_) TRY(send_frame(kPongFrame, {}, frame.payload));
    return std::optional<Message>();
  }
  if (frame.opcode == kPongFrame) return std::optional<Message>();
  Message message{Kind::kClose, {}, kNoCode};
  if (frame.payload.size() == 1) return breach(kProtocolError, "malformed close frame");
  if (frame.payload.size() >= 2) {
    message.close_code =
        static_cast<uint16_t>(big_endian(std::string_view(frame.payload).substr(0, 2)));
    message.data = frame.payload.substr(2);
    if (!is_close_code(message.close_code) || !is_utf8(message.data)) {
      return breach(kProtocolError, "malformed close frame");
    }
  }
  close_received_ = true;
  close_given_ = true;
  TRY(close(message.close_code == kNoCode ? 1000 : message.close_code));
  return std::optional<Message>(std::move(message));
}

Result<std::optional<WebSocket::Message>> WebSocket::take_message() {
  for (;;) {
    std::optional<Frame> frame = TRY(take_frame());
    if (!frame) return std::optional<Message>();
    if (frame->opcode >= kCloseFrame) {
      std::optional<Message> message = TRY(control(*frame));
      if (message) return message;
      continue;
    }
    bool continues = frame->opcode == kContinuation;
    if (continues != (assembling_opcode_ != 0))
      return breach(kProtocolError, "fragments are out of order");
    if (!continues) assembling_opcode_ = frame->opcode;
    if (assembling_.empty()) {
      assembling_ = std::move(frame->payload);
    } else {
      assembling_ += frame->payload;
    }
    if (!frame->final) continue;
    Message message{assembling_opcode_ == kTextFrame ? Kind::kText : Kind::kBinary,
                    std::exchange(assembling_, {}), 0};
    assembling_opcode_ = 0;
    if (message.kind == Kind::kText && !is_utf8(message.data))
      return breach(kBadData, "the text is not UTF-8");
    return std::optional<Message>(std::move(message));
  }
}

Result<std::optional<WebSocket::Message>> WebSocket::receive() {
  char buffer[kReadBytes];
  while (!close_given_) {
    if (close_received_) return std::optional<Message>();  // After a breach.
    std::optional<Message> message = TRY(take_message());
    if (message) return message;
    if (!end_of_input_) {
      Stream::Read got = TRY(stream_.read(buffer, sizeof(buffer)));
      input_.append(buffer, got.bytes);
      end_of_input_ = got.end;
      if (got.bytes > 0) continue;
      if (!got.end) return std::optional<Message>();
    }
    close_given_ = true;
    return std::optional<Message>(Message{Kind::kClose, {}, kVanished});
  }
  return std::optional<Message>();
}

Result<WebSocket::Message> WebSocket::receive_wait(std::chrono::milliseconds limit) {
  auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    std::optional<Message> message = TRY(receive());
    if (message) return std::move(*message);
    if (close_given_) return Error::unavailable("websocket: already closed");
    TRY(stream_.flush());
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return Error::timeout("websocket: no message within {} ms", limit.count());
    stream_.wait_readable(left);
  }
}

Result<void> WebSocket::send_frame(uint8_t opcode, std::string_view head, std::string_view data) {
  size_t size = head.size() + data.size();
  std::string frame;
  frame.reserve(size + 14);
  frame += static_cast<char>(0x80 | opcode);
  auto mask_bit = static_cast<uint8_t>(role_ == Role::kClient ? 0x80 : 0);
  if (size < 126) {
    frame += static_cast<char>(mask_bit | size);
  } else {
    size_t length_bytes = size < (1 << 16) ? 2 : 8;
    frame += static_cast<char>(mask_bit | (length_bytes == 2 ? 126 : 127));
    for (size_t i = length_bytes; i-- > 0;) frame += static_cast<char>(size >> (8 * i) & 0xff);
  }
  if (role_ == Role::kServer) {
    frame.append(head).append(data);
    return stream_.send(frame);
  }
  std::string mask = random_bytes(4);
  std::string payload(head);
  payload.append(data);
  apply_mask(payload, mask);
  return stream_.send(frame + mask + payload);
}

Result<void> WebSocket::send(Kind kind, std::string_view data) {
  CHECK(kind != Kind::kClose);
  if (close_sent_) return Error::unavailable("websocket: already closed");
  return send_frame(kind == Kind::kText ? kTextFrame : kBinaryFrame, {}, data);
}

Result<void> WebSocket::send_channel(uint8_t channel, std::string_view data) {
  if (close_sent_) return Error::unavailable("websocket: already closed");
  char head = static_cast<char>(channel);
  return send_frame(kBinaryFrame, {&head, 1}, data);
}

Result<void> WebSocket::ping() {
  if (close_sent_) return {};
  return send_frame(kPingFrame, {}, {});
}

Result<void> WebSocket::close(uint16_t code, std::string_view reason) {
  if (std::exchange(close_sent_, true)) return {};
  std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  payload.append(reason.substr(0, kControlBytesMax - 2));
  return send_frame(kCloseFrame, {}, payload);
}

bool WebSocket::readable() const {
  if (close_given_) return false;
  if (stream_.readable()) return true;
  std::optional<Extent> extent = frame_extent();
  return extent && input_.size() - consumed_ >= extent->head + extent->payload;
}

namespace {

class WebSocketStream final : public Stream {
 public:
  explicit WebSocketStream(WebSocket& socket) : socket_(socket) {}

  int fd() const override { return socket_.stream().fd(); }
  bool readable() const override { return at_ < message_.size() || socket_.readable(); }

  Result<Read> read(char* to, size_t size) override {
    while (at_ == message_.size()) {
      if (ended_) return Read{0, true};
      std::optional<WebSocket::Message> next = TRY(socket_.receive());
      if (!next) return Read{0, socket_.closing()};
      ended_ = next->kind == WebSocket::Kind::kClose;
      message_ = ended_ ? std::string() : std::move(next->data);
      at_ = 0;
    }
    size_t count = message_.copy(to, size, at_);
    at_ += count;
    return Read{count, false};
  }

  Result<void> send(std::string_view bytes) override {
    if (bytes.empty()) return {};
    return socket_.send(WebSocket::Kind::kBinary, bytes);
  }
  Result<void> flush() override { return socket_.stream().flush(); }
  size_t queued() const override { return socket_.stream().queued(); }
  void shutdown_write() override { (void)socket_.close(); }

 private:
  WebSocket& socket_;
  std::string message_;
  size_t at_ = 0;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Stream> make_websocket_stream(WebSocket& socket) {
  return std::make_unique<WebSocketStream>(socket);
}

}  // namespace wherry::http
