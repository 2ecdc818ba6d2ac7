#include "agent/image_source.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/strings.h"
#include "container/reference.h"

namespace wherry::agent {
namespace {

struct Match {
  size_t specificity = 0;
  container::Credentials credentials;
};

// "https://index.docker.io/v1/" and "registry.example.com/team" alike, as host and path.
std::string normal_key(std::string_view key) {
  if (size_t scheme = key.find("://"); scheme != std::string_view::npos)
    key = key.substr(scheme + 3);
  while (key.ends_with('/')) key.remove_suffix(1);
  std::string text(key);
  if (text.ends_with("/v1") || text.ends_with("/v2")) text.resize(text.size() - 3);
  if (text == "index.docker.io" || text == "registry-1.docker.io") text = "docker.io";
  return text;
}

bool host_matches(std::string_view pattern, std::string_view host) {
  std::vector<std::string_view> wanted = split(pattern, '.');
  std::vector<std::string_view> given = split(host, '.');
  if (wanted.size() != given.size()) return false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] != "*" && wanted[i] != given[i]) return false;
  }
  return true;
}

bool fits(const std::string& key, const container::Reference& image) {
  size_t slash = key.find('/');
  if (!host_matches(key.substr(0, slash), image.registry)) return false;
  if (slash == std::string::npos) return true;
  std::string path = key.substr(slash + 1);
  return image.repository == path || image.repository.starts_with(path + "/");
}

container::Credentials credentials_of(json::Value entry) {
  container::Credentials out;
  out.username = entry["username"].as_string();
  out.password = entry["password"].as_string();
  out.identity_token = entry["identitytoken"].as_string();
  out.registry_token = entry["registrytoken"].as_string();
  if (std::optional<std::string> pair = base64_decode(entry["auth"].as_string()); pair) {
    if (auto parts = split_once(*pair, ":")) {
      out.username = parts->first;
      out.password = parts->second;
    }
  }
  return out;
}

}  // namespace

std::vector<container::Credentials> credentials_for(std::string_view image,
                                                    const std::vector<api::ObjectPtr>& secrets) {
  std::vector<Match> matches;
  Result<container::Reference> reference = container::Reference::parse(image);
  if (!reference.ok()) return {};
  for (const api::ObjectPtr& secret : secrets) {
    json::Document document = secret->document();
    json::Value data = document.root()["data"];
    bool modern = static_cast<bool>(data[".dockerconfigjson"]);
    std::string_view encoded = data[modern ? ".dockerconfigjson" : ".dockercfg"].as_string();
    Result<json::Document> config = json::Document::parse(base64_decode(encoded).value_or(""));
    if (!config.ok()) continue;
    json::Value entries = modern ? config->root()["auths"] : config->root();
    for (auto [raw_key, entry] : entries.members()) {
      std::string key = normal_key(raw_key);
      if (fits(key, *reference)) matches.push_back({key.size(), credentials_of(entry)});
    }
  }
  std::stable_sort(matches.begin(), matches.end(),
                   [](const Match& a, const Match& b) { return a.specificity > b.specificity; });
  std::vector<container::Credentials> out;
  for (Match& match : matches) out.push_back(std::move(match.credentials));
  return out;
}

}  // namespace wherry::agent
