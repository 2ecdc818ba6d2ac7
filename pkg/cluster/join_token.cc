#include "cluster/join_token.h"

#include "base/strings.h"

namespace wherry::cluster {
namespace {

constexpr std::string_view kPrefix = "K10";
constexpr size_t kDigestSize = 64;

}  // namespace

Result<JoinToken> JoinToken::parse(std::string_view text) {
  text = trim(text);
  JoinToken out;
  out.user = "node";
  if (!text.starts_with(kPrefix)) {
    out.secret = text;
  } else {
    auto parts = split_once(text.substr(kPrefix.size()), "::");
    auto credentials = parts ? split_once(parts->second, ":") : std::nullopt;
    bool digest = parts && parts->first.size() == kDigestSize &&
                  parts->first.find_first_not_of("0123456789abcdef") == std::string_view::npos;
    if (!digest || !credentials) {
      return Error::invalid(
          "the token is damaged: it begins with K10 but is not K10<digest>::<user>:<secret>; take "
          "it from <data-dir>/server/token of the server");
    }
    out.ca_sha256 = parts->first;
    out.user = credentials->first;
    out.secret = credentials->second;
  }
  if (out.secret.empty()) return Error::invalid("the token is empty");
  return out;
}

std::string JoinToken::text() const {
  if (ca_sha256.empty()) return secret;
  return fmt::format("{}{}::{}:{}", kPrefix, ca_sha256, user, secret);
}

Result<std::optional<pki::Certificate>> pinned_authority(std::string_view bundle_pem,
                                                         std::string_view sha256) {
  for (pki::Certificate& certificate : TRY(pki::Certificate::all_from_pem(bundle_pem))) {
    if (pki::constant_time_equal(certificate.sha256(), sha256)) return std::optional(certificate);
  }
  return std::optional<pki::Certificate>();
}

}  // namespace wherry::cluster
