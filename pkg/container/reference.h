#pragma once
// Image references as people write them, and their one normal form. Pure.
//
//   nginx                     docker.io/library/nginx:latest
//   quay.io/a/b@sha256:...    as it is; a digest wins over a tag
//   localhost:5000/x          registry "localhost:5000"

#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::container {

struct Reference {
  std::string registry;    // "docker.io"
  std::string repository;  // "library/nginx"
  std::string tag;         // "latest"; empty when only a digest was given.
  std::string digest;      // "sha256:..." or empty.

  // kInvalid: "couldn't parse image name ...: invalid reference format".
  static Result<Reference> parse(std::string_view text);

  std::string name() const { return registry + "/" + repository; }
  std::string full() const;  // name[:tag][@digest]; with a digest the tag is left out.
  std::string tag_or_digest() const { return digest.empty() ? tag : digest; }
  bool loopback() const;  // localhost, 127.0.0.0/8, [::1]: plain http is tried.
  bool operator==(const Reference&) const = default;
};

bool valid_digest(std::string_view digest);  // "sha256:" and 64 lower-case hex digits.

}  // namespace wherry::container
