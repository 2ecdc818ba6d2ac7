// Channels over SPDY/3.1: one stream each, told apart by the header streamType.

#include "apiserver/remote_channels.h"

namespace wherry::apiserver {
namespace {

std::optional<uint8_t> channel_of(std::string_view type) {
  if (type == "stdin") return kStdin;
  if (type == "stdout") return kStdout;
  if (type == "stderr") return kStderr;
  if (type == "error") return kErrorChannel;
  if (type == "resize") return kResize;
  return std::nullopt;
}

class SpdyChannels final : public RemoteChannels {
 public:
  SpdyChannels(http::Stream& stream, std::string protocol, ChannelSet set)
      : protocol_(std::move(protocol)), set_(set), stream_(stream), session_(stream) {}

  // The client opens its streams one by one; the command starts when all are there.
  Result<void> open(std::chrono::milliseconds limit) override {
    while (streams_.size() < expected()) {
      std::optional<http::SpdySession::Event> event = TRY(session_.next());
      if (!event) {
        TRY(session_.stream().flush());
        if (!session_.stream().wait_readable(limit)) {
          return Error::timeout("timed out waiting for client to create streams");
        }
        continue;
      }
      if (event->kind == http::SpdySession::EventKind::kClosed) {
        return Error::unavailable("client left before all streams were there");
      }
      if (event->kind == http::SpdySession::EventKind::kOpened) {
        TRY(accept(*event));
      } else if (std::optional<ChannelEvent> early = translate(*event)) {
        early_.push_back(std::move(*early));
      }
    }
    return {};
  }

  Result<std::optional<ChannelEvent>> next() override {
    if (!early_.empty()) {
      ChannelEvent event = std::move(early_.front());
      early_.pop_front();
      return std::optional<ChannelEvent>(std::move(event));
    }
    while (true) {
      std::optional<http::SpdySession::Event> event = TRY(session_.next());
      if (!event) return std::optional<ChannelEvent>();
      if (event->kind == http::SpdySession::EventKind::kClosed) {
        return std::optional<ChannelEvent>(ChannelEvent{ChannelEvent::Kind::kGone, 0, {}});
      }
      if (event->kind == http::SpdySession::EventKind::kOpened) {
        TRY(accept(*event));
        continue;
      }
      if (std::optional<ChannelEvent> known = translate(*event)) return known;
    }
  }

  Result<void> send(uint8_t channel, std::string_view data) override {
    auto found = streams_.find(channel);
    if (found == streams_.end() || data.empty()) return {};
    return session_.send(found->second, data);
  }

  Result<void> consumed(uint8_t channel, size_t bytes) override {
    auto found = streams_.find(channel);
    if (found == streams_.end() || bytes == 0) return {};
    return session_.consumed(found->second, bytes);
  }
  bool has_windows() const override { return true; }

  Result<void> finish(std::string_view status, std::string_view text) override {
    TRY(send(kErrorChannel, protocol_.starts_with("v4") ? status : text));
    for (const auto& [channel, stream] : streams_) TRY(session_.finish(stream));
    return session_.go_away();
  }

  bool readable() const override { return !early_.empty() || session_.readable(); }
  size_t pending(uint8_t channel) const override {
    auto found = streams_.find(channel);
    if (found == streams_.end()) return 0;
    size_t room = session_.can_send(found->second);
    return room > 0 ? 0 : kFull;
  }
  bool drained() const override { return session_.queued() == 0 && stream_.queued() == 0; }
  http::Stream& stream() override { return stream_; }

 private:
  static constexpr size_t kFull = 1 << 30;

  size_t expected() const {
    bool resizes = set_.tty && (protocol_.starts_with("v4") || protocol_.starts_with("v3"));
    return 1U + (set_.stdin_on ? 1 : 0) + (set_.stdout_on ? 1 : 0) +
           (set_.stderr_on && !set_.tty ? 1 : 0) + (resizes ? 1 : 0);
  }

  Result<void> accept(const http::SpdySession::Event& event) {
    std::optional<uint8_t> channel = channel_of(event.headers.get("streamtype"));
    if (!channel || streams_.contains(*channel)) return session_.reset(event.stream);
    streams_[*channel] = event.stream;
    channels_[event.stream] = *channel;
    return session_.reply(event.stream);
  }

  std::optional<ChannelEvent> translate(http::SpdySession::Event& event) {
    auto found = channels_.find(event.stream);
    if (found == channels_.end()) return std::nullopt;
    if (event.kind == http::SpdySession::EventKind::kData) {
      return ChannelEvent{ChannelEvent::Kind::kData, found->second, std::move(event.data)};
    }
    return ChannelEvent{ChannelEvent::Kind::kClosed, found->second, {}};
  }

  const std::string protocol_;
  const ChannelSet set_;
  http::Stream& stream_;
  http::SpdySession session_;
  std::map<uint8_t, http::SpdySession::StreamId> streams_;
  std::map<http::SpdySession::StreamId, uint8_t> channels_;
  std::deque<ChannelEvent> early_;
};

}  // namespace

std::unique_ptr<RemoteChannels> make_spdy_channels(http::Stream& stream, std::string protocol,
                                                   ChannelSet set) {
  return std::make_unique<SpdyChannels>(stream, std::move(protocol), set);
}

const std::vector<std::string>& spdy_command_protocols() {
  static const std::vector<std::string> kProtocols = {"v4.channel.k8s.io", "v3.channel.k8s.io",
                                                      "v2.channel.k8s.io", "channel.k8s.io"};
  return kProtocols;
}

}  // namespace wherry::apiserver
