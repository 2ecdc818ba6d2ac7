#pragma once
// Flags of `wherry server` and `wherry agent`: one row each (name, help, field), read from the
// command line, then WHERRY_* of the environment, then the YAML file of --config, then the default.

#include <string>
#include <vector>

#include "base/result.h"

namespace wherry::command {

struct ServerFlags {
  std::string data_dir = "/var/lib/wherry";
  std::string config;
  int https_listen_port = 6443;
  std::string bind_address = "0.0.0.0";
  std::string write_kubeconfig;  // Empty: /etc/wherry/wherry.yaml for root, else below data_dir.
  std::string write_kubeconfig_mode = "600";
  std::string cluster_cidr = "10.42.0.0/16";
  std::string service_cidr = "10.43.0.0/16";
  std::string cluster_dns;  // Empty: the tenth address of service_cidr.
  std::string cluster_domain = "cluster.local";
  std::string node_name;  // Empty: the host's name.
  std::string node_ip;    // Empty: that of the default route.
  std::string token;
  std::string token_auth_file;
  std::string oidc_issuer_url;
  std::string oidc_client_id;
  std::string oidc_username_claim = "sub";
  std::string oidc_username_prefix;
  std::string oidc_groups_claim;
  std::string oidc_groups_prefix;
  std::string oidc_ca_file;
  std::vector<std::string> oidc_required_claim;
  std::vector<std::string> oidc_signing_algs{"RS256"};
  std::string requestheader_client_ca_file;
  std::vector<std::string> requestheader_allowed_names;
  std::vector<std::string> requestheader_username_headers{"X-Remote-User"};
  std::vector<std::string> requestheader_uid_headers{"X-Remote-Uid"};
  std::vector<std::string> requestheader_group_headers{"X-Remote-Group"};
  std::vector<std::string> requestheader_extra_headers_prefix{"X-Remote-Extra-"};
  std::vector<std::string> enable_admission_plugins;
  std::vector<std::string> disable_admission_plugins;
  std::string admission_control_config_file;
  std::string audit_policy_file;
  std::string audit_log_path;
  int audit_log_maxsize = 100;
  int audit_log_maxbackup = 10;
  std::string server;  // Agent: URL of the server to join.
  std::vector<std::string> tls_san;
  std::vector<std::string> disable;
  std::vector<std::string> node_label;
  std::vector<std::string> node_taint;
  bool disable_agent = false;
  std::string default_runtime = "runc";
  std::string log_level = "info";
  std::string service_node_port_range = "30000-32767";
};

enum class Role { kServer, kAgent };

// kInvalid with what to change; kNotFound with the help text as message when --help was asked for.
Result<ServerFlags> parse_flags(Role role, int argc, const char* const* argv);

}  // namespace wherry::command
