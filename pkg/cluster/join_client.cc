#include "cluster/join_client.h"

#include "api/status.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "cluster/join_token.h"
#include "http/client.h"
#include "os/fd.h"

namespace wherry::cluster {
namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr unsigned kSecretMode = 0600;
constexpr size_t kCaBytesMax = 64 << 10;

std::string file(const JoinOptions& options, std::string_view name) {
  return options.directory + "/" + std::string(name);
}

Result<std::string> node_password(const JoinOptions& options) {
  std::string path = file(options, "password");
  Result<std::string> there = os::read_file(path);
  if (there.ok() && !trim(*there).empty()) return std::string(trim(*there));
  if (!there.ok() && !there.error().is(Code::kNotFound)) return there;
  std::string made = hex_encode(random_bytes(16));
  TRY(os::write_file_atomic(path, made + "\n", kSecretMode));
  return made;
}

// A pair that fits together, is in its time and says who we are.
Result<KeyPair> load_pair(const JoinOptions& options, std::string_view name,
                          const std::string& common_name, const Clock& clock, Time* renew_at) {
  KeyPair pair;
  pair.certificate_pem = TRY(os::read_file(file(options, std::string(name) + ".crt")));
  pair.key_pem = TRY(os::read_file(file(options, std::string(name) + ".key")));
  pki::Certificate certificate = TRY(pki::Certificate::from_pem(pair.certificate_pem));
  pki::Key key = TRY(pki::Key::from_pem(pair.key_pem));
  if (!certificate.matches(key) || certificate.subject().common_name != common_name) {
    return Error::not_found("{}.crt is not that of {}", name, common_name);
  }
  if (clock.now() >= certificate.not_after()) {
    return Error::not_found("{}.crt has run out", name);
  }
  auto life = certificate.not_after() - certificate.not_before();
  *renew_at = std::min(*renew_at, certificate.not_after() - life / 3);
  return pair;
}

Error answer_error(const http::ClientResponse& response, std::string_view server) {
  Result<json::Document> body = json::Document::parse(response.body);
  Error error = api::error_from_status(body.ok() ? body->root() : json::Value(), response.status);
  return std::move(error).with_prefix(server);
}

// The server's CA, known by the digest in the token.
Result<std::string> fetch_ca(const JoinOptions& options, const JoinToken& token,
                             const std::stop_token& stop) {
  http::ClientOptions unsafe;
  unsafe.insecure = true;  // Nothing is believed but what has the digest.
  http::Client client(unsafe);
  http::ClientRequest request;
  request.url = options.server + std::string(kCaPath);
  request.timeout = kPatience;
  request.body_bytes_max = kCaBytesMax;
  http::ClientResponse response = TRY(client.request(request, stop));
  if (response.status != 200) return answer_error(response, options.server);
  Result<pki::Certificate> first = pki::Certificate::from_pem(response.body);
  if (!first.ok()) return Error::invalid("{} is not a Wherry server", options.server);
  if (token.ca_sha256.empty()) {
    log::warn("the token has no digest of the server's CA; {} is trusted as it is", options.server);
    return first->pem();
  }
  std::optional<pki::Certificate> pinned = TRY(pinned_authority(response.body, token.ca_sha256));
  if (!pinned) {
    return Error(Code::kForbidden,
                 fmt::format("{} is not the server that the token is of: its CA has another digest",
                             options.server));
  }
  return pinned->pem();  // The others come with the answer to who trusts this one.
}

struct Wish {
  pki::Key node_key = pki::Key::generate();
  pki::Key proxy_key = pki::Key::generate();
};

std::string join_body(const JoinOptions& options, const std::string& password, const Wish& wish) {
  json::Draft body;
  body.root().set("node", options.node_name);
  body.root().set("password", password);
  body.root().set("nodeRequest",
                  pki::SigningRequest::create(
                      wish.node_key, {std::string(kNodeUserPrefix) + options.node_name, {}}));
  body.root().set("proxyRequest",
                  pki::SigningRequest::create(wish.proxy_key, {std::string(kProxyUser), {}}));
  return body.dump();
}

// The keys go first: a certificate without its key is not taken for good, and joined for again.
Result<void> keep(const JoinOptions& options, const Wish& wish, json::Value answer) {
  struct Piece {
    std::string_view name;
    std::string content;
    unsigned mode;
  };
  const Piece pieces[] = {
      {"server-ca.crt", std::string(answer["serverCa"].as_string()), 0644},
      {"node.key", wish.node_key.private_pem(), kSecretMode},
      {"proxy.key", wish.proxy_key.private_pem(), kSecretMode},
      {"cluster.json", answer["cluster"].dump(), 0644},
      {"node.crt", std::string(answer["nodeCertificate"].as_string()), 0644},
      {"proxy.crt", std::string(answer["proxyCertificate"].as_string()), 0644},
  };
  for (const Piece& piece : pieces) {
    TRY(os::write_file_atomic(file(options, piece.name), piece.content, piece.mode));
  }
  return {};
}

}  // namespace

Result<Joined> load_joined(const JoinOptions& options, const Clock& clock) {
  Joined out;
  out.renew_at = Time::max();
  out.server_ca_pem = TRY(os::read_file(file(options, "server-ca.crt")));
  if (!options.token.empty()) {
    JoinToken token = TRY(JoinToken::parse(options.token));
    if (!token.ca_sha256.empty() && !TRY(pinned_authority(out.server_ca_pem, token.ca_sha256))) {
      return Error::not_found("the token is of another cluster than the one joined before");
    }
  }
  std::string user = std::string(kNodeUserPrefix) + options.node_name;
  out.node = TRY(load_pair(options, "node", user, clock, &out.renew_at));
  out.proxy = TRY(load_pair(options, "proxy", std::string(kProxyUser), clock, &out.renew_at));
  json::Document network =
      TRY(json::Document::parse(TRY(os::read_file(file(options, "cluster.json")))));
  out.network = read_network(network.root());
  return out;
}

Result<Joined> join(const JoinOptions& options, const Joined* renewed, const Clock& clock,
                    std::stop_token stop) {
  TRY(os::make_directories(options.directory, 0700));
  std::string password = TRY(node_password(options));
  http::ClientOptions trust;
  http::ClientRequest request;
  if (renewed != nullptr) {
    trust.ca_pem = renewed->server_ca_pem;
    trust.certificate_pem = renewed->node.certificate_pem;
    trust.key_pem = renewed->node.key_pem;
  } else {
    if (options.token.empty()) {
      return Error::invalid(
          "a token is needed to join: --token, or WHERRY_TOKEN; the server keeps it in "
          "<data-dir>/server/token");
    }
    JoinToken token = TRY(JoinToken::parse(options.token));
    trust.ca_pem = TRY(fetch_ca(options, token, stop));
    request.headers.add("Authorization", "Basic " + base64_encode(token.user + ":" + token.secret));
  }
  Wish wish;
  request.method = "POST";
  request.url = options.server + std::string(kJoinPath);
  request.headers.add("Content-Type", "application/json");
  request.body = join_body(options, password, wish);
  request.timeout = kPatience;
  http::Client client(trust);
  http::ClientResponse response = TRY(client.request(request, stop));
  if (response.status != 200) return answer_error(response, options.server);
  json::Document answer = TRY(json::Document::parse(response.body));
  TRY(keep(options, wish, answer.root()));
  return load_joined(options, clock);
}

}  // namespace wherry::cluster
