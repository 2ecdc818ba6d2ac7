#pragma once
// Discovery: which groups, versions and kinds there are, in the classic documents and in the
// aggregated ones, and the OpenAPI documents. Built from the resource rows when first asked for,
// then kept. Any thread.

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/result.h"
#include "http/message.h"

namespace wherry::apiserver {

class Discovery {
 public:
  Discovery() = default;
  // What clients should call the server: "10.0.0.1:6443". Before the first request.
  void set_address(std::string address) { address_ = std::move(address); }
  const std::string& address() const { return address_; }

  // Answers /api, /apis, /apis/GROUP, /api/VERSION, /apis/GROUP/VERSION and /openapi/...; false
  // when the path is none of these or names a group that does not exist.
  Result<bool> handle(const http::Request& request, http::Response& response) EXCLUDES(mutex_);
  // Every path there is, as GET / lists them.
  std::string paths() const;
  // Whether there is such a group and version.
  bool serves(std::string_view group, std::string_view version) const;
  bool serves_group(std::string_view group) const;

 private:
  struct Document {
    std::shared_ptr<const std::string> body;  // One of the two: large documents are kept zipped.
    std::shared_ptr<const std::string> zipped;
    std::string etag;
  };

  Result<void> handle_root(const http::Request& request, http::Response& response);
  // A document that is a kind of its own, in the form that the client takes.
  static Result<void> send_kind(const http::Request& request, http::Response& response,
                                const Document& document);
  bool handle_openapi(const http::Request& request, http::Response& response);
  // The document of that key, made by `make` the first time.
  template <typename Make>
  Document document(const std::string& key, Make make) EXCLUDES(mutex_);
  static void send(const http::Request& request, http::Response& response, const Document& document,
                   std::string content_type);

  std::string address_;
  Mutex mutex_;
  std::map<std::string, Document> documents_ GUARDED_BY(mutex_);
};

}  // namespace wherry::apiserver
