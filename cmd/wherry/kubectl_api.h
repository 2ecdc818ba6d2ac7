#pragma once
// Api: the server that the user's kubeconfig names, as the built-in kubectl talks to it.
//
// The kubeconfig is the file of --kubeconfig, else the files of $KUBECONFIG, else ~/.kube/config,
// else /etc/wherry/wherry.yaml; inside a pod without any of them, the pod's ServiceAccount. Flags
// such as
// --context, --server and --token come before what it says.
//
// Errors carry their whole text: answers of the server read "Error from server (NotFound): ...".
//
// One thread.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/client.h"
#include "json/json.h"
#include "kubectl_flags.h"

namespace wherry::command::kubectl {

// The flags that every command has.
extern const std::vector<FlagRow> kConnectionFlags;

struct Answer {
  int status = 0;
  std::string text;
  json::Document body;  // Absent when the answer is not JSON.
};

// Query parameters, encoded: "?a=b&c=d", or empty.
using Parameters = std::vector<std::pair<std::string, std::string>>;
std::string query_text(const Parameters& parameters);

struct Call {
  std::string method = "GET";
  std::string path;
  Parameters parameters;
  std::string body;
  std::string content_type = "application/json";
  std::string accept = "application/json";
  std::chrono::milliseconds timeout{0};
};

class Api {
 public:
  static Result<Api> open(const Flags& flags);
  static Api unconnected() { return Api(); }  // For commands that ask no server anything.

  // Any status from 400 on is an error; its code tells kNotFound, kConflict, kAlreadyExists, kGone
  // and kForbidden apart from the rest.
  Result<Answer> call(const Call& call);
  // A body handed over as it comes; false from `write` ends it.
  Result<void> follow(const Call& call, const std::function<bool(std::string_view)>& write);
  // A watch: each event's type and object; false ends it. `call.timeout` is a limit, not an error.
  using OnEvent = std::function<bool(std::string_view type, json::Value object)>;
  Result<void> watch(Call call, const OnEvent& on_event);

  // The namespace to work in: --namespace, else the context's, else "default".
  const std::string& default_namespace() const { return namespace_; }
  bool namespace_given() const { return namespace_given_; }

  // For streams.
  http::Client& client() { return *client_; }
  std::string url(const std::string& path) const { return server_ + path; }
  http::Headers headers() const;
  Error refused(const http::ClientResponse& response) const;

 private:
  Api() = default;
  Error unreachable(Error error) const;

  std::string server_;
  std::string token_;
  std::string namespace_ = "default";
  bool namespace_given_ = false;
  std::chrono::milliseconds request_timeout_{0};
  std::unique_ptr<http::Client> client_;
};

}  // namespace wherry::command::kubectl
