#include "kubectl_api.h"

#include "base/encoding.h"
#include "base/strings.h"
#include "kubectl_config.h"

namespace wherry::command::kubectl {

const std::vector<FlagRow> kConnectionFlags = {
    {.name = "namespace", .shorthand = 'n', .help = "Namespace to work in"},
    {.name = "kubeconfig", .help = "File that names the server ($KUBECONFIG, ~/.kube/config)"},
    {.name = "context", .help = "Context of the kubeconfig"},
    {.name = "cluster", .help = "Cluster of the kubeconfig"},
    {.name = "user", .help = "User of the kubeconfig"},
    {.name = "server", .shorthand = 's', .help = "Address of the API server"},
    {.name = "token", .help = "Bearer token"},
    {.name = "certificate-authority", .help = "File with the server's authority"},
    {.name = "client-certificate", .help = "File with the client certificate"},
    {.name = "client-key", .help = "File with its key"},
    {.name = "tls-server-name", .help = "Name to verify the server by"},
    {.name = "insecure-skip-tls-verify", .bare = "true", .help = "Do not verify the server"},
    {.name = "request-timeout", .fallback = "0", .help = "Limit of one request; 0: none"},
    {.name = "help", .shorthand = 'h', .bare = "true", .help = "Show this"},
};

std::string query_text(const Parameters& parameters) {
  std::string out;
  for (const auto& [name, value] : parameters) {
    out += out.empty() ? '?' : '&';
    out += percent_encode(name) + "=" + percent_encode(value);
  }
  return out;
}

namespace {

Code code_of(int status, std::string_view reason) {
  if (reason == "AlreadyExists") return Code::kAlreadyExists;
  switch (status) {
    case 401: return Code::kUnauthorized;
    case 403: return Code::kForbidden;
    case 404: return Code::kNotFound;
    case 409: return Code::kConflict;
    case 410: return Code::kGone;
    case 429: return Code::kTooManyRequests;
    case 503: return Code::kUnavailable;
    default: return Code::kInternal;
  }
}

Error error_of(int status, std::string_view text, json::Value body) {
  std::string_view reason = body["reason"].as_string();
  std::string message(body["message"].as_string());
  if (body["kind"].as_string() != "Status") {
    std::string first(trim(text.substr(0, 1000)));
    message = first.empty() ? std::string(http::status_text(status)) : first;
    reason = status == 404 ? "NotFound" : status == 503 ? "ServiceUnavailable" : "";
  }
  Code code = code_of(status, reason);
  // kubectl's words for a failed login.
  if (code == Code::kUnauthorized) {
    return Error(code, "You must be logged in to the server (Unauthorized)");
  }
  if (reason == "Invalid") return Error(code, message);
  if (reason.empty()) return Error(code, "Error from server: " + message);
  return Error(code, fmt::format("Error from server ({}): {}", reason, message));
}

}  // namespace

Result<Api> Api::open(const Flags& flags) {
  Connection connection = TRY(read_connection(flags));
  Api api;
  api.server_ = connection.server;
  api.token_ = connection.token;
  if (flags.given("namespace")) {
    api.namespace_ = std::string(flags.text("namespace"));
    api.namespace_given_ = true;
  } else if (!connection.namespace_name.empty()) {
    api.namespace_ = connection.namespace_name;
  }
  api.request_timeout_ = TRY(parse_duration(flags.text("request-timeout")));
  api.client_ = std::make_unique<http::Client>(connection.options);
  return api;
}

http::Headers Api::headers() const {
  http::Headers headers;
  if (!token_.empty()) headers.add("Authorization", "Bearer " + token_);
  return headers;
}

Error Api::unreachable(Error error) const {
  if (error.is(Code::kUnavailable) &&
      error.message().find("onnect") != std::string::npos) {  // "connect", "Connection refused"
    std::string_view host = server_;
    if (size_t at = host.find("://"); at != std::string_view::npos) host.remove_prefix(at + 3);
    return Error(
        Code::kUnavailable,
        fmt::format("The connection to the server {} was refused - did you specify the right "
                    "host or port? ({})",
                    host, error.message()));
  }
  return Error(error.code(), "Unable to connect to the server: " + error.message());
}

Error Api::refused(const http::ClientResponse& response) const {
  json::Document body = json::Document::parse(response.body).value_or(json::Document());
  return error_of(response.status, response.body, body.root());
}

Result<Answer> Api::call(const Call& call) {
  http::ClientRequest request;
  request.method = call.method;
  request.url = url(call.path + query_text(call.parameters));
  request.headers = headers();
  request.headers.add("Accept", call.accept);
  if (!call.body.empty()) request.headers.add("Content-Type", call.content_type);
  request.body = call.body;
  request.timeout = call.timeout.count() > 0 ? call.timeout : request_timeout_;
  Result<http::ClientResponse> response = client_->request(request);
  if (!response.ok()) return unreachable(std::move(response).error());
  if (response->status >= 400) return refused(*response);
  for (std::string_view warning : response->headers.all("Warning")) {
    // 299 - "text"
    size_t open = warning.find('"');
    size_t close = warning.rfind('"');
    if (open != std::string_view::npos && close > open) {
      std::string text(warning.substr(open + 1, close - open - 1));
      std::fprintf(stderr, "Warning: %s\n", replace_all(text, "\\\"", "\"").c_str());
    }
  }
  Answer answer;
  answer.status = response->status;
  if (response->headers.get("Content-Type").find("json") != std::string_view::npos) {
    answer.body = TRY(json::Document::parse(response->body));
  }
  answer.text = std::move(response->body);
  return answer;
}

Result<void> Api::follow(const Call& call, const std::function<bool(std::string_view)>& write) {
  http::ClientRequest request;
  request.method = call.method;
  request.url = url(call.path + query_text(call.parameters));
  request.headers = headers();
  request.headers.add("Accept", call.accept);
  request.timeout = call.timeout;
  Result<http::ClientResponse> response = client_->stream(request, write);
  if (!response.ok()) return unreachable(std::move(response).error());
  if (response->status >= 400) return refused(*response);
  return {};
}

Result<void> Api::watch(Call call, const OnEvent& on_event) {
  call.parameters.emplace_back("watch", "true");
  std::string rest;
  std::optional<Error> failure;
  bool ended = false;
  auto take = [&](std::string_view bytes) {
    rest.append(bytes);
    size_t from = 0;
    for (size_t end; (end = rest.find('\n', from)) != std::string::npos; from = end + 1) {
      std::string_view line = std::string_view(rest).substr(from, end - from);
      Result<json::Document> event = json::Document::parse(line);
      if (!event.ok()) {
        failure = std::move(event).error();
        return false;
      }
      json::Value object = event->root()["object"];
      std::string_view type = event->root()["type"].as_string();
      if (type == "ERROR") {
        failure = error_of(static_cast<int>(object["code"].as_int(500)), "", object);
        return false;
      }
      if (!on_event(type, object)) {
        ended = true;
        return false;
      }
    }
    rest.erase(0, from);
    return true;
  };
  Result<void> followed = follow(call, take);
  if (failure) return std::move(*failure);
  if (ended || followed.ok()) return {};
  if (call.timeout.count() > 0 && followed.error().is(Code::kTimeout)) return {};
  return followed;
}

}  // namespace wherry::command::kubectl
