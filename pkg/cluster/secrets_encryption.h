#pragma once
// SecretsEncryption: opens the store with Secrets encrypted at rest, and changes keys while it
// runs. On from the first start. The key file says what is wanted, and a start makes the database
// so; hence a change that a crash cuts short is finished by the next start, and without a running
// server it is enough to change the file (the static functions).
//
// Any thread; the store must outlive it.

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "cluster/secret_keys.h"
#include "store/store.h"

namespace wherry::cluster {

struct SecretsState {
  bool encrypt = true;
  std::string key_id;
  std::string key_made;
};

class SecretsEncryption {
 public:
  struct Opened {
    std::unique_ptr<store::Store> store;
    std::unique_ptr<SecretsEncryption> encryption;
  };
  // `data_dir` is that of the server. Makes the key on a first start; kUnavailable with what to do
  // when the key that the database needs is missing or another one.
  static Result<Opened> open_store(const std::string& data_dir, store::Options options,
                                   const Clock& clock);

  SecretsState state() const EXCLUDES(mutex_);
  // A fresh key; everything is sealed anew and the old key forgotten.
  Result<SecretsState> rotate() EXCLUDES(mutex_);
  Result<SecretsState> set_encrypt(bool on) EXCLUDES(mutex_);

  static std::string key_file(const std::string& data_dir);
  // For a server that does not run: what its next start does.
  static Result<SecretsState> state_offline(const std::string& data_dir);
  static Result<SecretsState> rotate_offline(const std::string& data_dir, const Clock& clock);
  static Result<SecretsState> set_encrypt_offline(const std::string& data_dir, bool on);

 private:
  SecretsEncryption(store::Store& store, std::string path, SecretKeys keys, const Clock& clock)
      : store_(store), path_(std::move(path)), clock_(clock), keys_(std::move(keys)) {}
  // Makes `wanted` true of file and database.
  Result<SecretsState> change(SecretKeys wanted) REQUIRES(mutex_);
  Result<void> forget_old_keys() REQUIRES(mutex_);

  store::Store& store_;
  const std::string path_;
  const Clock& clock_;
  mutable Mutex mutex_;  // Held over a change, so that two do not mix.
  SecretKeys keys_ GUARDED_BY(mutex_);
};

}  // namespace wherry::cluster
