#include "container/registry.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encoding.h"
#include "base/strings.h"
#include "json/json.h"
#include "os/file.h"
#include "pki/pki.h"

namespace wherry::container {
namespace {

constexpr size_t kManifestBytesMax = 4 << 20;
constexpr size_t kConfigBytesMax = 8 << 20;
constexpr std::chrono::seconds kRequestLimit{60};
constexpr std::chrono::seconds kSilenceLimit{60};
constexpr int kAttemptsWithoutProgress = 3;
constexpr int kAttemptsMax = 20;

http::ClientOptions client_options(const Reference& reference) {
  http::ClientOptions options;
  // As with Docker: what listens on this very machine need not prove who it is.
  options.insecure = reference.loopback();
  options.connections_max = 4;
  return options;
}

std::string first_base(const Reference& reference) {
  if (reference.registry == "docker.io") return "https://registry-1.docker.io";
  return (reference.loopback() ? "http://" : "https://") + reference.registry;
}

// The messages of {"errors":[{"code":...,"message":...}]}.
std::string server_message(const std::string& body) {
  Result<json::Document> document = json::Document::parse(body);
  if (!document.ok()) return "";
  std::vector<std::string> messages;
  for (json::Value error : document->root()["errors"].items()) {
    std::string text = to_lower(error["code"].as_string());
    if (!error["message"].as_string().empty())
      text += ": " + std::string(error["message"].as_string());
    messages.push_back(std::move(text));
  }
  return join(messages, "; ");
}

std::string digest_of(std::string_view text) { return "sha256:" + pki::sha256_hex(text); }

Error wrong_digest(const std::string& have, const std::string& want) {
  return Error::internal("digest mismatch: the registry sent content with digest {} for {}", have,
                         want);
}

// What a file holds so far, hashed; its end is where a download goes on.
Result<uint64_t> hash_file(int fd, pki::Sha256& hash) {
  std::vector<char> buffer(128 << 10);
  uint64_t bytes = 0;
  while (true) {
    ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "reading a partial download");
    if (count == 0) return bytes;
    hash.update(std::string_view(buffer.data(), static_cast<size_t>(count)));
    bytes += static_cast<uint64_t>(count);
  }
}

}  // namespace

Challenge parse_challenge(std::string_view header) {
  Challenge out;
  header = trim(header);
  size_t space = header.find(' ');
  out.scheme = to_lower(header.substr(0, space));
  if (space == std::string_view::npos) return out;
  std::string_view rest = header.substr(space + 1);
  while (!rest.empty()) {
    size_t start = rest.find_first_not_of(" ,");
    if (start == std::string_view::npos) break;
    rest.remove_prefix(start);
    size_t equals = rest.find('=');
    if (equals == std::string_view::npos) break;
    std::string key = to_lower(trim(rest.substr(0, equals)));
    rest.remove_prefix(equals + 1);
    std::string value;
    if (rest.starts_with('"')) {
      size_t at = 1;
      for (; at < rest.size() && rest[at] != '"'; ++at) {
        if (rest[at] == '\\' && at + 1 < rest.size()) ++at;
        value += rest[at];
      }
      rest.remove_prefix(std::min(at + 1, rest.size()));
    } else {
      size_t comma = rest.find(',');
      value = trim(rest.substr(0, comma));
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma);
    }
    out.parameters[key] = value;
  }
  return out;
}

Registry::Registry(const Reference& reference, const std::vector<Credentials>& credentials,
                   std::stop_token stop)
    : reference_(reference),
      stop_(std::move(stop)),
      client_(client_options(reference)),
      base_(first_base(reference)),
      credentials_(credentials) {
  credentials_.emplace_back();  // Nobody, last.
}

std::string Registry::url(std::string_view kind, const std::string& name) const {
  MutexLock lock(mutex_);
  return fmt::format("{}/v2/{}/{}/{}", base_, reference_.repository, kind, name);
}

bool Registry::next_credentials() {
  MutexLock lock(mutex_);
  if (credentials_.size() <= 1) return false;
  credentials_.erase(credentials_.begin());
  authorization_.clear();
  return true;
}

// ---- Authentication

