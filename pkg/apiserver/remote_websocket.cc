// Channels over WebSocket: the first byte of each message is the channel; in the base64 protocols
// messages are text, the channel is a digit and the rest is encoded.

#include "apiserver/remote_channels.h"
#include "base/encoding.h"

namespace wherry::apiserver {
namespace {

constexpr uint8_t kCloseSignal = 255;  // v5: the byte that follows is the channel that ends.

class WebSocketChannels final : public RemoteChannels {
 public:
  WebSocketChannels(http::Stream& stream, std::string protocol, ChannelSet set)
      : protocol_(std::move(protocol)),
        base64_(protocol_.find("base64") != std::string::npos),
        version_(version_of(protocol_)),
        set_(set),
        stream_(stream),
        socket_(stream, http::WebSocket::Role::kServer) {}

  Result<void> open(std::chrono::milliseconds) override {
    // An empty message on the lowest channel tells the client that the stream stands.
    return send(set_.stdout_on ? kStdout : set_.stderr_on ? kStderr : kErrorChannel, {});
  }

  Result<std::optional<ChannelEvent>> next() override {
    std::optional<http::WebSocket::Message> message = TRY(socket_.receive());
    if (!message) return std::optional<ChannelEvent>();
    if (message->kind == http::WebSocket::Kind::kClose) {
      return std::optional<ChannelEvent>(ChannelEvent{ChannelEvent::Kind::kGone, 0, {}});
    }
    if (message->data.empty()) return next();
    ChannelEvent event;
    auto first = static_cast<uint8_t>(message->data[0]);
    std::string_view rest = std::string_view(message->data).substr(1);
    if (base64_) {
      event.channel = static_cast<uint8_t>(first - '0');
      event.data = base64_decode(rest).value_or("");
    } else if (first == kCloseSignal && version_ >= 5 && !rest.empty()) {
      event.kind = ChannelEvent::Kind::kClosed;
      event.channel = static_cast<uint8_t>(rest[0]);
    } else {
      event.channel = first;
      event.data = rest;
    }
    return std::optional<ChannelEvent>(std::move(event));
  }

  Result<void> send(uint8_t channel, std::string_view data) override {
    if (!base64_) return socket_.send_channel(channel, data);
    std::string text(1, static_cast<char>('0' + channel));
    return socket_.send(http::WebSocket::Kind::kText, text + base64_encode(data));
  }

  Result<void> consumed(uint8_t, size_t) override { return {}; }
  bool has_windows() const override { return false; }

  Result<void> finish(std::string_view status, std::string_view text) override {
    if (version_ >= 4) {
      TRY(send(kErrorChannel, status));
    } else if (!text.empty()) {
      TRY(send(kErrorChannel, text));
    }
    return socket_.close();
  }

  bool readable() const override { return socket_.readable(); }
  size_t pending(uint8_t) const override { return stream_.queued(); }
  bool drained() const override { return stream_.queued() == 0; }
  http::Stream& stream() override { return stream_; }

 private:
  static int version_of(std::string_view protocol) {
    if (protocol.size() > 1 && protocol[0] == 'v') return protocol[1] - '0';
    return 1;
  }

  const std::string protocol_;
  const bool base64_;
  const int version_;
  const ChannelSet set_;
  http::Stream& stream_;
  http::WebSocket socket_;
};

}  // namespace

std::unique_ptr<RemoteChannels> make_websocket_channels(http::Stream& stream, std::string protocol,
                                                        ChannelSet set) {
  return std::make_unique<WebSocketChannels>(stream, std::move(protocol), set);
}

const std::vector<std::string>& websocket_command_protocols() {
  static const std::vector<std::string> kProtocols = {
      "v5.channel.k8s.io", "v4.channel.k8s.io",     "v4.base64.channel.k8s.io",
      "channel.k8s.io",    "base64.channel.k8s.io", ""};
  return kProtocols;
}

}  // namespace wherry::apiserver
