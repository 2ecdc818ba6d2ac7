#include "proxy/plan.h"

#include <algorithm>

namespace wherry::proxy {
namespace {

PickChain chain_for(const Frontend& frontend, const Target& target) {
  return {frontend.node_port() ? PickChain::From::kNode : PickChain::From::kCluster,
          static_cast<uint32_t>(target.backends.size()), target.affinity_seconds,
          target.masquerade};
}

// Every element that stands for the target.
std::vector<Change> elements(const Frontend& frontend, const Target* target,
                             const Cidr& service_range) {
  std::vector<Change> all;
  if (target == nullptr) return all;
  if (target->backends.empty()) {
    // Within the range a rule of its own refuses whatever nobody serves.
    if (!frontend.node_port() && !service_range.contains(frontend.address)) {
      all.push_back({.set = Change::Set::kRefused, .add = true, .frontend = frontend});
    }
    return all;
  }
  uint32_t slot = 0;
  for (const Backend& backend : target->backends) {
    all.push_back({.set = Change::Set::kEndpoints,
                   .add = true,
                   .frontend = frontend,
                   .slot = slot++,
                   .backend = backend});
    if (target->affinity_seconds > 0) {
      all.push_back(
          {.set = Change::Set::kAffine, .add = true, .frontend = frontend, .backend = backend});
    }
  }
  // After the endpoints, for those who read the list; in a transaction order among sets is no
  // matter.
  all.push_back({.set = Change::Set::kServices,
                 .add = true,
                 .frontend = frontend,
                 .chain = chain_for(frontend, *target)});
  return all;
}

}  // namespace

std::string PickChain::name() const {
  std::string name = from == From::kNode ? "node" : "cluster";
  name += "-" + std::to_string(backends);
  if (masquerade) name += "-masquerade";
  if (affinity_seconds > 0) name += "-" + std::to_string(affinity_seconds) + "s";
  return name;
}

std::vector<Change> plan(const Frontend& frontend, const Target* before, const Target* after,
                         const Cidr& service_range) {
  std::vector<Change> old = elements(frontend, before, service_range);
  std::vector<Change> wanted = elements(frontend, after, service_range);
  std::vector<Change> changes;
  for (Change& element : old) {
    if (std::find(wanted.begin(), wanted.end(), element) != wanted.end()) continue;
    element.add = false;
    changes.push_back(element);
    element.add = true;
  }
  for (const Change& element : wanted) {
    if (std::find(old.begin(), old.end(), element) == old.end()) changes.push_back(element);
  }
  return changes;
}

}  // namespace wherry::proxy
