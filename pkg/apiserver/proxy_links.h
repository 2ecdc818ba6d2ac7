#pragma once
// Links in what a proxied server answers: an absolute path on that server lies below the proxy's
// own path for whoever follows it. Pure; any thread.

#include <string>
#include <string_view>

namespace wherry::apiserver {

// What stands for the server: its links' host ("10.42.0.5:80") and the path that the proxy serves
// it under ("/api/v1/namespaces/x/pods/y/proxy").
struct LinkBase {
  std::string host;
  std::string prefix;
};

// One URL: moved below the prefix if it is an absolute path, or names the server itself.
std::string rewrite_link(const LinkBase& base, std::string_view url);
// All URLs in the attributes of an HTML page; everything else stays byte for byte.
std::string rewrite_html(const LinkBase& base, std::string_view html);

}  // namespace wherry::apiserver
