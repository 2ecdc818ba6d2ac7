#pragma once
// RemoteClient: the Client of an agent, HTTPS to the API server. Errors are the server's own, read
// back from its Status answers; kUnavailable and kTimeout when there was no answer. Any thread;
// each call blocks its own, at most 30 seconds.

#include <memory>
#include <string>

#include "base/mutex.h"
#include "client/client.h"
#include "client/identity.h"
#include "http/client.h"

namespace wherry::client {

// "/api/v1/namespaces/NS/pods/NAME/status", escaped; empty parts are left out.
std::string path_of(const Resource& resource, std::string_view ns, std::string_view name = {},
                    std::string_view subresource = {});

// An object as a list or a watch carries it; list items lack kind and apiVersion, which are put
// back.
Result<ObjectPtr> object_from(const Resource& resource, json::Value value);
// The error a non-2xx answer stands for.
Error error_of(const http::ClientResponse& response);

class RemoteClient final : public Client {
 public:
  // `server` is "https://host:port"; `identity` outlives the client.
  RemoteClient(std::string server, const Identity& identity);

  Result<ObjectPtr> get(const Resource& resource, std::string_view ns,
                        std::string_view name) override;
  Result<List> list(const Resource& resource, std::string_view ns,
                    const api::Selector& labels) override;
  Result<ObjectPtr> create(const Resource& resource, std::string_view ns,
                           json::Value object) override;
  Result<ObjectPtr> create_subresource(const Resource& resource, std::string_view ns,
                                       std::string_view name, std::string_view subresource,
                                       json::Value body) override;
  Result<ObjectPtr> update(const Resource& resource, std::string_view ns, std::string_view name,
                           json::Value object, std::string_view subresource) override;
  Result<ObjectPtr> patch(const Resource& resource, std::string_view ns, std::string_view name,
                          PatchType type, json::Value patch, const PatchOptions& options) override;
  Result<void> remove(const Resource& resource, std::string_view ns, std::string_view name,
                      const DeleteOptions& options) override;

 private:
  // The answer's body, when it is a 2xx.
  Result<std::string> send(std::string_view method, const std::string& path_and_query,
                           std::string_view content_type, std::string body);
  // The connections of the identity as it is now.
  std::shared_ptr<http::Client> connections() EXCLUDES(mutex_);

  const std::string server_;
  const Identity& identity_;
  Mutex mutex_;
  std::shared_ptr<const http::ClientOptions> used_ GUARDED_BY(mutex_);
  std::shared_ptr<http::Client> http_ GUARDED_BY(mutex_);
};

}  // namespace wherry::client
