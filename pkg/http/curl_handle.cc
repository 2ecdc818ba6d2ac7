#include "http/curl_handle.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <mutex>

#include "base/check.h"
#include "base/strings.h"
#include "http/output_queue.h"

namespace wherry::http {
namespace {

using std::chrono::milliseconds;

struct UrlParts {
  UrlParts() : handle(curl_url()) {}
  ~UrlParts() { curl_url_cleanup(handle); }
  UrlParts(const UrlParts&) = delete;
  UrlParts& operator=(const UrlParts&) = delete;
  std::string get(CURLUPart part) const {
    char* text = nullptr;
    std::string out;
    if (curl_url_get(handle, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK) out = text;
    curl_free(text);
    return out;
  }
  CURLU* handle;
};

class CurlStream final : public Stream {
 public:
  explicit CurlStream(std::unique_ptr<CurlHandle> handle) : handle_(std::move(handle)) {
    curl_easy_getinfo(handle_->easy(), CURLINFO_ACTIVESOCKET, &socket_);
  }

  int fd() const override { return socket_; }
  // After a read that found something TLS may hold more: only the next read tells.
  bool readable() const override { return maybe_more_; }

  Result<Read> read(char* to, size_t size) override {
    size_t got = 0;
    CURLcode code = curl_easy_recv(handle_->easy(), to, size, &got);
    maybe_more_ = code == CURLE_OK && got > 0;
    if (code == CURLE_AGAIN) return Read{};
    if (code != CURLE_OK) return Error::unavailable("the connection broke while reading");
    return Read{got, got == 0};
  }

  Result<void> send(std::string_view bytes) override {
    out_.push(bytes);
    return flush();
  }

  Result<void> flush() override {
    while (!out_.empty()) {
      size_t sent = 0;
      CURLcode code =
          curl_easy_send(handle_->easy(), out_.front().data(), out_.front().size(), &sent);
      if (code == CURLE_AGAIN) return {};
      if (code != CURLE_OK) return Error::unavailable("the connection broke while writing");
      out_.pop(sent);
    }
    return {};
  }

  size_t queued() const override { return out_.size(); }
  void shutdown_write() override { shutdown(socket_, SHUT_WR); }

 private:
  const std::unique_ptr<CurlHandle> handle_;
  curl_socket_t socket_ = CURL_SOCKET_BAD;
  bool maybe_more_ = false;
  OutputQueue out_;
};

}  // namespace

void init_curl() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Before curl does it otherwise: no host file may make the TLS library load anything.
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
  });
}

CurlHandle::CurlHandle() : easy_(curl_easy_init()) {
  CHECK(easy_ != nullptr);
  clear();
}

CurlHandle::~CurlHandle() {
  curl_slist_free_all(headers_);
  curl_slist_free_all(connect_to_);
  curl_easy_cleanup(easy_);
  if (multi_ != nullptr) curl_multi_cleanup(multi_);
}

void CurlHandle::clear() {
  curl_easy_reset(easy_);
  curl_slist_free_all(headers_);
  curl_slist_free_all(connect_to_);
  headers_ = nullptr;
  connect_to_ = nullptr;
  detail_[0] = '\0';
  curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, detail_);
}

Result<void> CurlHandle::set_url(const std::string& url, const std::string& server_name) {
  UrlParts parts;
  if (curl_url_set(parts.handle, CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return Error::invalid("{} is not a URL", quote(url));
  }
  if (server_name.empty()) {
    curl_easy_setopt(easy_, CURLOPT_URL, url.c_str());
    return {};
  }
  std::string host = parts.get(CURLUPART_HOST);
  std::string port = parts.get(CURLUPART_PORT);
  connect_to_ =
      curl_slist_append(nullptr, fmt::format("{}:{}:{}:{}", server_name, port, host, port).c_str());
  curl_easy_setopt(easy_, CURLOPT_CONNECT_TO, connect_to_);
  curl_url_set(parts.handle, CURLUPART_HOST, server_name.c_str(), 0);
  curl_easy_setopt(easy_, CURLOPT_URL, parts.get(CURLUPART_URL).c_str());
  return {};
}

void CurlHandle::add_header(const std::string& line) {
  headers_ = curl_slist_append(headers_, line.c_str());
}

void CurlHandle::use_headers() { curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers_); }

CURLcode CurlHandle::run(const std::stop_token& stop, milliseconds idle,
                         const MonotonicTime& last_byte) {
  if (multi_ == nullptr) multi_ = curl_multi_init();
  CHECK(multi_ != nullptr);
  curl_multi_add_handle(multi_, easy_);
  CURLcode code = CURLE_OK;
  {
    std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi_); });
    int running = 1;
    while (running > 0) {
      if (stop.stop_requested()) {
        code = CURLE_ABORTED_BY_CALLBACK;
        break;
      }
      if (curl_multi_perform(multi_, &running) != CURLM_OK) {
        code = CURLE_FAILED_INIT;
        break;
      }
      if (running == 0) break;
      milliseconds wait{3'600'000};
      if (idle.count() > 0) {
        auto left =
            std::chrono::ceil<milliseconds>(last_byte + idle - std::chrono::steady_clock::now());
        if (left.count() <= 0) {
          code = CURLE_OPERATION_TIMEDOUT;
          break;
        }
        wait = std::min(wait, left);
      }
      curl_multi_poll(multi_, nullptr, 0, static_cast<int>(wait.count()), nullptr);
    }
  }
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE && code == CURLE_OK) code = message->data.result;
  }
  curl_multi_remove_handle(multi_, easy_);
  return code;
}

std::unique_ptr<Stream> make_curl_stream(std::unique_ptr<CurlHandle> handle) {
  return std::make_unique<CurlStream>(std::move(handle));
}

}  // namespace wherry::http
