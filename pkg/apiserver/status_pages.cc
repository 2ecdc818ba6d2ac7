#include "apiserver/status_pages.h"

#include "apiserver/encode.h"
#include "apiserver/negotiate.h"

namespace wherry::apiserver {
namespace {

std::string version_text() {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("major", "1");
  root.set("minor", "36");
  root.set("emulationMajor", "1");
  root.set("emulationMinor", "36");
  root.set("minCompatibilityMajor", "1");
  root.set("minCompatibilityMinor", "35");
  root.set("gitVersion", kGitVersion);
  root.set("gitCommit", "");
  root.set("gitTreeState", "clean");
  root.set("buildDate", "1970-01-01T00:00:00Z");
  // Clients print these two; what they say about Go does not hold here.
  root.set("goVersion", "none");
  root.set("compiler", "gcc");
#if defined(__aarch64__)
  root.set("platform", "linux/arm64");
#else
  root.set("platform", "linux/amd64");
#endif
  std::string text = draft.dump_pretty();
  return text;
}

bool excluded(const http::Request& request, const std::string& name) {
  for (std::string_view item : request.query.all("exclude")) {
    if (item == name) return true;
  }
  return false;
}

}  // namespace

void RequestMetrics::count(std::string_view verb, std::string_view resource,
                           std::string_view subresource, int code, Duration took) {
  Key key{std::string(verb), std::string(resource), std::string(subresource), code};
  MutexLock lock(mutex_);
  Value& value = values_[std::move(key)];
  ++value.requests;
  value.seconds += std::chrono::duration<double>(took).count();
}

std::string RequestMetrics::text() const {
  std::string counts =
      "# HELP apiserver_request_total Requests answered.\n# TYPE apiserver_request_total counter\n";
  std::string sums =
      "# HELP apiserver_request_duration_seconds Time to answer a request.\n"
      "# TYPE apiserver_request_duration_seconds summary\n";
  MutexLock lock(mutex_);
  for (const auto& [key, value] : values_) {
    std::string labels =
        fmt::format("{{code=\"{}\",resource=\"{}\",subresource=\"{}\",verb=\"{}\"}}", key.code,
                    key.resource, key.subresource, key.verb);
    counts += fmt::format("apiserver_request_total{} {}\n", labels, value.requests);
    sums += fmt::format("apiserver_request_duration_seconds_sum{} {:.6f}\n", labels, value.seconds);
    sums += fmt::format("apiserver_request_duration_seconds_count{} {}\n", labels, value.requests);
  }
  return counts + sums;
}

std::string StatusPages::metrics(const RequestMetrics& requests) const {
  store::Metrics store = store_.metrics();
  std::string out = requests.text();
  auto add = [&out](std::string_view name, std::string_view type, std::string_view help,
                    uint64_t value) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n{} {}\n", name, help, name, type, name, value);
  };
  add("wherry_store_commits_total", "counter", "Transactions committed.", store.commits);
  add("wherry_store_writes_total", "counter", "Objects written.", store.writes);
  add("wherry_store_disk_bytes", "gauge", "Size of the database file.", store.disk_bytes);
  add("wherry_store_wal_bytes", "gauge", "Size of the write-ahead log.", store.wal_bytes);
  add("wherry_store_objects", "gauge", "Objects stored.", store.objects);
  add("wherry_store_history_events", "gauge", "Events kept for watches.", store.events);
  add("wherry_store_revision", "counter", "Revision of the newest write.",
      static_cast<uint64_t>(store_.revision()));
  return out;
}

// /livez, /readyz, /healthz; below them one path a check; ?verbose lists them all, as upstream
// words it.
void StatusPages::health(const http::Request& request, http::Response& response) const {
  const std::string& kind = request.segments[0];
  if (request.segments.size() > 1) {
    for (const Check& check : checks_) {
      if (check.name != request.segments[1] || request.segments.size() > 2) continue;
      bool good = check.passes();
      write_text(response, good ? 200 : 500,
                 good ? std::string("ok") : std::string("internal server error: not ready\n"));
      return;
    }
    write_text(response, 404, "404 page not found\n");
    return;
  }
  std::string lines;
  bool good = true;
  for (const Check& check : checks_) {
    if (excluded(request, check.name)) {
      lines += fmt::format("[+]{} excluded: ok\n", check.name);
      continue;
    }
    bool passes = check.passes();
    good &= passes;
    lines += passes ? fmt::format("[+]{} ok\n", check.name)
                    : fmt::format("[-]{} failed: reason withheld\n", check.name);
  }
  if (!good) {
    write_text(response, 500, fmt::format("{}{} check failed\n", lines, kind));
    return;
  }
  if (!request.query.has("verbose")) {
    write_text(response, 200, "ok");
    return;
  }
  write_text(response, 200, fmt::format("{}{} check passed\n", lines, kind));
}

Result<bool> StatusPages::handle(const http::Request& request, http::Response& response,
                                 const RequestMetrics& requests) {
  if (request.segments.empty()) return false;
  const std::string& first = request.segments[0];
  if (first == "livez" || first == "readyz" || first == "healthz") {
    health(request, response);
    return true;
  }
  if (request.segments.size() != 1) return false;
  if (first == "version") {
    if (request.method != "GET" && request.method != "HEAD") {
      return Error(Code::kMethodNotAllowed,
                   "the server does not allow this method on the requested resource");
    }
    TRY(negotiate(request, Offers{.table = false, .partial = false, .json_only = true}));
    response.set_body("application/json", version_text());
    return true;
  }
  if (first == "metrics") {
    response.set_body("text/plain; version=0.0.4; charset=utf-8", metrics(requests));
    return true;
  }
  return false;
}

}  // namespace wherry::apiserver
