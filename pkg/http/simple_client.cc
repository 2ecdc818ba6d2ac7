#include "http/simple_client.h"

#include <fmt/format.h>
#include <httplib.h>

#include <string_view>

namespace wherry::http {
namespace {

struct Place {
  std::string server;  // "https://host:port"
  std::string target;  // "/path?query"
};

Result<Place> place_of(std::string_view url) {
  size_t host = url.find("://");
  std::string_view scheme = url.substr(0, host == std::string_view::npos ? 0 : host);
  // The library's constructor throws for any other scheme.
  if (scheme != "http" && scheme != "https") {
    return Error::invalid("\"{}\" is no http or https URL", url);
  }
  url = url.substr(0, url.find('#'));
  size_t path = url.find_first_of("/?", host + 3);
  std::string_view server = url.substr(0, path);
  if (server.size() == host + 3) return Error::invalid("\"{}\" names no host", url);
  std::string_view target = path == std::string_view::npos ? "" : url.substr(path);
  return Place{std::string(server), (target.starts_with('/') ? "" : "/") + std::string(target)};
}

Error error_of(const std::string& url, httplib::Error error) {
  Code code = error == httplib::Error::ConnectionTimeout ? Code::kTimeout : Code::kUnavailable;
  return Error(code, fmt::format("{}: {}", url, httplib::to_string(error)));
}

}  // namespace

Result<Fetched> fetch(const std::string& url, const FetchOptions& options) {
  Place place = TRY(place_of(url));
  httplib::Client client(place.server);
  if (!client.is_valid()) return Error::invalid("\"{}\" is no http or https URL", url);
  client.set_follow_location(true);
  client.set_connection_timeout(options.timeout);
  client.set_read_timeout(options.timeout);
  client.set_write_timeout(options.timeout);
#ifdef CPPHTTPLIB_OPENSSL_SUPPORT
  client.enable_server_certificate_verification(!options.insecure);
#endif
  client.set_default_headers({{"User-Agent", "wherry"}});

  Fetched fetched;
  bool too_long = false;
  httplib::Result result = client.Get(place.target, [&](const char* bytes, size_t size) {
    too_long = fetched.body.size() + size > options.body_bytes_max;
    if (!too_long) fetched.body.append(bytes, size);
    return !too_long;
  });
  if (too_long) {
    return Error(Code::kUnavailable,
                 fmt::format("{}: the body is longer than {} bytes", url, options.body_bytes_max));
  }
  if (!result) return error_of(url, result.error());
  fetched.status = result->status;
  for (const auto& [name, value] : result->headers) fetched.headers.add(name, value);
  return fetched;
}

}  // namespace wherry::http
