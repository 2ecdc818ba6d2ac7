#include "http/transfer_set.h"

#include <curl/curl.h>

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "http/curl_handle.h"
#include "http/transfer.h"

namespace wherry::http {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kLongest{3'600'000};

}  // namespace

struct TransferSet::Running {
  Id id = 0;
  std::shared_ptr<const ClientOptions> options;
  ClientRequest request;
  Client::Write write;
  Done done;
  CurlHandle handle;
  Transfer transfer;
  std::optional<Error> refused;  // It could not even begin.
};

TransferSet::TransferSet() {
  init_curl();
  multi_ = curl_multi_init();
  CHECK(multi_ != nullptr);
}

TransferSet::~TransferSet() {
  for (auto& [id, running] : running_) curl_multi_remove_handle(multi_, running->handle.easy());
  running_.clear();
  curl_multi_cleanup(multi_);
}

TransferSet::Id TransferSet::start(std::shared_ptr<const ClientOptions> options,
                                   ClientRequest request, Client::Write write, Done done) {
  auto made = std::make_unique<Running>();
  Running& running = *made;
  running.id = next_id_++;
  running.options = std::move(options);
  running.request = std::move(request);
  running.write = std::move(write);
  running.done = std::move(done);
  if (running.write) running.transfer.write = &running.write;
  Result<void> set =
      set_up_transfer(running.handle, *running.options, running.request, running.transfer);
  if (set.ok()) {
    curl_easy_setopt(running.handle.easy(), CURLOPT_PRIVATE, &running);
    curl_multi_add_handle(multi_, running.handle.easy());
  } else {
    running.refused = std::move(set).error();
  }
  Id id = running.id;
  running_.emplace(id, std::move(made));
  return id;
}

void TransferSet::cancel(Id id) {
  auto found = running_.find(id);
  if (found == running_.end()) return;
  curl_multi_remove_handle(multi_, found->second->handle.easy());
  running_.erase(found);
}

void TransferSet::finish(Running& running, int code) {
  curl_multi_remove_handle(multi_, running.handle.easy());
  auto found = running_.find(running.id);
  std::unique_ptr<Running> held = std::move(found->second);
  running_.erase(found);  // First: the callback may start the next one.
  if (held->refused) {
    held->done(*std::move(held->refused));
    return;
  }
  held->done(
      finish_transfer(held->handle, static_cast<CURLcode>(code), held->request, held->transfer));
}

// Those that have been silent for too long, and those that could not begin.
void TransferSet::expire() {
  MonotonicTime now = std::chrono::steady_clock::now();
  std::vector<Running*> over;
  for (auto& [id, running] : running_) {
    milliseconds idle = running->request.idle_timeout;
    if (running->refused || (idle.count() > 0 && running->transfer.last_byte + idle <= now)) {
      over.push_back(running.get());
    }
  }
  for (Running* running : over) finish(*running, CURLE_OPERATION_TIMEDOUT);
}

void TransferSet::run_once(std::optional<MonotonicTime> deadline) {
  MonotonicTime now = std::chrono::steady_clock::now();
  milliseconds wait = kLongest;
  auto no_later_than = [&](MonotonicTime when) {
    wait = std::min(wait, std::max(milliseconds(0), std::chrono::ceil<milliseconds>(when - now)));
  };
  if (deadline) no_later_than(*deadline);
  for (const auto& [id, running] : running_) {
    if (running->refused) no_later_than(now);
    milliseconds idle = running->request.idle_timeout;
    if (idle.count() > 0) no_later_than(running->transfer.last_byte + idle);
  }
  int active = 0;
  curl_multi_perform(multi_, &active);
  if (static_cast<size_t>(active) == running_.size()) {
    curl_multi_poll(multi_, nullptr, 0, static_cast<int>(wait.count()), nullptr);
    curl_multi_perform(multi_, &active);
  }
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode code = message->data.result;
    Running* running = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &running);
    finish(*running, code);
  }
  expire();
}

void TransferSet::wake() { curl_multi_wakeup(multi_); }
size_t TransferSet::size() const { return running_.size(); }

}  // namespace wherry::http
