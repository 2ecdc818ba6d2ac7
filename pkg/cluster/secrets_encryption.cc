#include "cluster/secrets_encryption.h"

#include "base/log.h"
#include "os/file.h"

namespace wherry::cluster {
namespace {

constexpr const char* kSecrets = "secrets";  // The resource, as the store names it.

SecretsState state_of(const SecretKeys& keys) {
  return {keys.encrypt, keys.keys.front().id, keys.keys.front().made};
}

}  // namespace

std::string SecretsEncryption::key_file(const std::string& data_dir) {
  return data_dir + "/server/cred/secrets-keys.json";
}

Result<SecretsEncryption::Opened> SecretsEncryption::open_store(const std::string& data_dir,
                                                                store::Options options,
                                                                const Clock& clock) {
  std::string path = key_file(data_dir);
  Result<SecretKeys> loaded = SecretKeys::load(path);
  bool missing = !loaded.ok() && loaded.error().is(Code::kNotFound);
  if (!loaded.ok() && !missing) return std::move(loaded).error();
  SecretKeys keys;
  if (missing) {
    keys.keys.push_back(SecretKeys::generate(clock));
  } else {
    keys = std::move(loaded).value();
  }
  options.coded.emplace_back(kSecrets);
  options.codec = make_secret_codec(keys, path, missing);
  Opened out;
  out.store = TRY(store::open(std::move(options), clock));
  // Only now is it known that no other key is needed.
  if (missing) {
    TRY(os::make_directories(data_dir + "/server/cred", 0700));
    TRY(keys.save(path));
  }
  out.encryption.reset(new SecretsEncryption(*out.store, path, std::move(keys), clock));
  SecretsEncryption& made = *out.encryption;
  MutexLock lock(made.mutex_);
  if (out.store->has_stale_values()) {
    log::info("Secrets in the database are {}",
              made.keys_.encrypt ? "encrypted with the current key" : "decrypted");
    TRY(out.store->recode(make_secret_codec(made.keys_, path)));
  }
  TRY(made.forget_old_keys());
  return out;
}

SecretsState SecretsEncryption::state() const {
  MutexLock lock(mutex_);
  return state_of(keys_);
}

Result<void> SecretsEncryption::forget_old_keys() {
  if (keys_.keys.size() == 1) return {};
  keys_.keys.resize(1);
  return keys_.save(path_);
}

Result<SecretsState> SecretsEncryption::change(SecretKeys wanted) {
  // The file goes first: whatever happens now, all keys that any row needs are in it.
  TRY(wanted.save(path_));
  keys_ = std::move(wanted);
  TRY(store_.recode(make_secret_codec(keys_, path_)));
  TRY(forget_old_keys());
  return state_of(keys_);
}

Result<SecretsState> SecretsEncryption::rotate() {
  MutexLock lock(mutex_);
  if (!keys_.encrypt) {
    return Error::conflict("encryption is off: turn it on with `wherry secrets-encrypt enable`");
  }
  SecretKeys wanted = keys_;
  wanted.keys.insert(wanted.keys.begin(), SecretKeys::generate(clock_));
  return change(std::move(wanted));
}

Result<SecretsState> SecretsEncryption::set_encrypt(bool on) {
  MutexLock lock(mutex_);
  if (keys_.encrypt == on) return state_of(keys_);
  SecretKeys wanted = keys_;
  wanted.encrypt = on;
  return change(std::move(wanted));
}

Result<SecretsState> SecretsEncryption::state_offline(const std::string& data_dir) {
  SecretKeys keys = TRY(SecretKeys::load(key_file(data_dir)));
  return state_of(keys);
}

Result<SecretsState> SecretsEncryption::rotate_offline(const std::string& data_dir,
                                                       const Clock& clock) {
  SecretKeys keys = TRY(SecretKeys::load(key_file(data_dir)));
  keys.keys.insert(keys.keys.begin(), SecretKeys::generate(clock));
  TRY(keys.save(key_file(data_dir)));
  return state_of(keys);
}

Result<SecretsState> SecretsEncryption::set_encrypt_offline(const std::string& data_dir, bool on) {
  SecretKeys keys = TRY(SecretKeys::load(key_file(data_dir)));
  keys.encrypt = on;
  TRY(keys.save(key_file(data_dir)));
  return state_of(keys);
}

}  // namespace wherry::cluster
