#include "flags.h"

#include <CLI/CLI.hpp>
#include <set>
#include <variant>

#include "base/strings.h"
#include "json/yaml.h"
#include "os/fd.h"

namespace wherry::command {
namespace {

using Target = std::variant<std::string ServerFlags::*, int ServerFlags::*, bool ServerFlags::*,
                            std::vector<std::string> ServerFlags::*>;

struct Row {
  const char* name;
  Target field;
  bool server, agent;
  const char* help;
};

const Row kRows[] = {
    {"data-dir", &ServerFlags::data_dir, true, true, "Folder that holds all state"},
    {"config", &ServerFlags::config, true, true, "YAML file with these flags as keys"},
    {"https-listen-port", &ServerFlags::https_listen_port, true, false, "Port of the API server"},
    {"bind-address", &ServerFlags::bind_address, true, false, "Address the API server listens on"},
    {"write-kubeconfig", &ServerFlags::write_kubeconfig, true, false,
     "Where the administrator's kubeconfig goes (/etc/wherry/wherry.yaml)"},
    {"write-kubeconfig-mode", &ServerFlags::write_kubeconfig_mode, true, false,
     "Mode of that file, octal"},
    {"cluster-cidr", &ServerFlags::cluster_cidr, true, false, "Addresses of pods"},
    {"service-cidr", &ServerFlags::service_cidr, true, false, "Addresses of Services"},
    {"service-node-port-range", &ServerFlags::service_node_port_range, true, false,
     "Ports for Services of type NodePort"},
    {"cluster-dns", &ServerFlags::cluster_dns, true, false, "Address of the cluster's DNS Service"},
    {"cluster-domain", &ServerFlags::cluster_domain, true, false, "DNS domain of the cluster"},
    {"tls-san", &ServerFlags::tls_san, true, false,
     "Further names or addresses for the server's certificate"},
    {"disable", &ServerFlags::disable, true, false, "Built-in parts to leave out"},
    {"disable-agent", &ServerFlags::disable_agent, true, false,
     "Control plane only: run no pods here"},
    {"server", &ServerFlags::server, false, true, "URL of the server to join (WHERRY_URL too)"},
    {"token", &ServerFlags::token, true, true, "Secret that agents join with"},
    {"enable-admission-plugins", &ServerFlags::enable_admission_plugins, true, false,
     "Admission plugins that run beside the usual ones, by upstream's names: AlwaysPullImages, "
     "DenyServiceExternalIPs, ExtendedResourceToleration, OwnerReferencesPermissionEnforcement"},
    {"disable-admission-plugins", &ServerFlags::disable_admission_plugins, true, false,
     "Admission plugins that do not run although they usually do"},
    {"admission-control-config-file", &ServerFlags::admission_control_config_file, true, false,
     "AdmissionConfiguration of apiserver.config.k8s.io/v1: settings of PodSecurity and "
     "ResourceQuota"},
    {"audit-policy-file", &ServerFlags::audit_policy_file, true, false,
     "audit.k8s.io/v1 Policy: what is audited"},
    {"audit-log-path", &ServerFlags::audit_log_path, true, false,
     "Where audit events go, - for standard output"},
    {"audit-log-maxsize", &ServerFlags::audit_log_maxsize, true, false,
     "Megabytes after which that file is rotated"},
    {"audit-log-maxbackup", &ServerFlags::audit_log_maxbackup, true, false,
     "How many rotated files are kept; 0: all"},
    {"token-auth-file", &ServerFlags::token_auth_file, true, false,
     "File of static tokens: token,user,uid,\"group1,group2\" a line"},
    {"oidc-issuer-url", &ServerFlags::oidc_issuer_url, true, false,
     "URL of an OpenID provider whose ID tokens are taken"},
    {"oidc-client-id", &ServerFlags::oidc_client_id, true, false,
     "The audience that its tokens must have"},
    {"oidc-username-claim", &ServerFlags::oidc_username_claim, true, false,
     "The claim that is the user's name"},
    {"oidc-username-prefix", &ServerFlags::oidc_username_prefix, true, false,
     "Before that name; - for nothing (the issuer and #, nothing before an email)"},
    {"oidc-groups-claim", &ServerFlags::oidc_groups_claim, true, false,
     "The claim that is the user's groups"},
    {"oidc-groups-prefix", &ServerFlags::oidc_groups_prefix, true, false,
     "Before each of these groups"},
    {"oidc-ca-file", &ServerFlags::oidc_ca_file, true, false,
     "Authorities for the provider's certificate (the system's)"},
    {"oidc-required-claim", &ServerFlags::oidc_required_claim, true, false,
     "key=value that tokens must have"},
    {"oidc-signing-algs", &ServerFlags::oidc_signing_algs, true, false,
     "Algorithms that tokens may be signed with: RS256, ES256 (RS256)"},
    {"requestheader-client-ca-file", &ServerFlags::requestheader_client_ca_file, true, false,
     "Authorities for certificates of proxies that speak for others"},
    {"requestheader-allowed-names", &ServerFlags::requestheader_allowed_names, true, false,
     "Common names of these certificates (any)"},
    {"requestheader-username-headers", &ServerFlags::requestheader_username_headers, true, false,
     "Where a proxy says the user's name (X-Remote-User)"},
    {"requestheader-uid-headers", &ServerFlags::requestheader_uid_headers, true, false,
     "... the user's uid (X-Remote-Uid)"},
    {"requestheader-group-headers", &ServerFlags::requestheader_group_headers, true, false,
     "... a group (X-Remote-Group)"},
    {"requestheader-extra-headers-prefix", &ServerFlags::requestheader_extra_headers_prefix, true,
     false, "... more of the user, by header (X-Remote-Extra-)"},
    {"node-name", &ServerFlags::node_name, true, true, "Name of this node (the host's name)"},
    {"node-ip", &ServerFlags::node_ip, true, true, "Address of this node"},
    {"node-label", &ServerFlags::node_label, true, true, "Labels for this node, key=value"},
    {"node-taint", &ServerFlags::node_taint, true, true, "Taints for this node, key=value:Effect"},
    {"default-runtime", &ServerFlags::default_runtime, true, true,
     "Container runtime: runc or crun"},
    {"log-level", &ServerFlags::log_level, true, true, "trace, debug, info, warn, error or off"},
};

std::string environment_name(const Row& row) {
  return "WHERRY_" + replace_all(to_upper(row.name), "-", "_");
}

bool wanted(const Row& row, Role role) { return role == Role::kServer ? row.server : row.agent; }

CLI::Option* add_option(CLI::App& app, const Row& row, ServerFlags& flags) {
  std::string name = std::string("--") + row.name;
  CLI::Option* option = std::visit(
      [&](auto field) -> CLI::Option* {
        auto& value = flags.*field;
        if constexpr (std::is_same_v<std::remove_reference_t<decltype(value)>, bool>) {
          return app.add_flag(name, value, row.help);
        } else if constexpr (std::is_same_v<std::remove_reference_t<decltype(value)>,
                                            std::vector<std::string>>) {
          return app.add_option(name, value, row.help)->delimiter(',')->allow_extra_args(false);
        } else {
          return app.add_option(name, value, row.help)->capture_default_str();
        }
      },
      row.field);
  return option->envname(environment_name(row));
}

Result<void> set_from_file(const Row& row, json::Value value, ServerFlags& flags) {
  auto wrong = [&row](std::string_view type) {
    return Error::invalid("config file: {} must be {}", row.name, type);
  };
  if (auto* text = std::get_if<0>(&row.field)) {
    if (value.is_object() || value.is_array()) return wrong("a string");
    flags.*(*text) = value.is_string() ? std::string(value.as_string()) : value.dump();
  } else if (auto* number = std::get_if<1>(&row.field)) {
    if (!value.is_int()) return wrong("a number");
    flags.*(*number) = static_cast<int>(value.as_int());
  } else if (auto* flag = std::get_if<2>(&row.field)) {
    if (!value.is_bool()) return wrong("true or false");
    flags.*(*flag) = value.as_bool();
  } else if (auto* list = std::get_if<3>(&row.field)) {
    auto& to = flags.*(*list);
    to.clear();
    if (value.is_string()) {
      for (std::string_view part : split(value.as_string(), ',')) to.emplace_back(trim(part));
    } else if (value.is_array()) {
      for (json::Value item : value.items()) to.emplace_back(item.as_string());
    } else {
      return wrong("a list");
    }
  }
  return {};
}

// Keys that were not given on the command line or in the environment.
Result<void> read_config(const std::string& path, Role role, const std::set<std::string>& given,
                         ServerFlags& flags) {
  std::string text = TRY(os::read_file(path));
  Result<json::Document> parsed = json::parse_yaml(text);
  if (!parsed.ok()) return std::move(parsed).error().with_prefix(path);
  for (auto [key, value] : parsed->root().members()) {
    const Row* found = nullptr;
    for (const Row& row : kRows) {
      if (wanted(row, role) && key == row.name) found = &row;
    }
    if (found == nullptr) {
      return Error::invalid("{}: unknown key \"{}\": the keys are the flags of --help", path, key);
    }
    if (!given.contains(found->name)) TRY(set_from_file(*found, value, flags));
  }
  return {};
}

}  // namespace

Result<ServerFlags> parse_flags(Role role, int argc, const char* const* argv) {
  ServerFlags flags;
  const char* name = role == Role::kServer ? "wherry server" : "wherry agent";
  CLI::App app(role == Role::kServer ? "Runs the control plane, and pods on this machine"
                                     : "Joins this machine to a server",
               name);
  std::vector<std::pair<const Row*, CLI::Option*>> options;
  for (const Row& row : kRows) {
    if (wanted(row, role)) options.emplace_back(&row, add_option(app, row, flags));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Error::not_found("{}", app.help());
  } catch (const CLI::ParseError& error) {
    return Error::invalid("{} (see {} --help)", error.what(), name);
  }
  if (!flags.config.empty()) {
    std::set<std::string> given;
    for (auto [row, option] : options) {
      if (option->count() > 0) given.insert(row->name);
    }
    TRY(read_config(flags.config, role, given, flags));
  }
  return flags;
}

}  // namespace wherry::command
