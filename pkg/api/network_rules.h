#pragma once
// What several kinds of the network groups check: addresses and ranges, domain-prefixed paths.
// Wording: Kubernetes. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "api/field_error.h"

namespace wherry::api {

std::string canonical_ip(std::string_view text);  // RFC 5952; what is no IPv6 address stays.
// Warns of an IPv6 address or range, at `path`, that is not written in its canonical form.
void warn_of_form(std::string_view text, const Path& path, std::vector<std::string>& out);
// Of sound ranges: `inner` is a part of `outer`, and smaller.
bool lies_within(std::string_view inner, std::string_view outer);

// domain/path: each part is told for itself.
void validate_domain_prefixed_path(std::string_view text, const Path& path, FieldErrors& errors);

}  // namespace wherry::api
