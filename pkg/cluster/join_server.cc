#include "api/names.h"
#include "api/resource.h"
#include "api/status.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/strings.h"
#include "cluster/join.h"
#include "cluster/join_token.h"

namespace wherry::cluster {
namespace {

constexpr std::string_view kNamespace = "kube-system";
constexpr std::string_view kPasswordSuffix = ".node-password.wherry";
constexpr std::string_view kField = "hash";
constexpr size_t kPasswordBytesMax = 256;
// A machine that has claimed a name has this long to make its Node: of two machines that start from
// one image, the second is refused.
constexpr std::chrono::minutes kClaimRests{5};

const api::Resource& secrets() { return api::resource("secrets"); }

}  // namespace

void write_network(const ClusterNetwork& network, json::Node to) {
  to.set("clusterCidr", network.cluster_cidr);
  to.set("serviceCidr", network.service_cidr);
  to.set("clusterDns", network.cluster_dns);
  to.set("clusterDomain", network.cluster_domain);
}

ClusterNetwork read_network(json::Value from) {
  ClusterNetwork out;
  out.cluster_cidr = from["clusterCidr"].as_string();
  out.service_cidr = from["serviceCidr"].as_string();
  out.cluster_dns = from["clusterDns"].as_string();
  out.cluster_domain = from["clusterDomain"].as_string();
  return out;
}

Result<JoinServer> JoinServer::make(Options options, client::Client& client, const Clock& clock) {
  JoinToken token = TRY(JoinToken::parse(options.token));
  return JoinServer(std::move(options), std::move(token.secret), client, clock);
}

Result<void> JoinServer::answer_ca(http::Response& response) const {
  response.set_body("application/x-pem-file", options_.server_ca_pem());
  return {};
}

bool JoinServer::shows_token(const http::Request& request) const {
  std::string_view header = request.headers.get("Authorization");
  if (!header.starts_with("Basic ")) return false;
  std::string text = base64_decode(trim(header.substr(6))).value_or("");
  auto parts = split_once(text, ":");
  if (!parts || (parts->first != "node" && parts->first != "server")) return false;
  return pki::constant_time_equal(parts->second, secret_);
}

Result<void> JoinServer::answer_join(std::string_view user, const std::vector<std::string>& groups,
                                     const http::Request& request, http::Response& response) const {
  if (request.method != "POST") {
    return Error(Code::kMethodNotAllowed, "a machine joins with POST");
  }
  json::Document body = TRY(json::Document::parse(request.body));
  std::string node(body.root()["node"].as_string());
  bool renews = std::find(groups.begin(), groups.end(), kNodesGroup) != groups.end() &&
                user == std::string(kNodeUserPrefix) + node;
  if (!renews && !shows_token(request)) {
    return Error(Code::kUnauthorized, "the token is not that of this cluster");
  }
  if (!api::is_dns_subdomain(node)) {
    return Error::bad_request("{} is no name for a node", quote(node));
  }
  TRY(check_password(node, body.root()["password"].as_string()));
  json::Draft answer;
  answer.root().set("nodeCertificate",
                    TRY(issue(body.root()["nodeRequest"].as_string(),
                              {std::string(kNodeUserPrefix) + node, {std::string(kNodesGroup)}})));
  answer.root().set("proxyCertificate", TRY(issue(body.root()["proxyRequest"].as_string(),
                                                  {std::string(kProxyUser), {}})));
  answer.root().set("serverCa", options_.server_ca_pem());
  write_network(options_.network, answer.root().set_object("cluster"));
  response.set_body("application/json", answer.dump());
  log::info("node {} {} from {}", node, renews ? "renewed its certificates" : "joins",
            request.peer_address);
  return {};
}

Result<std::string> JoinServer::issue(std::string_view request_pem, pki::Subject subject) const {
  Result<pki::SigningRequest> request = pki::SigningRequest::from_pem(request_pem);
  if (!request.ok()) return Error::bad_request("{}", request.error().message());
  pki::CertificateSpec spec;
  spec.subject = std::move(subject);
  spec.client_auth = true;
  spec.now = clock_.now();
  pki::Certificate made = TRY(options_.client_authority().issue(request->key, spec));
  return made.pem();
}

Result<void> JoinServer::claim(const std::string& secret_name, const std::string& digest) const {
  json::Draft secret;
  secret.root().set("kind", "Secret");
  secret.root().set("apiVersion", "v1");
  secret.root().set_object("metadata").set("name", secret_name);
  secret.root().set("immutable", true);
  secret.root().set_object("data").set(kField, base64_encode(digest));
  json::Document body = secret.freeze();
  TRY(client_.create(secrets(), kNamespace, body.root()));
  return {};
}

Result<void> JoinServer::check_password(const std::string& node, std::string_view password) const {
  if (password.empty() || password.size() > kPasswordBytesMax) {
    return Error::bad_request("the node's password is missing or too long");
  }
  std::string digest = pki::sha256_hex(password);
  std::string name = node + std::string(kPasswordSuffix);
  Result<client::ObjectPtr> node_object = client_.get(api::resource("nodes"), "", node);
  if (!node_object.ok() && !node_object.error().is(Code::kNotFound)) {
    return std::move(node_object).error();
  }
  Result<client::ObjectPtr> known = client_.get(secrets(), kNamespace, name);
  if (!known.ok() && !known.error().is(Code::kNotFound)) return std::move(known).error();
  if (!known.ok()) {
    if (node_object.ok()) {
      return Error(Code::kForbidden,
                   fmt::format("there is a node \"{0}\" already, which did not join with a "
                               "password: use another --node-name, or delete that node first",
                               node));
    }
    return claim(name, digest);
  }
  json::Document document = (*known)->document();
  std::string kept = base64_decode(document.root()["data"][kField].as_string()).value_or("");
  if (pki::constant_time_equal(kept, digest)) return {};
  std::optional<Time> claimed =
      parse_time(document.root()["metadata"]["creationTimestamp"].as_string());
  bool rests = claimed && clock_.now() - *claimed < kClaimRests;
  if (node_object.ok() || rests) {
    return Error(Code::kForbidden,
                 fmt::format("another machine has the name \"{0}\": use another --node-name, or "
                             "delete the node when that machine is gone for good",
                             node));
  }
  TRY(ignore_not_found(
      client_.remove(secrets(), kNamespace, name, {.uid = std::string((*known)->uid())})));
  return claim(name, digest);
}

}  // namespace wherry::cluster
