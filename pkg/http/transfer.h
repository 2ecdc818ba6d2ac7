#pragma once
// What one libcurl transfer is told and what it has got so far; shared by Client, which runs one at
// a time on the caller's thread, and TransferSet, which runs many on one thread. A Transfer stays
// where it is while its handle runs.

#include <curl/curl.h>

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"
#include "http/curl_handle.h"

namespace wherry::http {

struct Transfer {
  CURL* handle = nullptr;
  ClientResponse response;
  const Client::Write* write = nullptr;  // Takes a 2xx body; null: it is kept.
  size_t body_bytes_max = 0;
  MonotonicTime last_byte{};
  bool ended_by_writer = false;
  bool too_long = false;
};

// Where to and how to trust it: the same for requests and plain connections.
Result<void> prepare_transfer(CurlHandle& handle, const ClientOptions& options,
                              const std::string& url);
Result<void> set_up_transfer(CurlHandle& handle, const ClientOptions& options,
                             const ClientRequest& request, Transfer& transfer);
Result<ClientResponse> finish_transfer(CurlHandle& handle, CURLcode code,
                                       const ClientRequest& request, Transfer& transfer);
Error transfer_error(CURLcode code, const ClientRequest& request, const char* detail);

}  // namespace wherry::http
