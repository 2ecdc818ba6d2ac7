#include "cluster/authority.h"

#include <algorithm>

#include "base/log.h"
#include "os/file.h"

namespace wherry::cluster {

const Time kEarliestTime{std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)};

namespace {

constexpr unsigned kSecretMode = 0600;
constexpr unsigned kPublicMode = 0644;
constexpr std::chrono::hours kLifetime{10 * 365 * 24};

pki::Authority make(const std::string& name, const Clock& clock) {
  Time now = clock.now();
  // Valid from the earliest time that may be the true one, and long enough after the latest.
  Time from = std::min(now, kEarliestTime);
  Time until = std::max(now, kEarliestTime) + kLifetime;
  std::string common_name =
      fmt::format("wherry-{}@{}", name,
                  std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
  return pki::Authority::create(common_name, from,
                                std::chrono::ceil<std::chrono::hours>(until - from));
}

std::string bundle_of(const std::vector<pki::Certificate>& certificates) {
  std::string pem;
  for (const pki::Certificate& certificate : certificates) pem += certificate.pem();
  return pem;
}

Result<void> save(const std::string& path, const pki::Authority& authority,
                  const std::vector<pki::Certificate>& bundle) {
  std::string pem = bundle_of(bundle);
  TRY(os::write_file_atomic(path + ".key", authority.key.private_pem() + pem, kSecretMode));
  return os::write_file_atomic(path + ".crt", pem, kPublicMode);
}

// Reads without changing; the bundle's first certificate is that of the key.
Result<std::vector<pki::Certificate>> read_bundle(const std::string& path,
                                                  const std::string& key_text) {
  Result<std::string> certificate = os::read_file(path + ".crt");
  if (key_text.find("BEGIN CERTIFICATE") == std::string::npos) {
    if (!certificate.ok()) {
      return Error::invalid("{0}.crt and {0}.key must both be there or both be absent", path);
    }
    return pki::Certificate::all_from_pem(*certificate);
  }
  std::vector<pki::Certificate> bundle = TRY(pki::Certificate::all_from_pem(key_text));
  std::string pem = bundle_of(bundle);
  // A crash may have come in between the two files.
  if (!certificate.ok() || *certificate != pem) {
    TRY(os::write_file_atomic(path + ".crt", pem, kPublicMode));
  }
  return bundle;
}

std::string read_cross(const std::string& path, const pki::Authority& current, Time now) {
  Result<std::string> text = os::read_file(path + "-cross.crt");
  if (!text.ok()) return {};
  Result<pki::Certificate> cross = pki::Certificate::from_pem(*text);
  bool useful = cross.ok() && cross->matches(current.key) && now < cross->not_after();
  return useful ? *text : std::string();
}

bool is_due(const pki::Authority& authority, Time now) {
  return now >= renewal_time(authority.certificate);
}

// The successor of `old`.
Result<StoredAuthority> succeed(const std::string& path, const std::string& name,
                                const pki::Authority& old, std::vector<pki::Certificate> bundle,
                                const Clock& clock) {
  log::info("{}: a new authority takes over; the old one stays trusted until it expires", path);
  pki::Authority fresh = make(name, clock);
  std::string cross;
  if (clock.now() < old.certificate.not_after()) cross = old.cross_sign(fresh).pem();
  std::erase_if(bundle, [&clock](const pki::Certificate& certificate) {
    return certificate.not_after() <= clock.now();
  });
  bundle.insert(bundle.begin(), fresh.certificate);
  // The cross certificate first: without the new key it is of no consequence.
  TRY(os::write_file_atomic(path + "-cross.crt", cross, kPublicMode));
  TRY(save(path, fresh, bundle));
  return StoredAuthority{fresh, bundle_of(bundle), cross};
}

}  // namespace

Time renewal_time(const pki::Certificate& certificate) {
  // An authority begins before it was made (see make()): that part of its life does not count, or
  // after some decades a new one would be due the moment it is there.
  Duration life = std::min<Duration>(certificate.not_after() - certificate.not_before(), kLifetime);
  return std::chrono::floor<std::chrono::microseconds>(certificate.not_after() - life / 3);
}

Result<StoredAuthority> prepare_authority(const std::string& directory, const std::string& name,
                                          const Clock& clock, AuthorityChange change) {
  std::string path = directory + "/" + name;
  Result<std::string> key_text = os::read_file(path + ".key");
  if (!key_text.ok()) {
    if (!key_text.error().is(Code::kNotFound)) return std::move(key_text).error();
    if (os::exists(path + ".crt")) {
      return Error::invalid("{0}.crt and {0}.key must both be there or both be absent", path);
    }
    pki::Authority made = make(name, clock);
    TRY(save(path, made, {made.certificate}));
    return StoredAuthority{made, made.certificate.pem(), {}};
  }
  std::vector<pki::Certificate> bundle = TRY(read_bundle(path, *key_text));
  Result<pki::Authority> current = pki::Authority::from_pem(bundle.front().pem(), *key_text);
  if (!current.ok()) return std::move(current).error().with_prefix(path);
  if (change == AuthorityChange::kNow || is_due(*current, clock.now())) {
    return succeed(path, name, *current, std::move(bundle), clock);
  }
  return StoredAuthority{*current, bundle_of(bundle), read_cross(path, *current, clock.now())};
}

}  // namespace wherry::cluster
