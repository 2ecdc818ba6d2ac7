#include "apiserver/bootstrap_token.h"

#include <algorithm>

#include "api/status.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "pki/pki.h"

namespace wherry::apiserver {
namespace {

constexpr size_t kIdSize = 6;
constexpr size_t kSecretSize = 16;
constexpr std::string_view kType = "bootstrap.kubernetes.io/token";
constexpr std::string_view kGroup = "system:bootstrappers";

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

std::string field(json::Value data, std::string_view key) {
  return base64_decode(data[key].as_string()).value_or("");
}

// "system:bootstrappers:" and up to 256 letters, digits, ":" and "-", the last one none of these
// two.
bool is_group_name(std::string_view group) {
  if (!group.starts_with(kGroup) || group.size() < kGroup.size() + 2) return false;
  group.remove_prefix(kGroup.size());
  if (group[0] != ':' || group.size() > 257 || !is_lower_or_digit(group.back())) return false;
  return std::all_of(group.begin(), group.end(),
                     [](char c) { return is_lower_or_digit(c) || c == ':' || c == '-'; });
}

}  // namespace

bool looks_like_bootstrap_token(std::string_view token) {
  if (token.size() != kIdSize + 1 + kSecretSize || token[kIdSize] != '.') return false;
  size_t at = 0;
  return std::all_of(token.begin(), token.end(),
                     [&at](char c) { return at++ == kIdSize || is_lower_or_digit(c); });
}

Result<User> check_bootstrap_token(const store::Store& store, std::string_view token, Time now) {
  std::string id(token.substr(0, kIdSize));
  ObjectPtr secret = store.get("secrets", "kube-system", "bootstrap-token-" + id);
  if (secret == nullptr || secret->deleting()) return api::unauthorized();
  json::Document document = secret->document();
  json::Value data = document.root()["data"];
  if (document.root()["type"].as_string() != kType || field(data, "token-id") != id ||
      !pki::constant_time_equal(field(data, "token-secret"), token.substr(kIdSize + 1)) ||
      field(data, "usage-bootstrap-authentication") != "true") {
    return api::unauthorized();
  }
  // One that cannot be read counts as past.
  if (std::string text = field(data, "expiration"); !text.empty()) {
    std::optional<Time> expires = parse_time(text);
    if (!expires || now >= *expires) return api::unauthorized();
  }
  User user;
  user.name = "system:bootstrap:" + id;
  user.groups.emplace_back(kGroup);
  std::string extra = field(data, "auth-extra-groups");
  if (!extra.empty()) {
    for (std::string_view group : split(extra, ',')) {
      // A group outside of these would be somebody else's right.
      if (!is_group_name(group)) return api::unauthorized();
      if (!user.in_group(group)) user.groups.emplace_back(group);
    }
  }
  user.groups.emplace_back("system:authenticated");
  return user;
}

}  // namespace wherry::apiserver
