#pragma once
// The keys under which values of Secrets are sealed on disk (AES-256-GCM), and the codec that does
// it. The file, <data-dir>/server/cred/secrets-keys.json, mode 0600, stands apart from the database
// so that a copy of the one is worth nothing without the other:
//
//   {"encrypt": true, "keys": [{"id": "1f0c2a9b", "made": "2026-05-01T10:00:00Z", "key":
//   "<base64>"}]}
//
// The first key seals; the others only open what a rotation that was cut short has left. A sealed
// value is "wherry:aesgcm:v1:<key id>:" and the box of pki::seal(), bound to the row it stands in.
// Plain values, from before or while encryption is off, begin with "{".
//
// Values; one thread each. The codec is immutable.

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/value_codec.h"

namespace wherry::cluster {

struct SecretKey {
  std::string id;  // The first eight digits of the key's digest.
  std::string made;
  std::string bytes;  // 32.
};

struct SecretKeys {
  bool encrypt = true;
  std::vector<SecretKey> keys;  // At least one.

  static SecretKey generate(const Clock& clock);
  // kNotFound when there is no such file; a file that others may read is closed to them.
  static Result<SecretKeys> load(const std::string& path);
  Result<void> save(const std::string& path) const;
};

// `path` is what errors name. `missing`: the key file was not there, the keys are fresh.
std::shared_ptr<const store::ValueCodec> make_secret_codec(SecretKeys keys, std::string path,
                                                           bool missing = false);

}  // namespace wherry::cluster
