#include "api/secret_tls.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "pki/pki.h"

namespace wherry::api {
namespace {

constexpr std::string_view kCertificate = "CERTIFICATE";

bool is_key(std::string_view type) {
  return type == "PRIVATE KEY" || type.ends_with(" PRIVATE KEY");
}

// Types of the PEM blocks of a text, RFC 7468.
std::vector<std::string_view> block_types(std::string_view pem) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  constexpr std::string_view kDashes = "-----";
  std::vector<std::string_view> out;
  for (size_t at = 0; (at = pem.find(kBegin, at)) != std::string_view::npos;) {
    at += kBegin.size();
    size_t end = pem.find(kDashes, at);
    if (end == std::string_view::npos) break;
    std::string_view type = pem.substr(at, end - at);
    std::string last = "-----END " + std::string(type) + "-----";
    size_t close = pem.find(last, end);
    if (close == std::string_view::npos) continue;
    out.push_back(type);
    at = close + last.size();
  }
  return out;
}

std::string without_certificate(const std::vector<std::string_view>& types) {
  if (types.empty()) return "tls: failed to find any PEM data in certificate input";
  if (types.size() == 1 && is_key(types[0])) {
    return "tls: failed to find certificate PEM data in certificate input, but did find a private "
           "key; PEM inputs may have been switched";
  }
  return fmt::format(
      "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM "
      "blocks "
      "of the following types: [{}]",
      join(types, " "));
}

std::string without_key(const std::vector<std::string_view>& types) {
  if (types.empty()) return "tls: failed to find any PEM data in key input";
  if (types.size() == 1 && types[0] == kCertificate)
    return "tls: found a certificate rather than a key in the PEM for the private key";
  return fmt::format(
      "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after "
      "skipping "
      "PEM blocks of the following types: [{}]",
      join(types, " "));
}

}  // namespace

std::string key_pair_problem(std::string_view certificate_pem, std::string_view key_pem) {
  const std::vector<std::string_view> certificates = block_types(certificate_pem);
  if (std::find(certificates.begin(), certificates.end(), kCertificate) == certificates.end())
    return without_certificate(certificates);
  const std::vector<std::string_view> keys = block_types(key_pem);
  if (std::find_if(keys.begin(), keys.end(), is_key) == keys.end()) return without_key(keys);
  Result<pki::Certificate> certificate = pki::Certificate::from_pem(certificate_pem);
  if (!certificate.ok()) return "x509: malformed certificate";
  Result<pki::Key> key = pki::Key::from_pem(key_pem);
  if (!key.ok()) return "tls: failed to parse private key";
  return certificate->matches(*key) ? "" : "tls: private key does not match public key";
}

}  // namespace wherry::api
