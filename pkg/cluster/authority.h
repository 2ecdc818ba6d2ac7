#pragma once
// A certificate authority of the cluster on disk, and its change to a new one without a moment in
// which anybody is not trusted.
//
//   <name>.key         the private key, then the bundle: the current certificate, then earlier ones
//                      that are still valid. The one file that counts, so that key and certificate
//                      never differ; if it has no certificate (an authority brought along),
//                      <name>.crt has.
//   <name>.crt         the bundle, for others to read
//   <name>-cross.crt   the current authority signed by the one before it: sent along with
//                      certificates, so that who knows only the old one trusts them too
//
// One thread.

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "pki/pki.h"

namespace wherry::cluster {

// A clock before this has not been set yet (no battery, no network): no reason to make an authority
// that is void once it is.
extern const Time kEarliestTime;

struct StoredAuthority {
  pki::Authority current;
  std::string bundle_pem;
  std::string cross_pem;  // Empty when there is none, or when its issuer has expired.
};

enum class AuthorityChange {
  kWhenDue,  // When it is absent, or two thirds of its life are over.
  kNow,
};

// Reads <directory>/<name>, makes it or its successor if need be.
Result<StoredAuthority> prepare_authority(const std::string& directory, const std::string& name,
                                          const Clock& clock, AuthorityChange change);

// When two thirds of a certificate's life are over.
Time renewal_time(const pki::Certificate& certificate);

}  // namespace wherry::cluster
