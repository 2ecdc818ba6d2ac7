#include "kubectl_resources.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/strings.h"

namespace wherry::command::kubectl {
namespace {

constexpr char kAggregated[] =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

}  // namespace

std::string ResourceType::label() const {
  std::string name = singular.empty() ? to_lower(kind) : singular;
  return group.empty() ? name : name + "." + group;
}

bool ResourceType::has_subresource(std::string_view name) const {
  return contains(subresources, name);
}

bool ResourceType::has_verb(std::string_view name) const { return contains(verbs, name); }

std::string ResourceType::path(std::string_view ns, std::string_view name) const {
  std::string out = (group.empty() ? "/api/" : "/apis/") + api_version();
  if (namespaced && !ns.empty()) out += "/namespaces/" + percent_encode(ns);
  out += "/" + plural;
  if (!name.empty()) out += "/" + percent_encode(name);
  return out;
}

void Discovery::read(json::Value list) {
  for (json::Value group : list["items"].items()) {
    for (json::Value version : group["versions"].items()) {
      for (json::Value row : version["resources"].items()) {
        ResourceType type;
        type.group = std::string(group["metadata"]["name"].as_string());
        type.version = std::string(version["version"].as_string());
        type.kind = std::string(row["responseKind"]["kind"].as_string());
        type.plural = std::string(row["resource"].as_string());
        type.singular = std::string(row["singularResource"].as_string());
        type.namespaced = row["scope"].as_string() == "Namespaced";
        type.short_names = row["shortNames"].strings();
        type.categories = row["categories"].strings();
        type.verbs = row["verbs"].strings();
        for (json::Value sub : row["subresources"].items()) {
          type.subresources.emplace_back(sub["subresource"].as_string());
        }
        types_.push_back(std::move(type));
      }
    }
  }
}

Result<Discovery> Discovery::load(Api& api) {
  Discovery discovery;
  for (const char* path : {"/api", "/apis"}) {
    Answer answer = TRY(api.call({.path = path, .accept = kAggregated}));
    if (answer.body.root()["kind"].as_string() != "APIGroupDiscoveryList") {
      return Error::unsupported(
          "the server has no aggregated discovery (Kubernetes before 1.27): use kubectl");
    }
    discovery.read(answer.body.root());
  }
  return discovery;
}

Result<const ResourceType*> Discovery::find(std::string_view name) const {
  std::string wanted = to_lower(name);
  auto matches = [](const ResourceType& type, std::string_view resource) {
    return type.plural == resource || type.singular == resource ||
           to_lower(type.kind) == resource || contains(type.short_names, resource);
  };
  for (const ResourceType& type : types_) {
    if (matches(type, wanted)) return &type;
  }
  if (auto parts = split_once(wanted, ".")) {
    for (const ResourceType& type : types_) {
      std::string_view rest = parts->second;
      if (!matches(type, parts->first)) continue;
      if (rest == type.group || rest == type.version + "." + type.group) return &type;
    }
  }
  return Error::not_found("the server doesn't have a resource type \"{}\"", name);
}

Result<const ResourceType*> Discovery::find_kind(std::string_view api_version,
                                                 std::string_view kind) const {
  for (const ResourceType& type : types_) {
    if (type.kind == kind && type.api_version() == api_version) return &type;
  }
  return Error::not_found("no matches for kind \"{}\" in version \"{}\"", kind, api_version);
}

std::vector<const ResourceType*> Discovery::in_category(std::string_view category) const {
  std::vector<const ResourceType*> out;
  for (const ResourceType& type : types_) {
    bool other_version = std::any_of(out.begin(), out.end(), [&type](const ResourceType* earlier) {
      return earlier->group == type.group && earlier->plural == type.plural;
    });
    if (contains(type.categories, category) && !other_version) out.push_back(&type);
  }
  return out;
}

}  // namespace wherry::command::kubectl
