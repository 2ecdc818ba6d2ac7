#pragma once
// A repository of a registry, as the OCI distribution specification 1.1 and Docker's token
// authentication describe it: manifests and blobs, each verified by its digest. Plain http only for
// registries on loopback. Any number of threads; they share connections and the token.

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "container/image.h"
#include "container/manifest.h"
#include "container/reference.h"
#include "http/client.h"

namespace wherry::container {

// WWW-Authenticate: `Bearer realm="...",service="...",scope="..."` or `Basic realm="..."`.
struct Challenge {
  std::string scheme;  // "bearer", "basic" or empty.
  std::map<std::string, std::string> parameters;
};
Challenge parse_challenge(std::string_view header);

class Registry {
 public:
  // `credentials` are tried in turn, then none.
  Registry(const Reference& reference, const std::vector<Credentials>& credentials,
           std::stop_token stop);

  struct Fetched {
    std::string text;
    std::string media_type;
    std::string digest;
  };
  // By tag or digest. Errors as ImageStore::pull words them.
  Result<Fetched> manifest(const std::string& tag_or_digest);
  Result<std::string> small_blob(const Descriptor& descriptor);
  // Into the file `path`; goes on where an earlier try ended. `progress` is told of bytes added.
  using Progress = std::function<void(uint64_t bytes)>;
  Result<void> download(const Descriptor& descriptor, const std::string& path,
                        const Progress& progress);

 private:
  std::string url(std::string_view kind, const std::string& name) const;
  Result<http::ClientResponse> send(http::ClientRequest request, const http::Client::Write* write);
  Result<http::ClientResponse> send_once(http::ClientRequest request,
                                         const http::Client::Write* write);
  Result<std::string> authenticate(const Challenge& challenge, const Credentials& credentials);
  Result<std::string> fetch_token(const Challenge& challenge, const Credentials& credentials);
  Result<uint64_t> continue_download(const Descriptor& descriptor, const std::string& path,
                                     const Progress& progress);
  bool next_credentials();
  Error refusal(const http::ClientResponse& response, const std::string& what) const;

  const Reference reference_;
  const std::stop_token stop_;
  http::Client client_;

  mutable Mutex mutex_;
  std::string base_ GUARDED_BY(mutex_);                      // "https://registry-1.docker.io"
  std::vector<Credentials> credentials_ GUARDED_BY(mutex_);  // The first is in use.
  std::string authorization_ GUARDED_BY(mutex_);
};

}  // namespace wherry::container
