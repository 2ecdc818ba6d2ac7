#include "api/names.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/strings.h"

namespace wherry::api {
namespace {

// The texts below are upstream's (apimachinery's validation messages); clients match on them.
constexpr const char* kLabelText =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must "
    "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
constexpr const char* k1035Text =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
constexpr const char* kSubdomainText =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr const char* kWildcardText =
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which "
    "must "
    "consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric "
    "character "
    "(e.g. '*.example.com', regex used for validation is "
    "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr const char* kQualifiedRule =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
constexpr const char* kLabelValueText =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and "
    "must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', "
    "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
constexpr const char* kConfigKeyText =
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name', "
    " or "
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
constexpr const char* kEnvText =
    "a valid environment variable name must consist only of printable ASCII characters other than "
    "'='";
constexpr const char* kHeaderText =
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', "
    "regex "
    "used for validation is '[-A-Za-z0-9]+')";

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower_alnum(char c) { return is_lower(c) || is_digit(c); }
bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

std::string length_text(size_t max, std::string_view unit) {
  return fmt::format("must be no more than {} {}", max, unit);
}

// [a-z0-9]([-a-z0-9]*[a-z0-9])?
bool looks_like_label(std::string_view text) {
  if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_lower_alnum(c) || c == '-'; });
}

bool looks_like_subdomain(std::string_view text) {
  for (std::string_view part : split(text, '.')) {
    if (!looks_like_label(part)) return false;
  }
  return true;
}

// ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]
bool looks_like_qualified(std::string_view text) {
  if (text.empty() || !is_alnum(text.front()) || !is_alnum(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool first_problem(const Problems& problems, std::string* why) {
  if (!problems.empty() && why != nullptr) *why = join(problems, "\n");
  return problems.empty();
}

constexpr size_t kAnnotationBytesMax = 256 * 1024;

}  // namespace

Problems dns_label_problems(std::string_view text) {
  Problems out;
  if (text.size() > 63) out.push_back(length_text(63, "characters"));
  if (!looks_like_label(text)) {
    out.emplace_back(looks_like_subdomain(text) ? "must not contain dots" : kLabelText);
  }
  return out;
}

Problems dns_1035_label_problems(std::string_view text) {
  Problems out;
  if (text.size() > 63) out.push_back(length_text(63, "characters"));
  if (!looks_like_label(text) || !is_lower(text.front())) out.emplace_back(k1035Text);
  return out;
}

Problems dns_subdomain_problems(std::string_view text) {
  Problems out;
  if (text.size() > 253) out.push_back(length_text(253, "characters"));
  if (!looks_like_subdomain(text)) out.emplace_back(kSubdomainText);
  return out;
}

Problems wildcard_subdomain_problems(std::string_view text) {
  Problems out;
  if (text.size() > 253) out.push_back(length_text(253, "characters"));
  if (!text.starts_with("*.") || !looks_like_subdomain(text.substr(2)))
    out.emplace_back(kWildcardText);
  return out;
}

Problems qualified_name_problems(std::string_view text) {
  Problems out;
  std::vector<std::string_view> parts = split(text, '/');
  std::string_view name = parts.back();
  if (parts.size() > 2) {
    out.push_back(std::string("a valid label key ") + kQualifiedRule +
                  " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
    return out;
  }
  if (parts.size() == 2) {
    if (parts[0].empty()) {
      out.emplace_back("prefix part must be non-empty");
    } else {
      for (const std::string& problem : dns_subdomain_problems(parts[0])) {
        out.push_back("prefix part " + problem);
      }
    }
  }
  if (name.empty()) {
    out.emplace_back("name part must be non-empty");
  } else if (name.size() > 63) {
    out.push_back("name part " + length_text(63, "bytes"));
  }
  if (!looks_like_qualified(name)) out.push_back(std::string("name part ") + kQualifiedRule);
  return out;
}

Problems label_value_problems(std::string_view text) {
  Problems out;
  if (text.size() > 63) out.push_back(length_text(63, "bytes"));
  if (!text.empty() && !looks_like_qualified(text)) out.emplace_back(kLabelValueText);
  return out;
}

Problems path_segment_problems(std::string_view text) {
  if (text == "." || text == "..") return {fmt::format("may not be '{}'", text)};
  Problems out;
  for (char c : {'/', '%'}) {
    if (text.find(c) != std::string_view::npos)
      out.push_back(fmt::format("may not contain '{}'", c));
  }
  return out;
}

Problems config_key_problems(std::string_view text) {
  Problems out;
  if (text.size() > 253) out.push_back(length_text(253, "characters"));
  bool good = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_alnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (!good) {
    out.emplace_back(kConfigKeyText);
  } else if (text == ".") {
    out.emplace_back("must not be '.'");
  } else if (text == "..") {
    out.emplace_back("must not be '..'");
  } else if (text.starts_with("..")) {
    out.emplace_back("must not start with '..'");
  }
  return out;
}

Problems env_name_problems(std::string_view text) {
  bool good = !text.empty() && std::all_of(text.begin(), text.end(),
                                           [](char c) { return c >= 32 && c < 127 && c != '='; });
  if (!good) return {kEnvText};
  return {};
}

Problems http_header_problems(std::string_view text) {
  bool good = !text.empty() &&
              std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '-'; });
  if (!good) return {kHeaderText};
  return {};
}

Problems port_name_problems(std::string_view text) {
  Problems out;
  if (text.size() > 15) out.push_back(length_text(15, "characters"));
  bool charset = !text.empty() && std::all_of(text.begin(), text.end(),
                                              [](char c) { return is_lower_alnum(c) || c == '-'; });
  if (!charset) {
    out.emplace_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (std::none_of(text.begin(), text.end(), is_lower)) {
    out.emplace_back("must contain at least one letter (a-z)");
  }
  if (text.find("--") != std::string_view::npos) {
    out.emplace_back("must not contain consecutive hyphens");
  }
  if (!text.empty() && (text.front() == '-' || text.back() == '-')) {
    out.emplace_back("must not begin or end with a hyphen");
  }
  return out;
}

bool is_ipv4(std::string_view text) {
  in_addr address;
  return inet_pton(AF_INET, std::string(text).c_str(), &address) == 1;
}

bool is_ipv6(std::string_view text) {
  in6_addr address;
  return inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1;
}

namespace {

// Numbers of an IPv4 address without the leading zeros that some read as octal; empty when it has
// none.
std::string without_leading_zeros(std::string_view text) {
  bool any = false;
  std::vector<std::string> parts;
  for (std::string_view part : split(text, '.')) {
    while (part.size() > 1 && part.front() == '0') {
      part.remove_prefix(1);
      any = true;
    }
    parts.emplace_back(part);
  }
  return any ? join(parts, ".") : std::string();
}

bool is_mapped_ipv4(std::string_view text) {
  in6_addr address;
  return inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1 &&
         IN6_IS_ADDR_V4MAPPED(&address);
}

// Whether bits beyond the first `bits` of an address are set.
template <size_t kBytes>
bool has_bits_beyond(const unsigned char (&bytes)[kBytes], int64_t bits) {
  for (size_t i = 0; i < kBytes; ++i) {
    int64_t first = static_cast<int64_t>(i) * 8;
    unsigned kept = bits >= first + 8 ? 0xFF : bits <= first ? 0 : 0xFF << (8 - (bits - first));
    if ((bytes[i] & ~kept & 0xFF) != 0) return true;
  }
  return false;
}

bool has_host_bits(std::string_view text, int64_t bits) {
  std::string address(text);
  unsigned char v4[4];
  unsigned char v6[16];
  if (inet_pton(AF_INET, address.c_str(), v4) == 1) return has_bits_beyond(v4, bits);
  return inet_pton(AF_INET6, address.c_str(), v6) == 1 && has_bits_beyond(v6, bits);
}

}  // namespace

Problems ip_problems(std::string_view text) {
  if (is_mapped_ipv4(text)) return {"must not be an IPv4-mapped IPv6 address"};
  if (is_ipv4(text) || is_ipv6(text)) return {};
  if (is_ipv4(without_leading_zeros(text))) return {"must not have leading 0s"};
  return {"must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"};
}

Problems cidr_problems(std::string_view text) {
  const Problems malformed = {"must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"};
  auto parts = split_once(text, "/");
  if (!parts) return malformed;
  auto [address, length] = *parts;
  std::string clean = without_leading_zeros(address);
  bool zeros = is_ipv4(clean);
  std::string_view sound = zeros ? std::string_view(clean) : address;
  std::optional<int64_t> bits = parse_int(length);
  bool digits = !length.empty() && std::all_of(length.begin(), length.end(), is_digit);
  if (!digits || !bits) return malformed;
  if (!(is_ipv4(sound) && *bits <= 32) && !(is_ipv6(sound) && *bits <= 128)) return malformed;
  if (is_mapped_ipv4(sound)) return {"must not have an IPv4-mapped IPv6 address"};
  if (zeros || (length.size() > 1 && length.front() == '0'))
    return {"must not have leading 0s in IP or prefix length"};
  if (has_host_bits(sound, *bits)) return {"must not have bits set beyond the prefix length"};
  return {};
}

Problems special_ip_problems(std::string_view text) {
  in_addr v4;
  in6_addr v6;
  uint32_t address = 0;
  bool four = inet_pton(AF_INET, std::string(text).c_str(), &v4) == 1;
  if (four) {
    address = ntohl(v4.s_addr);
  } else if (inet_pton(AF_INET6, std::string(text).c_str(), &v6) != 1) {
    return {};
  }
  Problems out;
  if (four ? address == 0 : IN6_IS_ADDR_UNSPECIFIED(&v6))
    out.push_back(fmt::format("may not be unspecified ({})", text));
  if (four ? address >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&v6))
    out.emplace_back("may not be in the loopback range (127.0.0.0/8, ::1/128)");
  if (four ? address >> 16 == 0xA9FE : IN6_IS_ADDR_LINKLOCAL(&v6))
    out.emplace_back("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  if (four ? address >> 8 == 0xE00000 : IN6_IS_ADDR_MC_LINKLOCAL(&v6))
    out.emplace_back("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
  return out;
}

Problems domain_prefixed_path_problems(std::string_view text) {
  auto parts = split_once(text, "/");
  if (!parts || parts->first.empty() || parts->second.empty()) {
    return {"must be a domain-prefixed path (such as \"acme.io/foo\")"};
  }
  Problems out;
  for (const std::string& problem : dns_subdomain_problems(parts->first)) out.push_back(problem);
  return out;
}

bool is_dns_label(std::string_view text) { return text.size() <= 63 && looks_like_label(text); }
bool is_dns_subdomain(std::string_view text) {
  return text.size() <= 253 && looks_like_subdomain(text);
}

bool valid_dns_label_name(std::string_view name, std::string* why) {
  return first_problem(dns_label_problems(name), why);
}
bool valid_dns_1035_name(std::string_view name, std::string* why) {
  return first_problem(dns_1035_label_problems(name), why);
}
bool valid_subdomain_name(std::string_view name, std::string* why) {
  return first_problem(dns_subdomain_problems(name), why);
}
bool valid_path_segment_name(std::string_view name, std::string* why) {
  return first_problem(path_segment_problems(name), why);
}

void validate_labels(json::Value labels, const Path& path, FieldErrors& errors) {
  for (auto [key, value] : labels.members()) {
    for (const std::string& problem : qualified_name_problems(key))
      errors.invalid(path, key, problem);
    for (const std::string& problem : label_value_problems(value.as_string())) {
      errors.invalid(path, value.as_string(), problem);
    }
  }
}

void validate_annotations(json::Value annotations, const Path& path, FieldErrors& errors) {
  size_t bytes = 0;
  for (auto [key, value] : annotations.members()) {
    // Keys may be written in capitals; only the rest of the rule holds.
    for (const std::string& problem : qualified_name_problems(to_lower(key))) {
      errors.invalid(path, key, problem);
    }
    bytes += key.size() + value.as_string().size();
  }
  if (bytes > kAnnotationBytesMax) errors.too_long(path, kAnnotationBytesMax);
}

void validate_label_selector(json::Value selector, const Path& path, FieldErrors& errors) {
  validate_labels(selector["matchLabels"], path.child("matchLabels"), errors);
  size_t at = 0;
  for (json::Value requirement : selector["matchExpressions"].items()) {
    Path item = path.child("matchExpressions").index(at++);
    std::string_view op = requirement["operator"].as_string();
    size_t values = requirement["values"].size();
    if (op == "In" || op == "NotIn") {
      if (values == 0) {
        errors.required(item.child("values"),
                        "must be specified when `operator` is 'In' or 'NotIn'");
      }
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (values > 0) {
        errors.forbidden(item.child("values"),
                         "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      }
    } else {
      errors.invalid(item.child("operator"), op, "not a valid selector operator");
    }
    std::string_view key = requirement["key"].as_string();
    for (const std::string& problem : qualified_name_problems(key)) {
      errors.invalid(item.child("key"), key, problem);
    }
    size_t value_at = 0;
    for (json::Value value : requirement["values"].items()) {
      for (const std::string& problem : label_value_problems(value.as_string())) {
        errors.invalid(item.child("values").index(value_at), value.as_string(), problem);
      }
      ++value_at;
    }
  }
}

}  // namespace wherry::api
