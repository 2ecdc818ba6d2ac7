#include "apiserver/authorise.h"

#include <algorithm>
#include <array>

#include "api/status.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kNodes = "system:nodes";
constexpr std::string_view kAuthenticated = "system:authenticated";
constexpr std::string_view kAccounts = "system:serviceaccounts";

struct Grant {
  std::string_view group;
  std::string_view resource;  // With subresource: "pods/status".
  std::string_view verbs;     // Separated by commas.
};

// What an agent does for its pods and for itself.
constexpr Grant kNodeGrants[] = {
    {"", "nodes", "create,get,list,watch,update,patch"},
    {"", "nodes/status", "update,patch"},
    {"", "pods", "create,get,list,watch,delete"},
    {"", "pods/status", "update,patch"},
    {"", "pods/eviction", "create"},
    {"", "services", "get,list,watch"},
    {"", "endpoints", "get"},
    {"", "configmaps", "get,list,watch"},
    {"", "secrets", "get,list,watch"},
    {"", "namespaces", "get,list,watch"},
    {"", "serviceaccounts", "get,list,watch"},
    {"", "serviceaccounts/token", "create"},
    {"", "persistentvolumes", "get"},
    {"", "persistentvolumeclaims", "get"},
    {"", "events", "create,update,patch"},
    {"events.k8s.io", "events", "create,update,patch"},
    {"discovery.k8s.io", "endpointslices", "get,list,watch"},
    {"networking.k8s.io", "networkpolicies", "get,list,watch"},
    {"node.k8s.io", "runtimeclasses", "get,list,watch"},
    {"coordination.k8s.io", "leases", "create,get,update,patch,delete"},
    {"authentication.k8s.io", "tokenreviews", "create"},
    {"authorization.k8s.io", "subjectaccessreviews", "create"},
};

// What the Service proxy of a node reads.
constexpr std::string_view kProxyUser = "system:kube-proxy";
constexpr Grant kProxyGrants[] = {
    {"", "nodes", "get,list,watch"},
    {"", "services", "list,watch"},
    {"discovery.k8s.io", "endpointslices", "list,watch"},
};

// What everybody who is known may ask about themselves.
constexpr Grant kSelfGrants[] = {
    {"authentication.k8s.io", "selfsubjectreviews", "create"},
    {"authorization.k8s.io", "selfsubjectaccessreviews", "create"},
    {"authorization.k8s.io", "selfsubjectrulesreviews", "create"},
};

constexpr std::array<std::string_view, 4> kPublicPaths = {"/livez", "/readyz", "/healthz",
                                                          "/version"};
// Pods may learn how tokens are checked.
constexpr std::array<std::string_view, 2> kIssuerPaths = {"/.well-known/openid-configuration",
                                                          "/openid/v1/jwks"};
constexpr std::array<std::string_view, 4> kDiscoveryPaths = {"/api", "/apis", "/openapi",
                                                             "/version"};

template <size_t N>
bool below(std::string_view path, const std::array<std::string_view, N>& roots) {
  return std::any_of(roots.begin(), roots.end(), [path](std::string_view root) {
    return path == root || (path.starts_with(root) && path[root.size()] == '/');
  });
}

bool names_verb(std::string_view verbs, std::string_view verb) {
  while (!verbs.empty()) {
    size_t comma = verbs.find(',');
    if (verbs.substr(0, comma) == verb) return true;
    verbs = comma == std::string_view::npos ? std::string_view() : verbs.substr(comma + 1);
  }
  return false;
}

template <size_t N>
bool granted(const Grant (&grants)[N], const Attributes& asked) {
  std::string resource = asked.resource;
  if (!asked.subresource.empty()) resource += "/" + asked.subresource;
  for (const Grant& grant : grants) {
    if (grant.group == asked.group && grant.resource == resource &&
        names_verb(grant.verbs, asked.verb)) {
      return true;
    }
  }
  return false;
}

std::string refusal(const Attributes& asked) {
  if (!asked.is_resource) {
    return fmt::format("User \"{}\" cannot {} path \"{}\"", asked.user.name, asked.verb,
                       asked.path);
  }
  std::string resource = asked.resource;
  if (!asked.subresource.empty()) resource += "/" + asked.subresource;
  std::string where = asked.ns.empty() ? std::string("at the cluster scope")
                                       : fmt::format("in the namespace \"{}\"", asked.ns);
  return fmt::format("User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {}",
                     asked.user.name, asked.verb, resource, asked.group, where);
}

}  // namespace

Attributes attributes_of(const User& user, const Route& route) {
  Attributes out{user,
                 route.verb,
                 route.path,
                 route.is_resource,
                 route.group,
                 route.plural,
                 route.target.subresource,
                 route.target.ns,
                 route.target.name};
  return out;
}

bool allowed(const Attributes& asked) {
  if (asked.user.in_group(kMasters)) return true;
  if (!asked.is_resource) {
    if (asked.verb != "get" && asked.verb != "head") return false;
    if (below(asked.path, kPublicPaths)) return true;
    if (asked.user.in_group(kAccounts) && below(asked.path, kIssuerPaths)) return true;
    return asked.user.in_group(kAuthenticated) && below(asked.path, kDiscoveryPaths);
  }
  if (!asked.user.in_group(kAuthenticated)) return false;
  if (granted(kSelfGrants, asked)) return true;
  if (asked.user.name == kProxyUser && granted(kProxyGrants, asked)) return true;
  return asked.user.in_group(kNodes) && granted(kNodeGrants, asked);
}

Result<void> authorise(const Attributes& asked) {
  if (allowed(asked)) return {};
  if (!asked.is_resource) return Error(Code::kForbidden, "forbidden: " + refusal(asked));
  std::string resource = asked.group.empty() ? asked.resource : asked.resource + "." + asked.group;
  return api::forbidden(resource, asked.name, refusal(asked));
}

}  // namespace wherry::apiserver
