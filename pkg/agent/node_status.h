#pragma once
// The Node object of this machine: capacity, conditions, addresses, what runs on it. The facts are
// read from the machine by read_node_facts; the rest is pure.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/resources.h"
#include "base/clock.h"
#include "base/result.h"
#include "container/image.h"
#include "json/json.h"

namespace wherry::agent {

struct NodeFacts {
  // Of the configuration.
  std::string name, ip, pod_cidr;
  bool control_plane = false;
  std::map<std::string, std::string> labels;  // Asked for by flags.
  std::string kubelet_version = "v1.36.3+wherry";
  std::string runtime_version = "runc://unknown";
  // Of the machine.
  std::string hostname, machine_id, system_uuid, boot_id, kernel_version, os_image, architecture;
  int64_t cpu_count = 1;
  int64_t memory_bytes = 0;
  int64_t swap_bytes = 0;
  int64_t disk_bytes = 0;
  std::map<std::string, int64_t> hugepages;  // "hugepages-2Mi" to bytes.
  bool memory_pressure = false, disk_pressure = false, pid_pressure = false;
  std::string not_ready;  // Why not; empty when ready.
};

// Fills the machine's part; `data_dir` is where images and volumes lie.
void read_node_facts(const std::string& data_dir, NodeFacts* facts);

NodeResources allocatable_of(const NodeFacts& facts);
// A Node to create: labels, podCIDR and no status.
json::Draft node_object(const NodeFacts& facts);
// The status this agent answers for, without heartbeat times.
json::Draft node_status(const NodeFacts& facts, const std::vector<container::Image>& images);
// A strategic merge patch of the node's status, or an absent root when nothing has changed and no
// heartbeat is due. Resources that clients have added to capacity survive, since only ours are
// named.
json::Draft node_status_patch(json::Value node, json::Value wanted, Time now, bool heartbeat);
// A merge patch of labels and podCIDR; absent root when they are as they should be.
json::Draft node_metadata_patch(json::Value node, const NodeFacts& facts);

// coordination.k8s.io/v1 Lease of the node.
json::Draft node_lease(std::string_view node_name, std::string_view node_uid, Time now);

}  // namespace wherry::agent
