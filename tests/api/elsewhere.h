#pragma once
// Another API server, named by a kubeconfig: where answers are recorded. Before each transcript
// everything is removed that transcripts make, so that each starts as on a fresh server. Meant for
// a control plane without controllers, which would act on the objects meanwhile.

#include <string>
#include <string_view>

#include "base/encoding.h"
#include "base/log.h"
#include "base/result.h"
#include "base/strings.h"
#include "http/client.h"
#include "json/json.h"
#include "json/yaml.h"
#include "os/file.h"

namespace wherry {

struct Elsewhere {
  std::string url;
  http::ClientOptions options;
};

// The first cluster and user. Each credential is a file's path, or base64 in KEY-data.
inline Result<Elsewhere> read_kubeconfig(const std::string& path) {
  json::Document config = TRY(json::parse_yaml(TRY(os::read_file(path))));
  json::Value cluster = config.root()["clusters"].at(0)["cluster"];
  json::Value user = config.root()["users"].at(0)["user"];
  auto pem = [](json::Value from, const std::string& key) -> std::string {
    json::Value data = from[key + "-data"];
    if (data) return base64_decode(data.as_string()).value_or("");
    return os::read_file(std::string(from[key].as_string())).value_or("");
  };
  Elsewhere elsewhere;
  elsewhere.url = cluster["server"].as_string();
  elsewhere.options.ca_pem = pem(cluster, "certificate-authority");
  elsewhere.options.certificate_pem = pem(user, "client-certificate");
  elsewhere.options.key_pem = pem(user, "client-key");
  if (elsewhere.url.empty()) return Error::invalid("{} names no server", path);
  return elsewhere;
}

inline Result<http::ClientResponse> ask(http::Client& client, std::string_view method,
                                        const std::string& url, std::string body = {}) {
  http::ClientRequest request;
  request.method = method;
  request.url = url;
  request.body = std::move(body);
  request.timeout = std::chrono::seconds(30);
  if (!request.body.empty()) {
    bool patch = method == "PATCH";
    request.headers.add("Content-Type",
                        patch ? "application/merge-patch+json" : "application/json");
  }
  return client.request(request);
}

struct Collection {
  std::string_view base, plural;
};

// Removes what is in a collection, but for what every cluster has.
inline Result<void> empty_out(http::Client& client, const std::string& server,
                              const Collection& collection) {
  std::string all = fmt::format("{}{}/{}", server, collection.base, collection.plural);
  http::ClientResponse list = TRY(ask(client, "GET", all));
  json::Document items = TRY(json::Document::parse(list.body));
  for (json::Value item : items.root()["items"].items()) {
    json::Value meta = item["metadata"];
    std::string_view ns = meta["namespace"].as_string();
    if (ns == "kube-system" || meta["name"].as_string() == "kubernetes") continue;
    std::string url = fmt::format("{}{}/{}{}/{}", server, collection.base,
                                  ns.empty() ? "" : fmt::format("namespaces/{}/", ns),
                                  collection.plural, meta["name"].as_string());
    if (!meta["finalizers"].empty()) {
      TRY(ask(client, "PATCH", url, R"({"metadata": {"finalizers": null}})"));
    }
    TRY(ask(client, "DELETE", url + "?gracePeriodSeconds=0"));
  }
  return {};
}

inline Result<void> empty_namespaces(http::Client& client, const std::string& server) {
  http::ClientResponse list = TRY(ask(client, "GET", server + "/api/v1/namespaces"));
  json::Document items = TRY(json::Document::parse(list.body));
  for (json::Value item : items.root()["items"].items()) {
    std::string name(item["metadata"]["name"].as_string());
    if (name.starts_with("kube-") || name == "default") continue;
    std::string url = server + "/api/v1/namespaces/" + name;
    TRY(ask(client, "PATCH", url, R"({"metadata": {"finalizers": null}})"));
    TRY(ask(client, "DELETE", url));
    std::string released =
        fmt::format(R"({{"metadata": {{"name": "{}"}}, "spec": {{"finalizers": []}}}})", name);
    TRY(ask(client, "PUT", url + "/finalize", released));
  }
  return {};
}

inline Result<void> empty_out(const Elsewhere& elsewhere) {
  constexpr Collection kCollections[] = {
      {"/api/v1", "pods"},
      {"/api/v1", "configmaps"},
      {"/api/v1", "secrets"},
      {"/api/v1", "services"},
      {"/api/v1", "serviceaccounts"},
      {"/api/v1", "events"},
      {"/api/v1", "endpoints"},
      {"/apis/discovery.k8s.io/v1", "endpointslices"},
      {"/apis/coordination.k8s.io/v1", "leases"},
      {"/apis/apps/v1", "deployments"},
      {"/apis/apps/v1", "replicasets"},
      {"/api/v1", "nodes"},
  };
  http::Client client(elsewhere.options);
  for (const Collection& collection : kCollections) {
    TRY(empty_out(client, elsewhere.url, collection));
  }
  return empty_namespaces(client, elsewhere.url);
}

}  // namespace wherry