Result<std::string> Registry::fetch_token(const Challenge& challenge,
                                          const Credentials& credentials) {
  auto parameter = [&](const char* key) {
    auto found = challenge.parameters.find(key);
    return found != challenge.parameters.end() ? found->second : std::string();
  };
  std::string realm = parameter("realm");
  bool safe =
      realm.starts_with("https://") || (realm.starts_with("http://") && reference_.loopback());
  if (!safe) {
    return Error(Code::kUnauthorized,
                 fmt::format("the registry names an unusable token server {}", quote(realm)));
  }
  std::string scope = parameter("scope");
  if (scope.empty()) scope = "repository:" + reference_.repository + ":pull";
  std::string query =
      "service=" + percent_encode(parameter("service")) + "&scope=" + percent_encode(scope);
  http::ClientRequest request;
  request.timeout = kRequestLimit;
  request.body_bytes_max = kManifestBytesMax;
  request.follow_redirects = true;
  if (!credentials.identity_token.empty()) {
    request.method = "POST";
    request.url = realm;
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    request.body = query + "&grant_type=refresh_token&client_id=wherry&refresh_token=" +
                   percent_encode(credentials.identity_token);
  } else {
    request.url = realm + (realm.find('?') == std::string::npos ? "?" : "&") + query;
    if (!credentials.username.empty()) {
      std::string pair = credentials.username + ":" + credentials.password;
      request.headers.set("Authorization", "Basic " + base64_encode(pair));
    }
  }
  http::ClientResponse response = TRY(client_.request(request, stop_));
  if (response.status != 200) {
    bool refused = response.status == 400 || response.status == 401 || response.status == 403;
    return Error(
        refused ? Code::kUnauthorized : Code::kUnavailable,
        fmt::format("failed to authorize: failed to fetch {}token: the token server answered {}",
                    credentials.username.empty() ? "anonymous " : "", response.status));
  }
  json::Document document = TRY(json::Document::parse(response.body));
  std::string_view token = document.root()["token"].as_string();
  if (token.empty()) token = document.root()["access_token"].as_string();
  if (token.empty()) return Error(Code::kUnauthorized, "the token server sent no token");
  return "Bearer " + std::string(token);
}

Result<std::string> Registry::authenticate(const Challenge& challenge,
                                           const Credentials& credentials) {
  if (!credentials.registry_token.empty()) return "Bearer " + credentials.registry_token;
  if (challenge.scheme == "bearer") return fetch_token(challenge, credentials);
  if (challenge.scheme == "basic" && !credentials.username.empty()) {
    return "Basic " + base64_encode(credentials.username + ":" + credentials.password);
  }
  return Error(Code::kUnauthorized, "authorization failed: no basic auth credentials");
}

Result<http::ClientResponse> Registry::send_once(http::ClientRequest request,
                                                 const http::Client::Write* write) {
  {
    MutexLock lock(mutex_);
    if (!authorization_.empty()) request.headers.set("Authorization", authorization_);
  }
  if (write != nullptr) return client_.stream(request, *write, stop_);
  return client_.request(request, stop_);
}

Result<http::ClientResponse> Registry::send(http::ClientRequest request,
                                            const http::Client::Write* write) {
  http::ClientResponse response = TRY(send_once(request, write));
  if (response.status != 401) return response;
  Challenge challenge = parse_challenge(response.headers.get("WWW-Authenticate"));
  Credentials credentials;
  {
    MutexLock lock(mutex_);
    credentials = credentials_.front();
  }
  std::string authorization = TRY(authenticate(challenge, credentials));
  {
    MutexLock lock(mutex_);
    authorization_ = authorization;
  }
  return send_once(std::move(request), write);
}

Error Registry::refusal(const http::ClientResponse& response, const std::string& what) const {
  std::string message = server_message(response.body);
  std::string tail = message.empty() ? "" : ": server message: " + message;
  switch (response.status) {
    case 401:
    case 403:
      return Error(
          response.status == 401 ? Code::kUnauthorized : Code::kForbidden,
          "pull access denied, repository does not exist or may require authorization" + tail);
    case 404: return Error::not_found("{}: not found", what);
    case 429:
      return Error(Code::kTooManyRequests,
                   fmt::format("the registry limits requests (429 Too Many Requests){}", tail));
    default:
      return Error(
          response.status >= 500 ? Code::kUnavailable : Code::kInternal,
          fmt::format("unexpected status {} from {}{}", response.status, response.url, tail));
  }
}

// ---- Manifests and small blobs

