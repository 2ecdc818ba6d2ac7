#include "apiserver/continue_token.h"

#include "api/decode.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "json/json.h"

namespace wherry::apiserver {
namespace {

Error malformed(std::string_view why) {
  return Error::bad_request("invalid continue token: continue key is not valid: {}", why);
}

}  // namespace

std::string encode_continue(const ContinueToken& token) {
  std::string start = token.ns.empty() ? token.name : token.ns + "/" + token.name;
  start.push_back('\0');
  json::Draft draft;
  draft.root().set("v", "meta.k8s.io/v1");
  draft.root().set("rv", token.revision);
  draft.root().set("start", start);
  return base64url_encode(draft.dump());
}

Result<ContinueToken> decode_continue(std::string_view text) {
  std::optional<std::string> bytes = base64url_decode(text);
  if (!bytes) return malformed("illegal base64 data at input byte 0");
  Result<json::Document> parsed = json::Document::parse(*bytes);
  if (!parsed.ok()) return malformed(api::go_json_error(*bytes));
  json::Value root = parsed->root();
  if (root["v"].as_string() != "meta.k8s.io/v1") {
    return malformed(
        fmt::format("server does not recognize this encoded version {}", root["v"].as_string()));
  }
  ContinueToken token;
  token.revision = root["rv"].as_int();
  if (token.revision == 0)
    return malformed("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  std::string_view start = root["start"].as_string();
  if (start.empty()) return malformed("encoded start key empty (version meta.k8s.io/v1)");
  if (start.back() == '\0') start.remove_suffix(1);
  if (auto parts = split_once(start, "/")) {
    token.ns = parts->first;
    token.name = parts->second;
  } else {
    token.name = start;
  }
  if (token.name.find('/') != std::string::npos || token.name == ".." || token.ns == "..") {
    return malformed("invalid key");
  }
  return token;
}

}  // namespace wherry::apiserver
