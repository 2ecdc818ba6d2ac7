#include "container/reference.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::container {
namespace {

constexpr size_t kNameBytesMax = 255;
constexpr size_t kTagBytesMax = 128;

bool is_lower_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_word(char c) { return is_lower_alphanumeric(c) || (c >= 'A' && c <= 'Z') || c == '_'; }

Error malformed(std::string_view text) {
  return Error::invalid("couldn't parse image name {}: invalid reference format", quote(text));
}

// Lower-case letters and digits, joined by one of '.', '_', '__' or any number of '-'.
bool valid_component(std::string_view part) {
  if (part.empty() || !is_lower_alphanumeric(part.front()) || !is_lower_alphanumeric(part.back())) {
    return false;
  }
  for (size_t i = 0; i < part.size();) {
    if (is_lower_alphanumeric(part[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < part.size() && part[end] == part[i]) ++end;
    size_t run = end - i;
    bool fine = (part[i] == '.' && run == 1) || (part[i] == '_' && run <= 2) || part[i] == '-';
    if (!fine || end == part.size() || !is_lower_alphanumeric(part[end])) return false;
    i = end;
  }
  return true;
}

bool valid_tag(std::string_view tag) {
  if (tag.empty() || tag.size() > kTagBytesMax || !is_word(tag[0])) return false;
  return std::all_of(tag.begin(), tag.end(),
                     [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

bool valid_registry(std::string_view host) {
  std::string_view name = host;
  if (!name.empty() && name.front() == '[') {
    size_t close = name.find(']');
    if (close == std::string_view::npos) return false;
    std::string_view inside = name.substr(1, close - 1);
    bool fine = !inside.empty() && std::all_of(inside.begin(), inside.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
             c == ':' || c == '.';
    });
    if (!fine) return false;
    name.remove_prefix(close + 1);
    if (name.empty()) return true;
    if (name.front() != ':') return false;
  } else {
    size_t colon = name.find(':');
    std::string_view plain = name.substr(0, colon);
    for (std::string_view label : split(plain, '.')) {
      if (label.empty() || label.front() == '-' || label.back() == '-') return false;
      bool fine = std::all_of(label.begin(), label.end(),
                              [](char c) { return (is_word(c) && c != '_') || c == '-'; });
      if (!fine) return false;
    }
    if (colon == std::string_view::npos) return true;
    name.remove_prefix(colon);
  }
  auto port = parse_uint(name.substr(1));
  return port && *port > 0 && *port < 65536;
}

// The first part is a registry when it could not be a folder of Docker Hub.
bool names_registry(std::string_view part) {
  return part.find_first_of(".:[") != std::string_view::npos || part == "localhost" ||
         to_lower(part) != part;
}

}  // namespace

bool valid_digest(std::string_view digest) {
  if (!digest.starts_with("sha256:") || digest.size() != 7 + 64) return false;
  return std::all_of(digest.begin() + 7, digest.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<Reference> Reference::parse(std::string_view text) {
  Reference out;
  std::string_view rest = text;
  size_t at = rest.find('@');
  if (at != std::string_view::npos) {
    out.digest = rest.substr(at + 1);
    if (!valid_digest(out.digest)) return malformed(text);
    rest = rest.substr(0, at);
  }
  size_t colon = rest.rfind(':');
  size_t slash = rest.rfind('/');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    out.tag = rest.substr(colon + 1);
    if (!valid_tag(out.tag)) return malformed(text);
    rest = rest.substr(0, colon);
  }
  auto parts = split_once(rest, "/");
  if (parts && names_registry(parts->first)) {
    out.registry = parts->first;
    out.repository = parts->second;
    if (!valid_registry(out.registry)) return malformed(text);
  } else {
    out.registry = "docker.io";
    out.repository = rest;
  }
  if (out.registry == "index.docker.io") out.registry = "docker.io";
  if (out.registry == "docker.io" && out.repository.find('/') == std::string::npos) {
    out.repository = "library/" + out.repository;
  }
  if (out.name().size() > kNameBytesMax) return malformed(text);
  for (std::string_view part : split(out.repository, '/')) {
    if (!valid_component(part)) return malformed(text);
  }
  if (out.tag.empty() && out.digest.empty()) out.tag = "latest";
  return out;
}

std::string Reference::full() const {
  return digest.empty() ? name() + ":" + tag : name() + "@" + digest;
}

bool Reference::loopback() const {
  if (registry.starts_with("[")) return registry.starts_with("[::1]");
  std::string_view host = std::string_view(registry).substr(0, registry.find(':'));
  if (host == "localhost") return true;
  std::vector<std::string_view> parts = split(host, '.');
  if (parts.size() != 4 || parts[0] != "127") return false;
  return std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
    auto number = parse_uint(part);
    return number && *number < 256;
  });
}

}  // namespace wherry::container
