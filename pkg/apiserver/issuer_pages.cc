#include "apiserver/issuer_pages.h"

#include <set>

#include "base/strings.h"
#include "json/json.h"

namespace wherry::apiserver {
namespace {

constexpr const char* kMaxAge = "public, max-age=3600";

std::string configuration(const TokenIssuer& tokens, std::string_view address) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("issuer", tokens.issuer());
  root.set("jwks_uri", fmt::format("https://{}/openid/v1/jwks", address));
  root.set_array("response_types_supported").push("id_token");
  root.set_array("subject_types_supported").push("public");
  std::set<std::string> algorithms;
  for (const pki::Key& key : *tokens.keys()) algorithms.emplace(pki::token_algorithm(key));
  json::Node list = root.set_array("id_token_signing_alg_values_supported");
  for (const std::string& algorithm : algorithms) list.push(algorithm);
  return draft.dump();
}

std::string key_set(const TokenIssuer& tokens) {
  std::vector<std::string> keys;
  for (const pki::Key& key : *tokens.keys()) keys.push_back(key.public_jwk());
  return fmt::format(R"({{"keys":[{}]}})", join(keys, ","));
}

}  // namespace

bool answer_issuer_page(const http::Request& request, http::Response& response,
                        const TokenIssuer& tokens, std::string_view address) {
  bool reads = request.method == "GET" || request.method == "HEAD";
  if (!reads) return false;
  if (request.path == "/.well-known/openid-configuration") {
    response.headers.set("Cache-Control", kMaxAge);
    response.set_body("application/json", configuration(tokens, address));
    return true;
  }
  if (request.path == "/openid/v1/jwks") {
    response.headers.set("Cache-Control", kMaxAge);
    response.set_body("application/jwk-set+json", key_set(tokens));
    return true;
  }
  return false;
}

}  // namespace wherry::apiserver