Result<Registry::Fetched> Registry::manifest(const std::string& tag_or_digest) {
  http::ClientRequest request;
  request.headers.set("Accept", manifest_accept());
  request.timeout = kRequestLimit;
  request.body_bytes_max = kManifestBytesMax;
  request.follow_redirects = true;
  while (true) {
    request.url = url("manifests", tag_or_digest);
    Result<http::ClientResponse> response = send(request, nullptr);
    bool refused = response.ok() ? response->status == 401 || response->status == 403
                                 : response.error().is(Code::kUnauthorized);
    if (refused && next_credentials()) continue;
    if (!response.ok()) return std::move(response).error();
    if (response->status == 400 && response->body.find("HTTPS server") != std::string::npos) {
      // A registry on loopback that speaks TLS after all.
      MutexLock lock(mutex_);
      if (base_.starts_with("http://")) {
        base_ = "https://" + reference_.registry;
        continue;
      }
    }
    if (response->status != 200) return refusal(*response, reference_.full());
    Fetched out;
    out.digest = digest_of(response->body);
    std::string_view stated = response->headers.get("Docker-Content-Digest");
    if (valid_digest(tag_or_digest)) stated = tag_or_digest;
    if (valid_digest(stated) && stated != out.digest)
      return wrong_digest(out.digest, std::string(stated));
    out.media_type = response->headers.get("Content-Type");
    out.text = std::move(response->body);
    return out;
  }
}

Result<std::string> Registry::small_blob(const Descriptor& descriptor) {
  http::ClientRequest request;
  request.url = url("blobs", descriptor.digest);
  request.timeout = kRequestLimit;
  request.body_bytes_max = kConfigBytesMax;
  request.follow_redirects = true;
  http::ClientResponse response = TRY(send(request, nullptr));
  if (response.status != 200) return refusal(response, "blob " + descriptor.digest);
  std::string digest = digest_of(response.body);
  if (digest != descriptor.digest) return wrong_digest(digest, descriptor.digest);
  return std::move(response.body);
}

// ---- Layers

// One request from where the file ends; gives how many bytes it brought. The file is whole and
// verified when that succeeds and its size is the descriptor's.
Result<uint64_t> Registry::continue_download(const Descriptor& descriptor, const std::string& path,
                                             const Progress& progress) {
  os::Fd file = TRY(os::open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  pki::Sha256 hash;
  uint64_t start = TRY(hash_file(file.get(), hash));
  if (start > descriptor.size) {
    if (ftruncate(file.get(), 0) != 0) return Error::from_errno(errno, path);
    return uint64_t{0};
  }
  uint64_t received = 0;
  Result<void> written;
  bool oversize = false;
  http::Client::Write write = [&](std::string_view piece) {
    oversize = start + received + piece.size() > descriptor.size;
    if (oversize) return false;
    written = os::write_all(file.get(), piece);
    if (!written.ok()) return false;
    hash.update(piece);
    received += piece.size();
    progress(piece.size());
    return true;
  };
  if (start < descriptor.size) {
    if (lseek(file.get(), static_cast<off_t>(start), SEEK_SET) < 0)
      return Error::from_errno(errno, path);
    http::ClientRequest request;
    request.url = url("blobs", descriptor.digest);
    request.idle_timeout = kSilenceLimit;
    request.follow_redirects = true;
    if (start > 0) request.headers.set("Range", fmt::format("bytes={}-", start));
    Result<http::ClientResponse> response = send(request, &write);
    if (!written.ok()) return std::move(written).error();
    if (!response.ok()) {
      if (received > 0) return received;  // Some progress: go on from there.
      return std::move(response).error();
    }
    if (start > 0 && (response->status == 200 || response->status == 416)) {
      // It does not do ranges: what came is the whole blob, behind the part we had.
      if (ftruncate(file.get(), 0) != 0) return Error::from_errno(errno, path);
      return received;
    }
    if (response->status / 100 != 2) return refusal(*response, "blob " + descriptor.digest);
    if (oversize) {
      TRY(os::remove_file(path));
      return Error::internal("blob {} is longer than the {} bytes its manifest states",
                             descriptor.digest, descriptor.size);
    }
  }
  if (start + received < descriptor.size) return received;
  std::string digest = "sha256:" + hash.finish_hex();
  if (digest != descriptor.digest) {
    TRY(os::remove_file(path));
    return wrong_digest(digest, descriptor.digest);
  }
  return received;
}

Result<void> Registry::download(const Descriptor& descriptor, const std::string& path,
                                const Progress& progress) {
  int idle_attempts = 0;
  for (int attempt = 1;; ++attempt) {
    uint64_t received = TRY(continue_download(descriptor, path, progress));
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return Error::from_errno(errno, path);
    if (static_cast<uint64_t>(info.st_size) == descriptor.size) return {};
    if (stop_.stop_requested()) return Error::timeout("the pull was cancelled");
    idle_attempts = received > 0 ? 0 : idle_attempts + 1;
    if (idle_attempts < kAttemptsWithoutProgress && attempt < kAttemptsMax) continue;
    return Error::unavailable("blob {} is truncated: {} of {} bytes came: unexpected EOF",
                              descriptor.digest, info.st_size, descriptor.size);
  }
}

}  // namespace wherry::container
