#include "apiserver/streams.h"

#include "api/status.h"
#include "apiserver/container_choice.h"
#include "apiserver/port_forward.h"
#include "apiserver/remote_command.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

client::ContainerRef ref_of(const api::Object& pod, std::string container) {
  return {std::string(pod.ns()), std::string(pod.name()), std::string(pod.uid()),
          std::move(container)};
}

bool flag(const http::Request& request, std::string_view name) {
  return request.query.has(name) && is_true(request.query.get(name));
}

Result<void> spdy_or_websocket(const http::Request& request) {
  if (http::is_websocket_request(request) || http::is_spdy_request(request)) return {};
  return Error::bad_request("Upgrade request required");
}

Result<std::vector<uint16_t>> ports_of(const http::Request& request) {
  std::vector<uint16_t> out;
  for (std::string_view text : request.query.all("ports")) {
    for (std::string_view item : split(text, ',')) {
      std::optional<uint64_t> port = parse_uint(item);
      if (!port || *port == 0 || *port > 65535) {
        return Error::bad_request("unable to parse \"{}\" as a port", item);
      }
      out.push_back(static_cast<uint16_t>(*port));
    }
  }
  if (out.empty()) return Error::bad_request("query parameter \"ports\" is required");
  return out;
}

}  // namespace

Result<ObjectPtr> Streams::find_pod(const Target& target) const {
  ObjectPtr pod = store_.get("pods", target.ns, target.name);
  if (pod == nullptr) return api::not_found("pods", target.name);
  return pod;
}

Result<client::NodeApi*> Streams::node_of(const api::Object& pod) const {
  std::string node(pod.document().root()["spec"]["nodeName"].as_string());
  if (node.empty()) return Error::bad_request("pod {} does not have a host assigned", pod.name());
  // Upstream's words, which speak of a Pod where it means the Node.
  if (store_.get("nodes", "", node) == nullptr) return api::not_found("pods", node);
  client::NodeApi* api = nodes_ == nullptr ? nullptr : nodes_->find(node);
  if (api == nullptr)
    return Error::internal("error dialing backend: node \"{}\" is not connected", node);
  return api;
}

Result<void> Streams::log(const http::Request& request, const Target& target,
                          http::Response& response) {
  client::LogOptions options = TRY(log_options(request, target.name));
  ObjectPtr pod = TRY(find_pod(target));
  json::Document document = pod->document();
  std::string container = TRY(choose_container(document.root(), request.query.get("container")));
  constexpr const char* kPlain = "text/plain";
  if (document.root()["spec"]["nodeName"].as_string().empty()) {
    response.set_body(kPlain, std::string());  // Nobody has started it, so it has said nothing.
    return {};
  }
  client::NodeApi* node = TRY(node_of(*pod));
  TRY(check_has_log(document.root(), container, options.previous));
  client::ContainerRef ref = ref_of(*pod, container);
  if (http::is_websocket_request(request)) {
    return log_to_websocket(request, response, *node, ref, options);
  }
  if (!options.follow) {
    response.set_chunked(kPlain, [node, ref, options](const http::Response::WriteChunk& write) {
      bool gone = false;
      auto piece = [&](std::string_view bytes) { return !(gone = !write(bytes)); };
      Result<void> done = node->logs(ref, options, piece, [&gone] { return gone; });
      if (!done.ok()) write(done.error().message() + "\n");
    });
    return {};
  }
  return response.stream(kPlain, [node, ref, options](http::BodyWriter& body) {
    auto piece = [&body](std::string_view bytes) { return body.write(bytes); };
    Result<void> done = node->logs(ref, options, piece, [&body] { return body.peer_gone(); });
    if (!done.ok()) body.write(done.error().message() + "\n");
  });
}

