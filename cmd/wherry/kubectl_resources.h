#pragma once
// The kinds a server has, from its aggregated discovery. Nothing about any kind is built in: names,
// short names, categories, scope and subresources are what the server says.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kubectl_api.h"

namespace wherry::command::kubectl {

struct ResourceType {
  std::string group, version, kind;
  std::string plural, singular;
  std::vector<std::string> short_names, categories, verbs, subresources;
  bool namespaced = false;

  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  // "deployment.apps", as it stands before the slash in what kubectl prints.
  std::string label() const;
  // "deployments.apps", as in messages of the server.
  std::string plural_label() const { return group.empty() ? plural : plural + "." + group; }
  bool has_subresource(std::string_view name) const;
  bool has_verb(std::string_view name) const;
  // Without a namespace: of all of them; without a name: the list.
  std::string path(std::string_view ns, std::string_view name) const;
};

class Discovery {
 public:
  static Result<Discovery> load(Api& api);

  // "po", "pods", "pod", "Pod", "deployments.apps", "deployments.v1.apps".
  Result<const ResourceType*> find(std::string_view name) const;
  // By what an object says about itself. kNotFound: "no matches for kind ...".
  Result<const ResourceType*> find_kind(std::string_view api_version, std::string_view kind) const;
  std::vector<const ResourceType*> in_category(std::string_view category) const;
  const std::vector<ResourceType>& all() const { return types_; }

 private:
  void read(json::Value list);

  std::vector<ResourceType> types_;  // Core first; in a group the preferred version first.
};

}  // namespace wherry::command::kubectl
