#include "http/spdy.h"

#include <algorithm>

#include "base/strings.h"
#include "http/spdy_headers.h"

namespace wherry::http {
namespace {

constexpr uint16_t kVersion = 3;
constexpr uint16_t kSynStream = 1;
constexpr uint16_t kSynReply = 2;
constexpr uint16_t kRstStream = 3;
constexpr uint16_t kSettings = 4;
constexpr uint16_t kPing = 6;
constexpr uint16_t kGoAway = 7;
constexpr uint16_t kHeaders = 8;
constexpr uint16_t kWindowUpdate = 9;

constexpr uint8_t kFlagFin = 0x01;
constexpr uint32_t kResetProtocolError = 1;
constexpr uint32_t kResetRefused = 3;
constexpr uint32_t kSettingInitialWindow = 7;

constexpr size_t kHeadBytes = 8;
constexpr size_t kFrameBytesMax = 4 << 20;
constexpr size_t kDataBytesMax = 32 << 10;  // Of a frame we send.
constexpr size_t kStreamsMax = 1000;
constexpr size_t kUnsentBytesPolite = 256 << 10;
constexpr size_t kUnsentBytesMax = 8 << 20;  // A peer that asks and never reads.
constexpr size_t kAcknowledgeBytes = 32 << 10;
constexpr size_t kReadBytes = 16 << 10;

uint32_t number(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

void put(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

std::string numbers(std::initializer_list<uint32_t> values) {
  std::string out;
  for (uint32_t value : values) put(out, value);
  return out;
}

}  // namespace

bool is_spdy_request(const Request& request) {
  return request.headers.has_token("Connection", "upgrade") &&
         request.headers.has_token("Upgrade", "SPDY/3.1");
}

Result<std::string> accept_spdy(const Request& request, Response& response,
                                const std::vector<std::string>& protocols) {
  if (!is_spdy_request(request)) {
    return Error::bad_request("unable to upgrade: missing upgrade headers in request");
  }
  std::vector<std::string_view> offered;
  for (std::string_view line : request.headers.all("X-Stream-Protocol-Version")) {
    for (std::string_view item : split(line, ',')) offered.push_back(trim(item));
  }
  for (const std::string& protocol : protocols) {
    // A client that names none speaks the first, unversioned protocol.
    bool fits = protocol.empty()
                    ? offered.empty()
                    : std::find(offered.begin(), offered.end(), protocol) != offered.end();
    if (!fits) continue;
    response.status = 101;
    response.headers.set("Upgrade", "SPDY/3.1");
    if (!protocol.empty()) response.headers.set("X-Stream-Protocol-Version", protocol);
    return protocol;
  }
  for (const std::string& protocol : protocols)
    response.headers.add("X-Accepted-Stream-Protocol-Versions", protocol);
  return Error::make(
      Code::kForbidden,
      "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
      join(offered, " "), join(protocols, " "));
}

SpdySession::SpdySession(Stream& stream)
    : stream_(stream), codec_(std::make_unique<SpdyHeaderCodec>()) {}
SpdySession::~SpdySession() = default;

Result<std::optional<SpdySession::Event>> SpdySession::next() {
  for (;;) {
    if (!events_.empty()) {
      Event event = std::move(events_.front());
      events_.pop_front();
      return std::optional<Event>(std::move(event));
    }
    if (over_) return std::optional<Event>();
    bool progress = TRY(take_frame());
    if (progress || !events_.empty()) continue;
    size_t before = input_.size();
    TRY(fill());
    if (input_.size() == before && events_.empty()) return std::optional<Event>();
  }
}

Result<void> SpdySession::fill() {
  char buffer[kReadBytes];
  Stream::Read got = TRY(stream_.read(buffer, sizeof(buffer)));
  input_.append(buffer, got.bytes);
  if (got.end) end_session();
  return {};
}

void SpdySession::end_session() {
  if (std::exchange(over_, true)) return;
  events_.push_back({.kind = EventKind::kClosed});
}

// True when a frame was there.
Result<bool> SpdySession::take_frame() {
  std::string_view rest = std::string_view(input_).substr(used_);
  if (rest.size() < kHeadBytes) return false;
  uint32_t first = number(rest, 0);
  uint32_t second = number(rest, 4);
  auto flags = static_cast<uint8_t>(second >> 24);
  size_t length = second & 0xffffff;
  if (length > kFrameBytesMax)
    return Error::bad_request("spdy: a frame of {} bytes is too long", length);
  if (rest.size() < kHeadBytes + length) return false;
  std::string_view payload = rest.substr(kHeadBytes, length);
  if ((first & 0x80000000U) == 0) {
    TRY(data_frame(first, flags, payload));
  } else {
    if ((first >> 16 & 0x7fff) != kVersion) return Error::bad_request("spdy: not version 3");
    TRY(control_frame(static_cast<uint16_t>(first & 0xffff), flags, payload));
  }
  used_ += kHeadBytes + length;
  if (used_ == input_.size()) {
    input_.clear();
    used_ = 0;
  } else if (used_ > (64 << 10)) {
    input_.erase(0, used_);
    used_ = 0;
  }
  return true;
}

Result<void> SpdySession::control_frame(uint16_t type, uint8_t flags, std::string_view payload) {
  if (stream_.queued() > kUnsentBytesMax) return Error::unavailable("spdy: the peer does not read");
  if (type == kSynStream) return syn_stream(flags, payload);
  if (type == kSettings) return settings(payload);
  if (payload.size() < 4) return Error::bad_request("spdy: a control frame is too short");
  StreamId id = number(payload, 0) & 0x7fffffffU;
  auto channel = channels_.find(id);
  switch (type) {
    case kSynReply:
    case kHeaders:
      // Nothing here needs them, but the compression state does.
      (void)TRY(codec_->decode(payload.substr(4)));
      if (channel != channels_.end() && (flags & kFlagFin) != 0)
        return data_frame(id, kFlagFin, {});
      return {};
    case kRstStream:
      if (channel == channels_.end()) return {};
      channels_.erase(channel);
      events_.push_back({.kind = EventKind::kReset, .stream = id});
      return {};
    case kPing:
      // Even ones are answers to ours.
      if ((number(payload, 0) & 1) == 0) return {};
      return send_control(kPing, 0, payload.substr(0, 4));
    case kGoAway: end_session(); return {};
    case kWindowUpdate:
      if (payload.size() < 8) return Error::bad_request("spdy: a control frame is too short");
      return window_update(id, number(payload, 4) & 0x7fffffffU);
    default: return {};  // To be ignored, says the specification.
  }
}

Result<void> SpdySession::syn_stream(uint8_t flags, std::string_view payload) {
  if (payload.size() < 10) return Error::bad_request("spdy: a SYN_STREAM is too short");
  StreamId id = number(payload, 0) & 0x7fffffffU;
  Headers headers = TRY(codec_->decode(payload.substr(10)));
  if (id % 2 == 0 || id <= last_stream_)
    return send_control(kRstStream, 0, numbers({id, kResetProtocolError}));
  last_stream_ = id;
  if (channels_.size() >= kStreamsMax)
    return send_control(kRstStream, 0, numbers({id, kResetRefused}));
  Channel& channel = channels_[id];
  channel.send_window = initial_window_;
  channel.got_end = (flags & kFlagFin) != 0;
  events_.push_back({.kind = EventKind::kOpened, .stream = id, .headers = std::move(headers)});
  if (channel.got_end) events_.push_back({.kind = EventKind::kEnd, .stream = id});
  return {};
}

Result<void> SpdySession::data_frame(StreamId id, uint8_t flags, std::string_view payload) {
  auto found = channels_.find(id);
  // A stream that is gone, or whose end was announced: what was still under way is dropped.
  if (found == channels_.end() || found->second.got_end) return consumed(0, payload.size());
  if (!payload.empty())
    events_.push_back({.kind = EventKind::kData, .stream = id, .data = std::string(payload)});
  if ((flags & kFlagFin) != 0) {
    found->second.got_end = true;
    events_.push_back({.kind = EventKind::kEnd, .stream = id});
    forget_if_done(id);
  }
  return {};
}

Result<void> SpdySession::settings(std::string_view payload) {
  if (payload.size() < 4) return Error::bad_request("spdy: a SETTINGS is too short");
  size_t count = number(payload, 0);
  if (payload.size() < 4 + count * 8) return Error::bad_request("spdy: a SETTINGS is too short");
  for (size_t i = 0; i < count; ++i) {
    if ((number(payload, 4 + i * 8) & 0xffffff) != kSettingInitialWindow) continue;
    int64_t window = number(payload, 8 + i * 8) & 0x7fffffffU;
    peer_counts_ = true;
    for (auto& [id, channel] : channels_) channel.send_window += window - initial_window_;
    initial_window_ = window;
  }
  return pump_all();
}

Result<void> SpdySession::window_update(StreamId id, uint32_t delta) {
  peer_counts_ = true;
  if (id == 0) {
    session_window_ += delta;
  } else if (auto found = channels_.find(id); found != channels_.end()) {
    found->second.send_window += delta;
  }
  return pump_all();
}

Result<void> SpdySession::send_control(uint16_t type, uint8_t flags, std::string_view payload) {
  std::string frame = numbers({0x80000000U | uint32_t{kVersion} << 16 | type,
                               uint32_t{flags} << 24 | static_cast<uint32_t>(payload.size())});
  frame.append(payload);
  return stream_.send(frame);
}

Result<void> SpdySession::send_data(StreamId id, uint8_t flags, std::string_view data) {
  std::string frame = numbers({id, uint32_t{flags} << 24 | static_cast<uint32_t>(data.size())});
  frame.append(data);
  return stream_.send(frame);
}

Result<void> SpdySession::reply(StreamId id, const Headers& headers) {
  if (channels_.find(id) == channels_.end()) return {};
  return send_control(kSynReply, 0, numbers({id}) + codec_->encode(headers));
}

Result<void> SpdySession::send(StreamId id, std::string_view data) {
  auto found = channels_.find(id);
  if (found == channels_.end() || found->second.finish_queued || data.empty()) return {};
  found->second.queued.append(data);
  return pump(id, found->second);
}

Result<void> SpdySession::finish(StreamId id) {
  auto found = channels_.find(id);
  if (found == channels_.end() || found->second.finish_queued) return {};
  found->second.finish_queued = true;
  TRY(pump(id, found->second));
  forget_if_done(id);
  return {};
}

Result<void> SpdySession::pump(StreamId id, Channel& channel) {
  size_t sent = 0;
  while (sent < channel.queued.size()) {
    size_t size = std::min(channel.queued.size() - sent, kDataBytesMax);
    if (peer_counts_) {
      int64_t window = std::min(channel.send_window, session_window_);
      if (window <= 0) break;
      size = std::min(size, static_cast<size_t>(window));
    }
    TRY(send_data(id, 0, std::string_view(channel.queued).substr(sent, size)));
    channel.send_window -= static_cast<int64_t>(size);
    session_window_ -= static_cast<int64_t>(size);
    sent += size;
  }
  channel.queued.erase(0, sent);
  if (channel.queued.empty() && channel.finish_queued && !channel.sent_end) {
    channel.sent_end = true;
    TRY(send_data(id, kFlagFin, {}));
  }
  return {};
}

Result<void> SpdySession::pump_all() {
  std::vector<StreamId> ids;
  for (auto& [id, channel] : channels_) {
    TRY(pump(id, channel));
    ids.push_back(id);
  }
  for (StreamId id : ids) forget_if_done(id);
  return {};
}

void SpdySession::forget_if_done(StreamId id) {
  auto found = channels_.find(id);
  if (found != channels_.end() && found->second.sent_end && found->second.got_end)
    channels_.erase(found);
}

Result<void> SpdySession::reset(StreamId id, uint32_t status) {
  if (channels_.erase(id) == 0) return {};
  return send_control(kRstStream, 0, numbers({id, status}));
}

// Opens the windows again in large steps. Peers that do not count ignore this.
Result<void> SpdySession::consumed(StreamId id, size_t bytes) {
  session_unacknowledged_ += bytes;
  if (session_unacknowledged_ >= kAcknowledgeBytes) {
    auto step = static_cast<uint32_t>(std::exchange(session_unacknowledged_, 0));
    TRY(send_control(kWindowUpdate, 0, numbers({0, step})));
  }
  auto found = channels_.find(id);
  if (found == channels_.end() || found->second.got_end) return {};
  found->second.unacknowledged += bytes;
  if (found->second.unacknowledged < kAcknowledgeBytes) return {};
  auto step = static_cast<uint32_t>(std::exchange(found->second.unacknowledged, 0));
  return send_control(kWindowUpdate, 0, numbers({id, step}));
}

Result<void> SpdySession::ping() {
  uint32_t id = next_ping_;
  next_ping_ += 2;
  return send_control(kPing, 0, numbers({id}));
}

Result<void> SpdySession::go_away() { return send_control(kGoAway, 0, numbers({last_stream_, 0})); }

size_t SpdySession::can_send(StreamId id) const {
  auto found = channels_.find(id);
  if (found == channels_.end() || found->second.finish_queued) return 0;
  size_t waiting = found->second.queued.size() + stream_.queued();
  return waiting >= kUnsentBytesPolite ? 0 : kUnsentBytesPolite - waiting;
}

size_t SpdySession::queued() const {
  size_t bytes = 0;
  for (const auto& [id, channel] : channels_) bytes += channel.queued.size();
  return bytes;
}

bool SpdySession::readable() const {
  if (!events_.empty() || stream_.readable()) return true;
  std::string_view rest = std::string_view(input_).substr(used_);
  return rest.size() >= kHeadBytes && rest.size() >= kHeadBytes + (number(rest, 4) & 0xffffff);
}

}  // namespace wherry::http
