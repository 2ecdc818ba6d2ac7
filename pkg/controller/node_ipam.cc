// Gives each node its range of pod addresses, spec.podCIDR: a /24 of the cluster's. The first one
// is the server's own. Spec: Kubernetes API reference, NodeSpec.podCIDR.

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "controller/all.h"

namespace wherry::controller {
namespace {

constexpr int kNodePrefix = 24;

struct Range {
  uint32_t base = 0;
  int prefix = 0;
};

std::optional<Range> parse_range(std::string_view text) {
  auto parts = split_once(text, "/");
  if (!parts) return std::nullopt;
  Range out;
  std::vector<std::string_view> bytes = split(parts->first, '.');
  std::optional<int64_t> prefix = parse_int(parts->second);
  if (bytes.size() != 4 || !prefix || *prefix < 0 || *prefix > 32) return std::nullopt;
  for (std::string_view byte : bytes) {
    std::optional<uint64_t> value = parse_uint(byte);
    if (!value || *value > 255) return std::nullopt;
    out.base = out.base << 8 | static_cast<uint32_t>(*value);
  }
  out.prefix = static_cast<int>(*prefix);
  return out;
}

std::string text_of(uint32_t base) {
  return fmt::format("{}.{}.{}.{}/{}", base >> 24, base >> 16 & 255, base >> 8 & 255, base & 255,
                     kNodePrefix);
}

class NodeIpam final : public Reconciler {
 public:
  explicit NodeIpam(const Context& context) : context_(context), nodes_(context.lister("nodes")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    ObjectPtr node = nodes_.find("", key.name);
    if (node == nullptr || node->deleting()) return Requeue::never();
    json::Document document = node->document();
    if (!document.root()["spec"]["podCIDR"].as_string().empty()) return Requeue::never();
    std::optional<std::string> range = free_range();
    if (!range) {
      context_.events.normal(*node, "CIDRNotAvailable",
                             fmt::format("Node {} status is now: CIDRNotAvailable", node->name()));
      return Error::unavailable("no range of pod addresses is free for node {}", node->name());
    }
    json::Draft patch;
    patch.root().set_object("metadata").set("resourceVersion", std::to_string(node->revision()));
    json::Node spec = patch.root().set_object("spec");
    spec.set("podCIDR", *range);
    spec.set_array("podCIDRs").push(*range);
    json::Document body = patch.freeze();
    TRY(ignore_not_found(context_.client.patch(api::resource("nodes"), "", node->name(),
                                               client::PatchType::kMerge, body.root())));
    last_ = parse_range(*range)->base;
    return Requeue::never();
  }

 private:
  // The next one after what was given last, so that a range which became free rests for long: its
  // old node may come back.
  std::optional<std::string> free_range() const {
    std::optional<Range> cluster = parse_range(context_.facts.cluster_cidr);
    if (!cluster || cluster->prefix >= kNodePrefix) return std::nullopt;
    constexpr uint32_t kStep = 1u << (32 - kNodePrefix);
    uint32_t count = 1u << (kNodePrefix - cluster->prefix);
    std::set<uint32_t> taken = {cluster->base};  // The server's.
    uint32_t highest = std::max(last_, cluster->base);
    for (const ObjectPtr& node : nodes_.list("")) {
      json::Document document = node->document();
      auto range = parse_range(document.root()["spec"]["podCIDR"].as_string());
      if (!range) continue;
      // Others may have given larger ones.
      uint64_t size = uint64_t{1} << (32 - range->prefix);
      for (uint64_t at = 0; at < size; at += kStep) {
        uint32_t base = (range->base & ~(kStep - 1)) + static_cast<uint32_t>(at);
        taken.insert(base);
        if (taken.size() > count) return std::nullopt;
      }
    }
    for (uint32_t i = 1; i <= count; ++i) {
      uint32_t at = cluster->base + ((highest - cluster->base) / kStep + i) % count * kStep;
      if (!taken.contains(at)) return text_of(at);
    }
    return std::nullopt;
  }

  const Context& context_;
  const Lister& nodes_;
  uint32_t last_ = 0;  // Given last.
};

// A node that is gone may be what another waits for.
void nodes_without(const Change& change, const Context& context, Keys& out) {
  self(change, context, out);
  if (change.after != nullptr) return;
  for (const ObjectPtr& node : context.lister("nodes").list("")) {
    json::Document document = node->document();
    if (document.root()["spec"]["podCIDR"].as_string().empty()) {
      out.push_back({"", std::string(node->name())});
    }
  }
}

constexpr Watch kWatches[] = {{.resource = "nodes", .map = &nodes_without}};

}  // namespace

constinit const ControllerSpec kNodeIpam = {
    .name = "node-controller",
    .watches = kWatches,
    .make = &make<NodeIpam>,
};

}  // namespace wherry::controller
