#include "client/reflector.h"

#include <algorithm>

#include "api/status.h"
#include "base/encoding.h"
#include "base/random.h"
#include "base/strings.h"
#include "client/remote_client.h"

namespace wherry::client {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRetryFirst{200};
constexpr milliseconds kRetryMax{10'000};
constexpr std::chrono::seconds kListPatience{60};
constexpr std::chrono::seconds kSilenceMax{150};  // Of a watch: two bookmarks and a half.
constexpr std::chrono::seconds kBrief{1};
constexpr size_t kLineBytesMax = 16 << 20;

// Doubling, and anything between half and the whole of it: agents that lost their server at the
// same moment must not come back at the same moment.
milliseconds back_off(int failures) {
  milliseconds whole = std::min(kRetryFirst * (1 << std::min(failures, 8)), kRetryMax);
  return whole / 2 + milliseconds(random_u64() % static_cast<uint64_t>(whole.count() / 2 + 1));
}

}  // namespace

Reflector::Reflector(Source source, http::TransferSet& transfers, ReflectorSink& sink)
    : source_(std::move(source)), transfers_(transfers), sink_(sink) {}

Reflector::~Reflector() {
  if (running_) transfers_.cancel(*running_);
}

std::optional<MonotonicTime> Reflector::step(MonotonicTime now) {
  if (running_) return std::nullopt;
  if (retry_at_ && *retry_at_ > now) return retry_at_;
  retry_at_.reset();
  if (version_.empty()) {
    list();
  } else {
    watch();
  }
  return std::nullopt;
}

http::ClientRequest Reflector::request(bool watch) const {
  http::ClientRequest out;
  out.url = source_.server + path_of(*source_.resource, source_.ns);
  char joint = '?';
  auto add = [&](std::string_view key, std::string_view value) {
    out.url += joint;
    out.url += key;
    out.url += "=" + percent_encode(value);
    joint = '&';
  };
  if (!source_.field_selector.empty()) add("fieldSelector", source_.field_selector);
  if (watch) {
    add("watch", "true");
    add("allowWatchBookmarks", "true");
    add("resourceVersion", version_);
    out.idle_timeout = kSilenceMax;
  } else {
    out.timeout = kListPatience;
  }
  out.headers.add("Accept", "application/json");
  return out;
}

void Reflector::list() {
  running_ = transfers_.start(
      source_.identity->get(), request(false), nullptr,
      [this](Result<http::ClientResponse> response) { listed(std::move(response)); });
}

void Reflector::listed(Result<http::ClientResponse> response) {
  running_.reset();
  if (!response.ok()) return fail(response.error());
  if (response->status != 200) return fail(error_of(*response));
  Result<void> taken = take_list(*response);
  if (!taken.ok()) return fail(taken.error());
  succeed();
}

Result<void> Reflector::take_list(const http::ClientResponse& response) {
  json::Document document = TRY(json::Document::parse(response.body));
  std::string_view version = document.root()["metadata"]["resourceVersion"].as_string();
  if (version.empty())
    return Error::unavailable("a list of {} without a version", source_.resource->plural);
  std::vector<ObjectPtr> objects;
  for (json::Value item : document.root()["items"].items()) {
    objects.push_back(TRY(object_from(*source_.resource, item)));
  }
  version_ = version;
  synced_ = true;
  sink_.replace(std::move(objects), parse_int(version_).value_or(0));
  return {};
}

void Reflector::watch() {
  line_.clear();
  began_ = std::chrono::steady_clock::now();
  running_ = transfers_.start(
      source_.identity->get(), request(true),
      [this](std::string_view bytes) { return take_bytes(bytes); },
      [this](Result<http::ClientResponse> response) { ended(std::move(response)); });
}

bool Reflector::take_bytes(std::string_view bytes) {
  succeed();
  while (!bytes.empty()) {
    size_t end = bytes.find('\n');
    line_.append(bytes.substr(0, end));
    if (end == std::string_view::npos) return line_.size() <= kLineBytesMax;
    bytes.remove_prefix(end + 1);
    bool more = take_event(line_);
    line_.clear();
    if (!more) return false;
  }
  return true;
}

bool Reflector::take_event(std::string_view line) {
  if (trim(line).empty()) return true;
  Result<json::Document> document = json::Document::parse(line);
  if (!document.ok()) {
    version_.clear();  // What was missed nobody knows.
    return false;
  }
  std::string_view type = document->root()["type"].as_string();
  json::Value value = document->root()["object"];
  std::string_view version = value["metadata"]["resourceVersion"].as_string();
  if (type == "ERROR") {
    Error error = api::error_from_status(value, static_cast<int>(value["code"].as_int(500)));
    bool behind = error.is(Code::kExpired) || error.is(Code::kGone);
    if (behind) version_.clear();
    if (!behind) fail(error);
    return false;
  }
  if (type == "BOOKMARK") {
    sink_.bookmark(parse_int(version).value_or(0));
  } else {
    Result<ObjectPtr> object = object_from(*source_.resource, value);
    if (!object.ok()) {
      version_.clear();
      return false;
    }
    if (type == "DELETED") {
      sink_.erase(*object);
    } else {
      sink_.put(*object);
    }
  }
  if (!version.empty()) version_ = version;
  return true;
}

void Reflector::ended(Result<http::ClientResponse> response) {
  running_.reset();
  if (!response.ok()) return fail(response.error());
  if (response->status == 200) return pause_if_brief();  // Its time was over, or an event ended it.
  Error error = error_of(*response);
  if (error.is(Code::kExpired) || error.is(Code::kGone)) {
    version_.clear();
    return pause_if_brief();
  }
  fail(error);
}

void Reflector::pause_if_brief() {
  MonotonicTime now = std::chrono::steady_clock::now();
  if (!retry_at_ && now - began_ < kBrief) retry_at_ = now + back_off(failures_++);
}

void Reflector::fail(const Error& error) {
  retry_at_ = std::chrono::steady_clock::now() + back_off(failures_++);
  sink_.trouble(error);
}

void Reflector::succeed() {
  if (failures_ == 0) return;
  failures_ = 0;
  sink_.trouble(std::nullopt);
}

}  // namespace wherry::client
