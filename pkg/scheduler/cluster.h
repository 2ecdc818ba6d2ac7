#pragma once
// Cluster: the scheduler's own picture of nodes and the pods on them, pods assumed to be there
// included. One thread, the scheduler's.

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/strings.h"
#include "client/client.h"
#include "scheduler/pod_info.h"

namespace wherry::scheduler {

struct NodeInfo {
  api::ObjectPtr object;
  json::Document document;
  std::string name;
  Resources allocatable;
  Resources requested;
  std::map<std::string, PodPtr> pods;  // By UID.

  json::Value root() const { return document.root(); }
  json::Value spec() const { return document.root()["spec"]; }
  json::Value labels() const { return document.root()["metadata"]["labels"]; }
  // Absent when the node has no such label.
  std::optional<std::string_view> label(std::string_view key) const;
  void add(const PodPtr& pod);
  void remove(const std::string& uid);
};

class Cluster {
 public:
  // `namespaces` answers namespaceSelector of affinity terms.
  explicit Cluster(const client::Lister& namespaces) : namespaces_(namespaces) {}

  void put_node(const api::ObjectPtr& node);
  void remove_node(std::string_view name);
  void put_pod(const PodPtr& pod);  // Takes the place of the one with that UID.
  void remove_pod(const std::string& uid);

  const std::map<std::string, NodeInfo>& nodes() const { return nodes_; }
  const client::Lister& namespaces() const { return namespaces_; }
  bool has_pod(const std::string& uid) const { return pod_nodes_.contains(uid); }

 private:
  const client::Lister& namespaces_;
  // A node that pods name but that does not exist (any more) has no object.
  std::map<std::string, NodeInfo> nodes_;
  std::unordered_map<std::string, std::string> pod_nodes_;  // UID -> node.
};

}  // namespace wherry::scheduler
