#include "http/client.h"

#include <curl/curl.h>

#include <algorithm>

#include "base/mutex.h"
#include "base/wait_scope.h"
#include "http/curl_handle.h"
#include "http/transfer.h"

namespace wherry::http {
namespace {

using std::chrono::milliseconds;

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
    TRY(prepare_transfer(*handle, options_, url));
    CURL* easy = handle->easy();
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(timeout.count()));
    WaitScope wait;
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

  Result<ClientResponse> perform(CurlHandle& handle, const ClientRequest& request,
                                 const Write* write, const std::stop_token& stop) const;

  const ClientOptions options_;
  Mutex mutex_;
  std::vector<std::unique_ptr<CurlHandle>> idle_ GUARDED_BY(mutex_);
};

Result<ClientResponse> Client::Impl::perform(CurlHandle& handle, const ClientRequest& request,
                                             const Write* write,
                                             const std::stop_token& stop) const {
  Transfer transfer;
  transfer.write = write;
  TRY(set_up_transfer(handle, options_, request, transfer));
  WaitScope wait;
  CURLcode code = handle.run(stop, request.idle_timeout, transfer.last_byte);
  if (stop.stop_requested() && code != CURLE_OK) {
    return Error::unavailable("{} {}: stopped", request.method, request.url);
  }
  return finish_transfer(handle, code, request, transfer);
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
