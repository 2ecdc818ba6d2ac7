#include "agent/node_keeper.h"

#include "api/resource.h"
#include "base/log.h"

namespace wherry::agent {
namespace {

constexpr Duration kRetry = std::chrono::seconds(1);
constexpr std::string_view kLeaseNamespace = "kube-node-lease";

}  // namespace

NodeKeeper::NodeKeeper(client::Client& client, const client::Lister& nodes, ImageSource& images,
                       EventSink& events, const Clock& clock, std::string data_dir, NodeFacts facts)
    : client_(client),
      nodes_(nodes),
      images_(images),
      events_(events),
      clock_(clock),
      data_dir_(std::move(data_dir)),
      facts_(std::move(facts)),
      node_name_(facts_.name) {}

Result<client::ObjectPtr> NodeKeeper::ensure_node() {
  client::ObjectPtr node = nodes_.find("", node_name_);
  if (node == nullptr) {
    json::Document wanted = node_object(facts_).freeze();
    Result<client::ObjectPtr> made = client_.create(api::resource("nodes"), "", wanted.root());
    if (!made.ok() && !made.error().is(Code::kAlreadyExists)) return made;
    node = made.ok() ? *made : TRY(client_.get(api::resource("nodes"), "", node_name_));
  }
  json::Document document = node->document();
  json::Draft patch = node_metadata_patch(document.root(), facts_);
  if (!patch.root().is_object()) return node;
  json::Document frozen = patch.freeze();
  return client_.patch(api::resource("nodes"), "", node_name_, client::PatchType::kMerge,
                       frozen.root(), {.field_manager = "kubelet"});
}

MonotonicTime NodeKeeper::keep_status() {
  MonotonicTime now = clock_.monotonic();
  read_node_facts(data_dir_, &facts_);
  Result<client::ObjectPtr> node = ensure_node();
  // Said once for as long as the server is away.
  if (!node.ok()) {
    if (!status_complaint_) log::warn("node {}: {}", node_name_, node.error().message());
    status_complaint_ = true;
    return now + kRetry;
  }
  status_complaint_ = false;
  json::Document document = (*node)->document();
  json::Document wanted = node_status(facts_, images_.list()).freeze();
  bool heartbeat = !last_heartbeat_ || now - *last_heartbeat_ >= kStatusEvery;
  json::Draft patch = node_status_patch(document.root(), wanted.root(), clock_.now(), heartbeat);
  if (patch.root().is_object()) {
    json::Document frozen = patch.freeze();
    client::PatchOptions options;
    options.subresource = "status";
    options.field_manager = "kubelet";
    Result<client::ObjectPtr> done =
        client_.patch(api::resource("nodes"), "", node_name_, client::PatchType::kStrategic,
                      frozen.root(), options);
    if (!done.ok()) {
      log::warn("status of node {}: {}", node_name_, done.error().message());
      return now + kRetry;
    }
    if (heartbeat) last_heartbeat_ = now;
  }
  if (!announced_) {
    announced_ = true;
    client::Reference about;
    about.api_version = "v1";
    about.kind = "Node";
    about.name = node_name_;
    about.uid = node_name_;  // As upstream: events of a node carry its name for a UID.
    events_.normal(about, "Starting", "Starting kubelet.");
    events_.normal(about, "NodeReady", "Node " + node_name_ + " status is now: NodeReady");
  }
  return now + kLookEvery;
}

Result<void> NodeKeeper::renew_lease() {
  const client::Resource& leases = api::resource("leases.coordination.k8s.io");
  if (lease_there_) {
    json::Draft patch;
    patch.root().ensure_object("spec").set("renewTime", format_micro_time(clock_.now()));
    json::Document frozen = patch.freeze();
    Result<client::ObjectPtr> done = client_.patch(leases, kLeaseNamespace, node_name_,
                                                   client::PatchType::kMerge, frozen.root(), {});
    if (done.ok() || !done.error().is(Code::kNotFound)) {
      if (!done.ok()) return std::move(done).error();
      return {};
    }
  }
  client::ObjectPtr node = nodes_.find("", node_name_);
  json::Document lease =
      node_lease(node_name_, node == nullptr ? std::string_view() : node->uid(), clock_.now())
          .freeze();
  Result<client::ObjectPtr> made = client_.create(leases, kLeaseNamespace, lease.root());
  lease_there_ = made.ok() || made.error().is(Code::kAlreadyExists);
  if (lease_there_) return {};
  return std::move(made).error();
}

MonotonicTime NodeKeeper::keep_lease() {
  Result<void> done = renew_lease();
  if (!done.ok() && !lease_complaint_) log::warn("node lease: {}", done.error().message());
  lease_complaint_ = !done.ok();
  return clock_.monotonic() + (done.ok() ? kLeaseEvery : kRetry);
}

}  // namespace wherry::agent
