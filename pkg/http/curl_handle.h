#pragma once
// CurlHandle: one libcurl transfer slot with the connections it keeps open. One thread at a time.

#include <curl/curl.h>

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/stream.h"

namespace wherry::http {

void init_curl();  // Once for the process; any thread, any number of times.

class CurlHandle {
 public:
  CurlHandle();
  ~CurlHandle();
  CurlHandle(const CurlHandle&) = delete;
  CurlHandle& operator=(const CurlHandle&) = delete;

  CURL* easy() const { return easy_; }
  const char* detail() const { return detail_; }
  // With `server_name` the URL's host is dialled, but that name is asked for and verified.
  Result<void> set_url(const std::string& url, const std::string& server_name);
  void add_header(const std::string& line);
  void use_headers();
  // Runs the transfer, asleep while nothing comes; ends it when `stop` fires or when no byte came
  // for `idle` (0: no limit) since `last_byte`, which the callbacks move on.
  CURLcode run(const std::stop_token& stop, std::chrono::milliseconds idle,
               const MonotonicTime& last_byte);
  // Forgets the transfer, keeps the connections.
  void clear();

 private:
  CURL* easy_;
  CURLM* multi_ = nullptr;  // Made by run(); a handle of a TransferSet runs in the set's.
  curl_slist* headers_ = nullptr;
  curl_slist* connect_to_ = nullptr;
  char detail_[CURL_ERROR_SIZE] = "";
};

// A handle whose connection is open (CURLOPT_CONNECT_ONLY), as a Stream.
std::unique_ptr<Stream> make_curl_stream(std::unique_ptr<CurlHandle> handle);

}  // namespace wherry::http
