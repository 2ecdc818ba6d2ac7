#pragma once
// Contents of the small files that every container finds: /etc/hosts, /etc/hostname,
// /etc/resolv.conf. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "agent/pod.h"

namespace wherry::agent {

struct DnsOptions {
  std::vector<std::string> cluster_dns;  // Addresses; empty when there is no cluster DNS.
  std::string cluster_domain = "cluster.local";
  std::string host_resolv_conf;  // Content of the host's file.
};

// "web-0.web.default.svc.cluster.local"; empty when the pod has no subdomain.
std::string fully_qualified_name(const Pod& pod, std::string_view cluster_domain);
std::string hosts_file(const Pod& pod, const std::vector<std::string>& pod_ips,
                       std::string_view cluster_domain);
// For hostNetwork pods: the host's own file plus the pod's hostAliases.
std::string host_network_hosts_file(const Pod& pod, std::string_view host_file);
std::string resolv_conf(const Pod& pod, const DnsOptions& dns);

}  // namespace wherry::agent
