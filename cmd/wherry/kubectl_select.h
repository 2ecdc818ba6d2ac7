#pragma once
// What a command is about: objects named on the command line, chosen by a selector, or in files.

#include <string>
#include <vector>

#include "base/result.h"
#include "kubectl_api.h"
#include "kubectl_resources.h"

namespace wherry::command::kubectl {

extern const std::vector<FlagRow> kFileFlags;      // -f, -R
extern const std::vector<FlagRow> kSelectorFlags;  // -l, --field-selector, -A

// An object of a file.
struct Manifest {
  json::Document object;
  std::string source;  // The file, as the user named it.
};
// Everything that -f names, lists taken apart: files, folders, "-", addresses.
Result<std::vector<Manifest>> read_manifests(const Flags& flags);

struct Target {
  const ResourceType* type = nullptr;
  std::string ns;         // Empty for cluster-wide kinds, and for lists of all namespaces.
  std::string name;       // Empty: all of them (that the selectors match).
  json::Document object;  // From a file, else absent.
  std::string source;

  std::string path() const { return type->path(ns, name); }
  std::string label() const { return type->label() + "/" + name; }
};

// "TYPE[,TYPE] [NAME...]", "TYPE/NAME..." or -f.
Result<std::vector<Target>> select(const Flags& flags, Api& api, const Discovery& discovery);
Result<Target> target_of(const Manifest& manifest, const Flags& flags, Api& api,
                         const Discovery& discovery);
// The selectors of the command line as query parameters.
Parameters selectors(const Flags& flags);
// Replaces each target without a name by the objects it stands for, which are in `object` then.
Result<std::vector<Target>> expand(std::vector<Target> targets, const Flags& flags, Api& api);

}  // namespace wherry::command::kubectl
