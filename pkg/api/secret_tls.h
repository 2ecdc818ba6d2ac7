#pragma once
// Whether a certificate and a key, as a Secret of type kubernetes.io/tls holds them, make a pair a
// server can use. Pure.

#include <string>
#include <string_view>

namespace wherry::api {

// What Go's TLS library says against the pair; empty: nothing.
std::string key_pair_problem(std::string_view certificate_pem, std::string_view key_pem);

}  // namespace wherry::api
