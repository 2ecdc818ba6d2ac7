#include "http/transfer.h"

#include <unistd.h>

#include "base/strings.h"

namespace wherry::http {
namespace {

const char* system_authorities() {
  for (const char* path : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                           "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem"}) {
    if (access(path, R_OK) == 0) return path;
  }
  return nullptr;
}

curl_blob blob(const std::string& text) {
  return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
}

size_t on_header(char* data, size_t size, size_t count, void* context) {
  auto* transfer = static_cast<Transfer*>(context);
  transfer->last_byte = std::chrono::steady_clock::now();
  std::string_view line = trim({data, size * count});
  if (line.starts_with("HTTP/")) {
    transfer->response.headers = {};  // Of a redirect or a 100 before.
  } else if (auto parts = split_once(line, ":")) {
    transfer->response.headers.add(std::string(parts->first), std::string(trim(parts->second)));
  }
  return size * count;
}

size_t on_body(char* data, size_t size, size_t count, void* context) {
  auto* transfer = static_cast<Transfer*>(context);
  size_t bytes = size * count;
  transfer->last_byte = std::chrono::steady_clock::now();
  long status = 0;
  curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &status);
  if (transfer->write != nullptr && status >= 200 && status < 300) {
    if ((*transfer->write)({data, bytes})) return bytes;
    transfer->ended_by_writer = true;
    return CURL_WRITEFUNC_ERROR;
  }
  if (transfer->response.body.size() + bytes > transfer->body_bytes_max) {
    transfer->too_long = true;
    return CURL_WRITEFUNC_ERROR;
  }
  transfer->response.body.append(data, bytes);
  return bytes;
}

void set_method(CurlHandle& handle, const ClientRequest& request) {
  CURL* easy = handle.easy();
  bool has_body = !request.body.empty() || request.method == "POST" || request.method == "PUT" ||
                  request.method == "PATCH";
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (has_body) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.c_str());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  } else {
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    if (request.method != "GET")
      curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  for (const Headers::Field& field : request.headers.fields()) {
    handle.add_header(field.second.empty() ? field.first + ";" : field.first + ": " + field.second);
  }
  handle.add_header("Expect:");  // Its own idea of large bodies would cost a round trip each.
  if (has_body && !request.headers.has("Content-Type")) handle.add_header("Content-Type:");
  handle.use_headers();
}

}  // namespace

Error transfer_error(CURLcode code, const ClientRequest& request, const char* detail) {
  std::string what = fmt::format("{} {}: {}", request.method, request.url,
                                 *detail != '\0' ? detail : curl_easy_strerror(code));
  if (code == CURLE_OPERATION_TIMEDOUT) return Error(Code::kTimeout, std::move(what));
  if (code == CURLE_PEER_FAILED_VERIFICATION) return Error(Code::kUnauthorized, std::move(what));
  return Error(Code::kUnavailable, std::move(what));
}

// Where to and how to trust it: the same for requests and plain connections.
Result<void> prepare_transfer(CurlHandle& handle, const ClientOptions& options,
                              const std::string& url) {
  CURL* easy = handle.easy();
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 60L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, options.user_agent.c_str());
  if (!options.use_proxy) curl_easy_setopt(easy, CURLOPT_PROXY, "");
  if (!options.unix_socket.empty()) {
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, options.unix_socket.c_str());
  }
  if (options.insecure) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  } else if (!options.ca_pem.empty()) {
    curl_blob ca = blob(options.ca_pem);
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
  } else if (const char* path = system_authorities()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, path);
  }
  if (!options.certificate_pem.empty()) {
    curl_blob certificate = blob(options.certificate_pem);
    curl_blob key = blob(options.key_pem);
    curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &certificate);
    curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key);
  }
  return handle.set_url(url, options.server_name);
}

Result<void> set_up_transfer(CurlHandle& handle, const ClientOptions& options,
                             const ClientRequest& request, Transfer& transfer) {
  TRY(prepare_transfer(handle, options, request.url));
  set_method(handle, request);
  CURL* easy = handle.easy();
  transfer.handle = easy;
  transfer.body_bytes_max = request.body_bytes_max;
  transfer.last_byte = std::chrono::steady_clock::now();
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request.connect_timeout.count()));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, request.follow_redirects ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 10L);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  return {};
}

Result<ClientResponse> finish_transfer(CurlHandle& handle, CURLcode code,
                                       const ClientRequest& request, Transfer& transfer) {
  if (transfer.too_long) {
    return Error::unavailable("{} {}: the answer is longer than {} bytes", request.method,
                              request.url, request.body_bytes_max);
  }
  if (code != CURLE_OK && !transfer.ended_by_writer)
    return transfer_error(code, request, handle.detail());
  long status = 0;
  char* url = nullptr;
  curl_easy_getinfo(handle.easy(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(handle.easy(), CURLINFO_EFFECTIVE_URL, &url);
  transfer.response.status = static_cast<int>(status);
  transfer.response.url = url != nullptr ? url : request.url;
  return std::move(transfer.response);
}

}  // namespace wherry::http
