// What a pod or template is warned of: fields that have a successor or no effect any more, and
// lists that say things twice. Wording: Kubernetes, warnings for pods.

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "api/network_rules.h"
#include "api/pod_rules.h"
#include "api/pod_warnings.h"
#include "api/quantity.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

using Warnings = std::vector<std::string>;

struct Successor {
  std::string_view old;
  std::string_view text;
};
constexpr Successor kLabels[] = {
    {"beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"},
    {"beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"},
    {"failure-domain.beta.kubernetes.io/region",
     "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"},
    {"failure-domain.beta.kubernetes.io/zone",
     "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"},
    {"beta.kubernetes.io/instance-type",
     "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"},
};
constexpr Successor kAnnotations[] = {
    {"scheduler.alpha.kubernetes.io/critical-pod",
     "non-functional in v1.16+; use the \"priorityClassName\" field instead"},
    {"security.alpha.kubernetes.io/sysctls",
     "non-functional in v1.11+; use the \"sysctls\" field instead"},
    {"security.alpha.kubernetes.io/unsafe-sysctls",
     "non-functional in v1.11+; use the \"sysctls\" field instead"},
};
constexpr Successor kVolumes[] = {
    {"photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
    {"gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
    {"scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
    {"flocker", "deprecated in v1.22, non-functional in v1.25+"},
    {"storageos", "deprecated in v1.22, non-functional in v1.25+"},
    {"quobyte", "deprecated in v1.22, non-functional in v1.25+"},
    {"glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
    {"cephfs", "deprecated in v1.28, non-functional in v1.31+"},
    {"rbd", "deprecated in v1.28, non-functional in v1.31+"},
};
constexpr std::string_view kNoPod = ": a null labelSelector results in matching no pod";

}  // namespace

void warn_of_terms(json::Value terms, const Path& path, const char* inner, Warnings& out) {
  size_t at = 0;
  for (json::Value item : terms.items()) {
    Path here = path.index(at++);
    if (inner != nullptr) here = here.child(inner);
    json::Value term = inner != nullptr ? item[inner] : item;
    size_t index = 0;
    for (json::Value expression : term["matchExpressions"].items()) {
      Path key = here.child("matchExpressions").index(index++).child("key");
      std::string_view text = deprecated_label(expression["key"].as_string());
      if (!text.empty())
        out.push_back(fmt::format("{}: {} is {}", key.text(), expression["key"].as_string(), text));
    }
  }
}

namespace {

void warn_of_selectors(json::Value terms, const Path& path, const char* inner, Warnings& out) {
  size_t at = 0;
  for (json::Value item : terms.items()) {
    Path here = path.index(at++);
    if (inner != nullptr) here = here.child(inner);
    json::Value term = inner != nullptr ? item[inner] : item;
    if (!term["labelSelector"])
      out.push_back(here.child("labelSelector").text() + std::string(kNoPod));
  }
}

void warn_of_placement(json::Value spec, const Path& path, Warnings& out) {
  constexpr const char* kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
  constexpr const char* kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";
  for (auto [key, value] : spec["nodeSelector"].members()) {
    std::string_view text = deprecated_label(key);
    if (!text.empty())
      out.push_back(fmt::format("{}: {}", path.child("nodeSelector").key(key).text(), text));
  }
  json::Value node = spec["affinity"]["nodeAffinity"];
  Path affinity = path.child("affinity");
  Path at = affinity.child("nodeAffinity");
  warn_of_terms(node[kRequired]["nodeSelectorTerms"],
                at.child(kRequired).child("nodeSelectorTerms"), nullptr, out);
  warn_of_terms(node[kPreferred], at.child(kPreferred), "preference", out);
  size_t index = 0;
  for (json::Value spread : spec["topologySpreadConstraints"].items()) {
    Path here = path.child("topologySpreadConstraints").index(index++);
    std::string_view key = spread["topologyKey"].as_string();
    std::string_view text = deprecated_label(key);
    if (!text.empty())
      out.push_back(fmt::format("{}: {} is {}", here.child("topologyKey").text(), key, text));
    if (!spread["labelSelector"])
      out.push_back(here.child("labelSelector").text() + std::string(kNoPod));
  }
}

void warn_of_affinity(json::Value spec, const Path& path, Warnings& out) {
  constexpr const char* kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
  constexpr const char* kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";
  for (const char* kind : {"podAffinity", "podAntiAffinity"}) {
    json::Value affinity = spec["affinity"][kind];
    Path at = path.child("affinity").child(kind);
    warn_of_selectors(affinity[kRequired], at.child(kRequired), nullptr, out);
    warn_of_selectors(affinity[kPreferred], at.child(kPreferred), "podAffinityTerm", out);
  }
}

// ---- Volumes

struct PlacedFile {
  std::string path;
  std::string from;  // " (Secret "b")", or empty when one source holds all.
};

// Of files that were placed already, the first that lies above or below this one.
void place(std::vector<PlacedFile>& placed, PlacedFile file, std::string_view volume,
           Warnings& out) {
  auto below = [](std::string_view inner, std::string_view outer) {
    return inner == outer || (inner.starts_with(outer) && inner[outer.size()] == '/');
  };
  for (const PlacedFile& other : placed) {
    if (!below(file.path, other.path) && !below(other.path, file.path)) continue;
    out.push_back(fmt::format("volume {}: overlapping paths: {}{} with {}{}", volume,
                              quote(file.path), file.from, quote(other.path), other.from));
  }
  placed.push_back(std::move(file));
}

void warn_of_files(json::Value volume, Warnings& out) {
  std::string name = quote(volume["name"].as_string());
  std::vector<PlacedFile> placed;
  for (const auto& [field, label, key] : {std::tuple{"configMap", "ConfigMap", "name"},
                                          std::tuple{"secret", "Secret", "secretName"}}) {
    json::Value source = volume[field];
    std::string what = fmt::format("{} ({} {})", name, label, quote(source[key].as_string()));
    for (json::Value item : source["items"].items())
      place(placed, {std::string(item["path"].as_string()), {}}, what, out);
  }
  for (json::Value item : volume["downwardAPI"]["items"].items())
    place(placed, {std::string(item["path"].as_string()), {}}, name + " (DownwardAPI)", out);
  std::string projected = name + " (Projected)";
  for (json::Value source : volume["projected"]["sources"].items()) {
    if (source.empty()) out.push_back("volume " + projected + " has no sources provided");
    for (const auto& [field, label] :
         {std::pair{"secret", "Secret"}, std::pair{"configMap", "ConfigMap"}}) {
      std::string from = fmt::format(" ({} {})", label, quote(source[field]["name"].as_string()));
      for (json::Value item : source[field]["items"].items())
        place(placed, {std::string(item["path"].as_string()), from}, projected, out);
    }
    for (json::Value item : source["downwardAPI"]["items"].items())
      place(placed, {std::string(item["path"].as_string()), " (DownwardAPI)"}, projected, out);
    for (const auto& [field, label] : {std::pair{"serviceAccountToken", " (ServiceAccountToken)"},
                                       std::pair{"clusterTrustBundle", " (ClusterTrustBundle)"}}) {
      if (source[field])
        place(placed, {std::string(source[field]["path"].as_string()), label}, projected, out);
    }
  }
}

void warn_of_fraction(json::Value amounts, std::string_view name, const Path& path, Warnings& out) {
  json::Value amount = amounts[name];
  if (!amount || Quantity::from(amount).is_whole()) return;
  out.push_back(fmt::format("{}: fractional byte value {} is invalid, must be an integer",
                            path.key(name).text(), quote(Quantity::from(amount).text())));
}

void warn_of_volumes(json::Value volumes, const Path& path, Warnings& out) {
  size_t at = 0;
  for (json::Value volume : volumes.items()) {
    Path item = path.index(at++);
    for (const Successor& known : kVolumes) {
      std::string_view shown = known.old == "storageos" ? "storageOS" : known.old;
      if (volume[known.old])
        out.push_back(fmt::format("{}: {}", item.child(shown).text(), known.text));
    }
    json::Value claim = volume["ephemeral"]["volumeClaimTemplate"]["spec"]["resources"];
    Path resources =
        item.child("ephemeral").child("volumeClaimTemplate").child("spec").child("resources");
    warn_of_fraction(claim["requests"], "storage", resources.child("requests"), out);
    warn_of_files(volume, out);
  }
}

// ---- Containers

struct SeenPort {
  json::Value port;
  Path path;
};

std::string port_text(json::Value port) {
  return fmt::format("{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
                     port["name"].as_string(), port["hostPort"].as_int(),
                     port["containerPort"].as_int(), port["protocol"].as_string(),
                     port["hostIP"].as_string());
}

// The same port of the pod, named twice: wholly, or in part.
void warn_of_port(json::Value port, const Path& path, std::vector<SeenPort>& seen, Warnings& out) {
  bool host = port["hostPort"].as_int() != 0;
  if (!host && !port["hostIP"].as_string().empty())
    out.push_back(fmt::format("{}: hostIP set without hostPort: {}", path.text(), port_text(port)));
  for (const SeenPort& other : seen) {
    bool same = other.port["containerPort"].as_int() == port["containerPort"].as_int() &&
                other.port["protocol"].as_string() == port["protocol"].as_string();
    if (!same) continue;
    bool other_host = other.port["hostPort"].as_int() != 0;
    bool conflict = other.port["hostPort"].as_int() == port["hostPort"].as_int() &&
                    other.port["hostIP"].as_string() == port["hostIP"].as_string();
    if (conflict) {
      out.push_back(
          fmt::format("{}: duplicate port definition with {}", path.text(), other.path.text()));
      break;
    }
    if (!host || !other_host) {
      out.push_back(
          fmt::format("{}: overlapping port definition with {}", path.text(), other.path.text()));
      break;
    }
  }
}

// Names that two containers give: a Service finds the first.
void warn_of_port_names(json::Value spec, const Path& path, Warnings& out) {
  std::map<std::string_view, Path> names;
  size_t at = 0;
  for (json::Value container : spec["containers"].items()) {
    Path ports = path.child("containers").index(at++).child("ports");
    size_t index = 0;
    for (json::Value port : container["ports"].items()) {
      Path here = ports.index(index++);
      std::string_view name = port["name"].as_string();
      if (name.empty()) continue;
      auto [first, fresh] = names.try_emplace(name, here);
      if (fresh) continue;
      std::string_view other = first->second.text();
      out.push_back(
          fmt::format("{}: duplicate port name {} with {}, services and probes that "
                      "select ports by name will use {}",
                      here.text(), quote(name), other, other));
    }
  }
}

void warn_of_container(json::Value container, const Path& path, std::vector<SeenPort>& ports,
                       Warnings& out) {
  std::set<std::string_view> names;
  size_t at = 0;
  for (const char* amount : {"memory", "ephemeral-storage"}) {
    for (const char* list : {"limits", "requests"}) {
      warn_of_fraction(container["resources"][list], amount, path.child("resources").child(list),
                       out);
    }
  }
  for (json::Value variable : container["env"].items()) {
    std::string_view name = variable["name"].as_string();
    if (!names.insert(name).second) {
      out.push_back(
          fmt::format("{}: hides previous definition of {}, which may be dropped when "
                      "using apply",
                      path.child("env").index(at).text(), quote(name)));
    }
    ++at;
  }
  at = 0;
  for (json::Value port : container["ports"].items()) {
    Path here = path.child("ports").index(at++);
    warn_of_port(port, here, ports, out);
    ports.push_back({port, here});
  }
}

void warn_of_annotations(json::Value annotations, json::Value spec, const Path& path,
                         Warnings& out) {
  auto add = [&](std::string_view key, std::string_view text) {
    out.push_back(fmt::format("{}: {}", path.key(key).text(), text));
  };
  for (const Successor& known : kAnnotations) {
    if (annotations[known.old]) add(known.old, known.text);
  }
  constexpr std::string_view kSeccompText =
      "non-functional in v1.27+; use the \"seccompProfile\" field instead";
  constexpr std::string_view kSeccompPod = "seccomp.security.alpha.kubernetes.io/pod";
  if (annotations[kSeccompPod] && !spec["securityContext"]["seccompProfile"])
    add(kSeccompPod, kSeccompText);
  bool pod_profile = static_cast<bool>(spec["securityContext"]["appArmorProfile"]);
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    for (json::Value container : spec[list].items()) {
      std::string name(container["name"].as_string());
      std::string seccomp = "container.seccomp.security.alpha.kubernetes.io/" + name;
      std::string armor = "container.apparmor.security.beta.kubernetes.io/" + name;
      if (annotations[seccomp] && !container["securityContext"]["seccompProfile"])
        add(seccomp, kSeccompText);
      if (annotations[armor] && !pod_profile && !container["securityContext"]["appArmorProfile"])
        add(armor, "deprecated since v1.30; use the \"appArmorProfile\" field instead");
    }
  }
}

void warn_of_addresses(json::Value spec, const Path& path, Warnings& out) {
  size_t at = 0;
  Path servers = path.child("dnsConfig").child("nameservers");
  for (json::Value server : spec["dnsConfig"]["nameservers"].items())
    warn_of_form(server.as_string(), servers.index(at++), out);
  at = 0;
  for (json::Value alias : spec["hostAliases"].items())
    warn_of_form(alias["ip"].as_string(), path.child("hostAliases").index(at++).child("ip"), out);
}

void warn_of_names(json::Value spec, const Path& path, Warnings& out) {
  std::set<std::string_view> seen;
  size_t at = 0;
  for (json::Value alias : spec["hostAliases"].items()) {
    Path here = path.child("hostAliases").index(at++).child("ip");
    std::string_view ip = alias["ip"].as_string();
    if (!seen.insert(ip).second) out.push_back(here.text() + ": duplicate ip " + quote(ip));
  }
  seen.clear();
  Warnings nameless;  // Told after the others.
  at = 0;
  for (json::Value secret : spec["imagePullSecrets"].items()) {
    Path here = path.child("imagePullSecrets").index(at++).child("name");
    std::string_view name = secret["name"].as_string();
    if (name.empty()) {
      nameless.push_back(here.text() + ": invalid empty name \"\"");
    } else if (!seen.insert(name).second) {
      out.push_back(here.text() + ": duplicate name " + quote(name));
    }
  }
  out.insert(out.end(), nameless.begin(), nameless.end());
}

}  // namespace

std::string_view deprecated_label(std::string_view key) {
  for (const Successor& known : kLabels) {
    if (known.old == key) return known.text;
  }
  return {};
}

std::vector<std::string> pod_warnings(json::Value meta, json::Value spec, const Path& meta_path,
                                      const Path& path) {
  Warnings out;
  warn_of_placement(spec, path, out);
  warn_of_names(spec, path, out);
  warn_of_volumes(spec["volumes"], path.child("volumes"), out);
  for (const char* amount : {"memory", "ephemeral-storage"})
    warn_of_fraction(spec["overhead"], amount, path.child("overhead"), out);
  warn_of_annotations(meta["annotations"], spec, meta_path.child("annotations"), out);
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    size_t at = 0;
    std::vector<SeenPort> ports;
    for (json::Value container : spec[list].items())
      warn_of_container(container, path.child(list).index(at++), ports, out);
  }
  warn_of_port_names(spec, path, out);
  if (spec["terminationGracePeriodSeconds"].as_int() < 0) {
    out.push_back(path.child("terminationGracePeriodSeconds").text() +
                  ": must be >= 0; negative values are invalid and will be treated as 1");
  }
  warn_of_affinity(spec, path, out);
  warn_of_addresses(spec, path, out);
  return out;
}

std::vector<std::string> template_warnings(json::Value pod_template, const Path& path) {
  return pod_warnings(pod_template["metadata"], pod_template["spec"], path.child("metadata"),
                      path.child("spec"));
}

}  // namespace wherry::api
