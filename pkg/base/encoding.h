#pragma once
// Base64 and hexadecimal. Pure.

#include <optional>
#include <string>
#include <string_view>

namespace wherry {

std::string base64_encode(std::string_view bytes);                // RFC 4648 §4, padded.
std::optional<std::string> base64_decode(std::string_view text);  // Padded; empty when malformed.
std::string base64url_encode(std::string_view bytes);             // RFC 4648 §5, without padding.
std::optional<std::string> base64url_decode(std::string_view text);  // Padding optional.
std::string hex_encode(std::string_view bytes);                      // Lower case.
std::optional<std::string> hex_decode(std::string_view text);

// "%2F" and the like decoded; with `plus_is_space` also '+' (query strings). Empty when malformed.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);
// Everything but RFC 3986 unreserved characters escaped.
std::string percent_encode(std::string_view text);

}  // namespace wherry