// Log lines as messages: the sub-protocols binary.k8s.io and base64.binary.k8s.io have no channels.
Result<void> Streams::log_to_websocket(const http::Request& request, http::Response& response,
                                       client::NodeApi& node, const client::ContainerRef& ref,
                                       const client::LogOptions& options) {
  std::string protocol =
      TRY(http::accept_websocket(request, response, {"binary.k8s.io", "base64.binary.k8s.io", ""}));
  bool base64 = protocol.starts_with("base64");
  return response.upgrade([&node, ref, options, base64](http::Stream& stream) {
    http::WebSocket socket(stream, http::WebSocket::Role::kServer);
    bool gone = false;
    auto look = [&] {
      Result<std::optional<http::WebSocket::Message>> message = socket.receive();
      gone |= !message.ok() ||
              (message->has_value() && (*message)->kind == http::WebSocket::Kind::kClose);
      return gone;
    };
    auto piece = [&](std::string_view bytes) {
      bool sent = base64 ? socket.send(http::WebSocket::Kind::kText, base64_encode(bytes)).ok()
                         : socket.send(http::WebSocket::Kind::kBinary, bytes).ok();
      return sent && stream.write_all({}).ok();
    };
    static_cast<void>(node.logs(ref, options, piece, look).ok());
    if (socket.close().ok()) static_cast<void>(stream.write_all({}).ok());
  });
}

Result<void> Streams::connect(const http::Request& request, const Route& route,
                              http::Response& response) {
  const Target& target = route.target;
  if (target.subresource == "exec" || target.subresource == "attach") {
    return run(request, target, response);
  }
  if (target.subresource == "portforward") return forward(request, target, response);
  return Error::unsupported("{} is not built in yet", target.subresource);
}

Result<void> Streams::run(const http::Request& request, const Target& target,
                          http::Response& response) {
  client::ExecOptions options;
  bool exec = target.subresource == "exec";
  for (std::string_view word : request.query.all("command")) {
    if (exec) options.command.emplace_back(word);
  }
  options.stdin_on = flag(request, "stdin");
  options.stdout_on = flag(request, "stdout");
  options.stderr_on = flag(request, "stderr");
  options.tty = flag(request, "tty");
  ObjectPtr pod = TRY(find_pod(target));
  json::Document document = pod->document();
  std::string container = TRY(choose_container(document.root(), request.query.get("container")));
  client::NodeApi* node = TRY(node_of(*pod));
  if (exec && options.command.empty()) {
    return Error::bad_request("you must specify at least one command for the container");
  }
  if (!options.stdin_on && !options.stdout_on && !options.stderr_on) {
    return Error::bad_request("you must specify at least 1 of stdin, stdout, stderr");
  }
  // A terminal has one output.
  if (options.tty) options.stderr_on = false;
  TRY(spdy_or_websocket(request));

  ChannelSet set{options.stdin_on, options.stdout_on, options.stderr_on, options.tty};
  bool websocket = http::is_websocket_request(request);
  std::string protocol =
      websocket ? TRY(http::accept_websocket(request, response, websocket_command_protocols()))
                : TRY(http::accept_spdy(request, response, spdy_command_protocols()));
  client::ContainerRef ref = ref_of(*pod, container);
  return response.upgrade([=](http::Stream& stream) {
    std::unique_ptr<RemoteChannels> channels = websocket
                                                   ? make_websocket_channels(stream, protocol, set)
                                                   : make_spdy_channels(stream, protocol, set);
    run_remote_command(*channels, options, [&] {
      return exec ? node->exec(ref, options) : node->attach(ref, options);
    });
  });
}

Result<void> Streams::forward(const http::Request& request, const Target& target,
                              http::Response& response) {
  ObjectPtr pod = TRY(find_pod(target));
  client::NodeApi* node = TRY(node_of(*pod));
  TRY(spdy_or_websocket(request));
  client::ContainerRef ref = ref_of(*pod, {});
  Dial dial = [node, ref](uint16_t port) { return node->dial(ref, port); };
  std::string name = fmt::format("{}, uid {}", pod->name(), pod->uid());
  if (!http::is_websocket_request(request)) {
    TRY(http::accept_spdy(request, response, {"portforward.k8s.io"}));
    return response.upgrade(
        [dial, name](http::Stream& stream) { forward_over_spdy(stream, dial, name); });
  }
  std::string protocol = TRY(http::accept_websocket(
      request, response,
      {"SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", ""}));
  if (protocol.starts_with("SPDY")) {
    return response.upgrade([dial, name](http::Stream& stream) {
      http::WebSocket socket(stream, http::WebSocket::Role::kServer);
      std::unique_ptr<http::Stream> tunnel = http::make_websocket_stream(socket);
      forward_over_spdy(*tunnel, dial, name);
    });
  }
  std::vector<uint16_t> ports = TRY(ports_of(request));
  bool base64 = protocol.find("base64") != std::string::npos;
  return response.upgrade(
      [=](http::Stream& stream) { forward_over_websocket(stream, base64, ports, dial, name); });
}

}  // namespace wherry::apiserver
