#include "client/remote_client.h"

#include "api/status.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace wherry::client {
namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr std::string_view kJson = "application/json";

std::string_view media_type(PatchType type) {
  switch (type) {
    case PatchType::kJson: return "application/json-patch+json";
    case PatchType::kMerge: return "application/merge-patch+json";
    case PatchType::kStrategic: return "application/strategic-merge-patch+json";
    case PatchType::kApply: return "application/apply-patch+yaml";
  }
  return "application/merge-patch+json";
}

}  // namespace

std::string path_of(const Resource& resource, std::string_view ns, std::string_view name,
                    std::string_view subresource) {
  std::string out = resource.group.empty() ? "/api/" : "/apis/";
  out += resource.api_version();
  if (resource.namespaced() && !ns.empty()) out += "/namespaces/" + percent_encode(ns);
  out += "/";
  out += resource.plural;
  if (!name.empty()) out += "/" + percent_encode(name);
  if (!subresource.empty()) out += "/" + percent_encode(subresource);
  return out;
}

Result<ObjectPtr> object_from(const Resource& resource, json::Value value) {
  if (value["kind"]) return api::Object::parse(value.dump());
  json::Draft whole;
  whole.root().set("kind", resource.kind);
  whole.root().set("apiVersion", resource.api_version());
  for (auto [key, member] : value.members()) whole.root().add(key, member);
  return api::Object::parse(whole.dump());
}

Error error_of(const http::ClientResponse& response) {
  Result<json::Document> body = json::Document::parse(response.body);
  return api::error_from_status(body.ok() ? body->root() : json::Value(), response.status);
}

RemoteClient::RemoteClient(std::string server, const Identity& identity)
    : server_(std::move(server)), identity_(identity) {}

std::shared_ptr<http::Client> RemoteClient::connections() {
  std::shared_ptr<const http::ClientOptions> now = identity_.get();
  MutexLock lock(mutex_);
  if (http_ == nullptr || used_ != now) {
    used_ = now;
    http_ = std::make_shared<http::Client>(*now);
  }
  return http_;
}

Result<std::string> RemoteClient::send(std::string_view method, const std::string& path_and_query,
                                       std::string_view content_type, std::string body) {
  http::ClientRequest request;
  request.method = method;
  request.url = server_ + path_and_query;
  request.headers.add("Accept", std::string(kJson));
  if (!content_type.empty()) request.headers.add("Content-Type", std::string(content_type));
  request.body = std::move(body);
  request.timeout = kPatience;
  http::ClientResponse response = TRY(connections()->request(request));
  if (response.status < 200 || response.status > 299) return error_of(response);
  return std::move(response.body);
}

Result<ObjectPtr> RemoteClient::get(const Resource& resource, std::string_view ns,
                                    std::string_view name) {
  return api::Object::parse(TRY(send("GET", path_of(resource, ns, name), {}, {})));
}

Result<List> RemoteClient::list(const Resource& resource, std::string_view ns,
                                const api::Selector& labels) {
  std::string path = path_of(resource, ns);
  if (!labels.everything()) path += "?labelSelector=" + percent_encode(labels.text());
  std::string body = TRY(send("GET", path, {}, {}));
  json::Document document = TRY(json::Document::parse(body));
  List out;
  std::string_view version = document.root()["metadata"]["resourceVersion"].as_string();
  out.revision = parse_int(version).value_or(0);
  for (json::Value item : document.root()["items"].items()) {
    out.items.push_back(TRY(object_from(resource, item)));
  }
  return out;
}

Result<ObjectPtr> RemoteClient::create(const Resource& resource, std::string_view ns,
                                       json::Value object) {
  return api::Object::parse(TRY(send("POST", path_of(resource, ns), kJson, object.dump())));
}

Result<ObjectPtr> RemoteClient::create_subresource(const Resource& resource, std::string_view ns,
                                                   std::string_view name,
                                                   std::string_view subresource, json::Value body) {
  return api::Object::parse(
      TRY(send("POST", path_of(resource, ns, name, subresource), kJson, body.dump())));
}

Result<ObjectPtr> RemoteClient::update(const Resource& resource, std::string_view ns,
                                       std::string_view name, json::Value object,
                                       std::string_view subresource) {
  return api::Object::parse(
      TRY(send("PUT", path_of(resource, ns, name, subresource), kJson, object.dump())));
}

Result<ObjectPtr> RemoteClient::patch(const Resource& resource, std::string_view ns,
                                      std::string_view name, PatchType type, json::Value patch,
                                      const PatchOptions& options) {
  std::string path = path_of(resource, ns, name, options.subresource);
  char joint = '?';
  auto add = [&](std::string_view key, std::string_view value) {
    path += joint;
    path += key;
    path += "=" + percent_encode(value);
    joint = '&';
  };
  if (!options.field_manager.empty()) add("fieldManager", options.field_manager);
  if (options.force) add("force", "true");
  return api::Object::parse(TRY(send("PATCH", path, media_type(type), patch.dump())));
}

Result<void> RemoteClient::remove(const Resource& resource, std::string_view ns,
                                  std::string_view name, const DeleteOptions& options) {
  json::Draft body;
  json::Node root = body.root();
  root.set("kind", "DeleteOptions");
  root.set("apiVersion", "v1");
  if (options.grace_period_seconds) root.set("gracePeriodSeconds", *options.grace_period_seconds);
  if (!options.propagation_policy.empty())
    root.set("propagationPolicy", options.propagation_policy);
  if (options.uid) root.ensure_object("preconditions").set("uid", *options.uid);
  if (options.resource_version) {
    root.ensure_object("preconditions")
        .set("resourceVersion", std::to_string(*options.resource_version));
  }
  TRY(send("DELETE", path_of(resource, ns, name), kJson, body.dump()));
  return {};
}

}  // namespace wherry::client
