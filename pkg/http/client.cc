#include "http/client.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <algorithm>

#include "base/mutex.h"
#include "base/strings.h"
#include "http/curl_handle.h"

namespace wherry::http {
namespace {

using std::chrono::milliseconds;

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

// What one transfer has got so far.
struct Transfer {
  CURL* handle = nullptr;
  ClientResponse response;
  const Client::Write* write = nullptr;
  size_t body_bytes_max = 0;
  MonotonicTime last_byte = std::chrono::steady_clock::now();
  bool ended_by_writer = false;
  bool too_long = false;
};

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

Error transfer_error(CURLcode code, const ClientRequest& request, const char* detail) {
  std::string what = fmt::format("{} {}: {}", request.method, request.url,
                                 *detail != '\0' ? detail : curl_easy_strerror(code));
  if (code == CURLE_OPERATION_TIMEDOUT) return Error(Code::kTimeout, std::move(what));
  if (code == CURLE_PEER_FAILED_VERIFICATION) return Error(Code::kUnauthorized, std::move(what));
  return Error(Code::kUnavailable, std::move(what));
}

}  // namespace

class Client::Impl {
 public:
  explicit Impl(ClientOptions options) : options_(std::move(options)) { init_curl(); }

  Result<ClientResponse> run(const ClientRequest& request, const Write* write,
                             const std::stop_token& stop) {
    std::unique_ptr<CurlHandle> handle = take();
    Result<ClientResponse> result = perform(*handle, request, write, stop);
    give(std::move(handle));
    return result;
  }

  Result<std::unique_ptr<Stream>> connect(const std::string& url, milliseconds timeout) {
    auto handle = std::make_unique<CurlHandle>();
    TRY(prepare(*handle, url));
    CURL* easy = handle->easy();
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(timeout.count()));
    if (CURLcode code = curl_easy_perform(easy); code != CURLE_OK) {
      ClientRequest shown;
      shown.method = "connect";
      shown.url = url;
      return transfer_error(code, shown, handle->detail());
    }
    return make_curl_stream(std::move(handle));
  }

 private:
  std::unique_ptr<CurlHandle> take() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (idle_.empty()) return std::make_unique<CurlHandle>();
    std::unique_ptr<CurlHandle> handle = std::move(idle_.back());
    idle_.pop_back();
    return handle;
  }

  void give(std::unique_ptr<CurlHandle> handle) EXCLUDES(mutex_) {
    handle->clear();
    MutexLock lock(mutex_);
    if (idle_.size() < options_.connections_max) idle_.push_back(std::move(handle));
  }

  Result<void> prepare(CurlHandle& handle, const std::string& url) const;
  void set_method(CurlHandle& handle, const ClientRequest& request) const;
  Result<ClientResponse> perform(CurlHandle& handle, const ClientRequest& request,
                                 const Write* write, const std::stop_token& stop) const;

  const ClientOptions options_;
  Mutex mutex_;
  std::vector<std::unique_ptr<CurlHandle>> idle_ GUARDED_BY(mutex_);
};

// Where to and how to trust it: the same for requests and plain connections.
Result<void> Client::Impl::prepare(CurlHandle& handle, const std::string& url) const {
  CURL* easy = handle.easy();
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 60L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, options_.user_agent.c_str());
  if (!options_.use_proxy) curl_easy_setopt(easy, CURLOPT_PROXY, "");
  if (!options_.unix_socket.empty()) {
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, options_.unix_socket.c_str());
  }
  if (options_.insecure) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  } else if (!options_.ca_pem.empty()) {
    curl_blob ca = blob(options_.ca_pem);
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
  } else if (const char* path = system_authorities()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, path);
  }
  if (!options_.certificate_pem.empty()) {
    curl_blob certificate = blob(options_.certificate_pem);
    curl_blob key = blob(options_.key_pem);
    curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &certificate);
    curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key);
  }
  return handle.set_url(url, options_.server_name);
}

void Client::Impl::set_method(CurlHandle& handle, const ClientRequest& request) const {
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

Result<ClientResponse> Client::Impl::perform(CurlHandle& handle, const ClientRequest& request,
                                             const Write* write,
                                             const std::stop_token& stop) const {
  TRY(prepare(handle, request.url));
  set_method(handle, request);
  CURL* easy = handle.easy();
  Transfer transfer;
  transfer.handle = easy;
  transfer.write = write;
  transfer.body_bytes_max = request.body_bytes_max;
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request.connect_timeout.count()));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, request.follow_redirects ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 10L);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);

  CURLcode code = handle.run(stop, request.idle_timeout, transfer.last_byte);
  if (stop.stop_requested() && code != CURLE_OK) {
    return Error::unavailable("{} {}: stopped", request.method, request.url);
  }
  if (transfer.too_long) {
    return Error::unavailable("{} {}: the answer is longer than {} bytes", request.method,
                              request.url, request.body_bytes_max);
  }
  if (code != CURLE_OK && !transfer.ended_by_writer)
    return transfer_error(code, request, handle.detail());
  long status = 0;
  char* url = nullptr;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
  transfer.response.status = static_cast<int>(status);
  transfer.response.url = url != nullptr ? url : request.url;
  return std::move(transfer.response);
}

Client::Client(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Client::~Client() = default;

Result<ClientResponse> Client::request(const ClientRequest& request, std::stop_token stop) {
  return impl_->run(request, nullptr, stop);
}

Result<ClientResponse> Client::stream(const ClientRequest& request, const Write& write,
                                      std::stop_token stop) {
  return impl_->run(request, &write, stop);
}

Result<std::unique_ptr<Stream>> Client::connect(const std::string& url, milliseconds timeout) {
  return impl_->connect(url, timeout);
}

}  // namespace wherry::http
