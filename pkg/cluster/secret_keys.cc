#include "cluster/secret_keys.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "base/random.h"
#include "json/json.h"
#include "os/file.h"
#include "pki/pki.h"

namespace wherry::cluster {
namespace {

constexpr unsigned kKeyFileMode = 0600;
constexpr size_t kKeyBytes = 32;
constexpr size_t kIdDigits = 8;
constexpr std::string_view kPrefix = "wherry:aesgcm:v1:";

std::string id_of(std::string_view key) { return pki::sha256_hex(key).substr(0, kIdDigits); }

class SecretCodec final : public store::ValueCodec {
 public:
  SecretCodec(SecretKeys keys, std::string path, bool missing)
      : keys_(std::move(keys)), path_(std::move(path)), missing_(missing) {}

  std::string encode(std::string_view place, std::string_view plain) const override {
    if (!keys_.encrypt) return std::string(plain);
    const SecretKey& key = keys_.keys.front();
    return fmt::format("{}{}:", kPrefix, key.id) + pki::seal(key.bytes, plain, place);
  }

  Result<std::string> decode(std::string_view place, std::string_view stored) const override {
    if (stored.starts_with('{')) return std::string(stored);
    size_t header = kPrefix.size() + kIdDigits + 1;
    if (!stored.starts_with(kPrefix) || stored.size() < header) {
      return Error::unavailable("the row {} of the database holds no Secret: restore a copy",
                                place);
    }
    std::string_view id = stored.substr(kPrefix.size(), kIdDigits);
    auto key = std::find_if(keys_.keys.begin(), keys_.keys.end(),
                            [id](const SecretKey& known) { return known.id == id; });
    if (key == keys_.keys.end()) return unknown_key(id);
    Result<std::string> plain = pki::open(key->bytes, stored.substr(header), place);
    if (plain.ok()) return plain;
    return Error::unavailable(
        "the Secret in row {} of the database was changed outside of the server: restore a copy of "
        "the database",
        place);
  }

  bool current(std::string_view stored) const override {
    if (!keys_.encrypt) return stored.starts_with('{');
    return stored.starts_with(kPrefix) &&
           stored.substr(kPrefix.size(), kIdDigits) == keys_.keys.front().id;
  }

 private:
  Error unknown_key(std::string_view id) const {
    if (missing_) {
      return Error::unavailable(
          "{} is missing, and Secrets in the database are encrypted with its key {}: put the file "
          "back from a copy",
          path_, id);
    }
    return Error::unavailable(
        "Secrets in the database are encrypted with key {}, which {} does not hold: put the file "
        "that belongs to this database back from a copy",
        id, path_);
  }

  const SecretKeys keys_;
  const std::string path_;
  const bool missing_;
};

void close_to_others(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || (info.st_mode & 0077) == 0) return;
  log::warn("{} was open to others (mode {:o}): set to {:o}", path, info.st_mode & 0777,
            kKeyFileMode);
  Result<void> closed = os::change_mode(path, kKeyFileMode);
  if (!closed.ok()) log::warn("{}", closed.error().message());
}

}  // namespace

SecretKey SecretKeys::generate(const Clock& clock) {
  SecretKey key;
  key.bytes = random_bytes(kKeyBytes);
  key.id = id_of(key.bytes);
  key.made = format_time(clock.now());
  return key;
}

Result<SecretKeys> SecretKeys::load(const std::string& path) {
  std::string text = TRY(os::read_file(path));
  close_to_others(path);
  auto unusable = [&path](std::string_view why) {
    return Error::unavailable("{} is not usable ({}): put it back from a copy", path, why);
  };
  Result<json::Document> parsed = json::Document::parse(text);
  if (!parsed.ok()) return unusable(parsed.error().message());
  json::Value root = parsed->root();
  SecretKeys out;
  out.encrypt = root["encrypt"].as_bool(true);
  for (json::Value item : root["keys"].items()) {
    SecretKey key;
    key.bytes = base64_decode(item["key"].as_string()).value_or("");
    if (key.bytes.size() != kKeyBytes) return unusable("a key is not 32 bytes in base64");
    key.id = id_of(key.bytes);
    key.made = item["made"].as_string();
    if (item["id"].as_string() != key.id) return unusable("a key does not fit its id");
    out.keys.push_back(std::move(key));
  }
  if (out.keys.empty()) return unusable("it holds no key");
  return out;
}

Result<void> SecretKeys::save(const std::string& path) const {
  json::Draft draft;
  draft.root().set("encrypt", encrypt);
  json::Node list = draft.root().set_array("keys");
  for (const SecretKey& key : keys) {
    json::Node item = list.push_object();
    item.set("id", key.id);
    item.set("made", key.made);
    item.set("key", base64_encode(key.bytes));
  }
  return os::write_file_atomic(path, draft.dump() + "\n", kKeyFileMode);
}

std::shared_ptr<const store::ValueCodec> make_secret_codec(SecretKeys keys, std::string path,
                                                           bool missing) {
  return std::make_shared<SecretCodec>(std::move(keys), std::move(path), missing);
}

}  // namespace wherry::cluster
