// wherry server: builds the objects, owns them, waits for a signal, stops them.

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "apiserver/admission_config.h"
#include "base/log.h"
#include "base/strings.h"
#include "cluster/node_address.h"
#include "commands.h"
#include "daemon.h"
#include "identities.h"
#include "os/file.h"
#include "server_parts.h"
#include "version.h"

namespace wherry::command {
namespace {

// The n-th address of a range such as 10.43.0.0/16.
Result<std::string> nth_address(const std::string& cidr, uint32_t n) {
  auto parts = split_once(cidr, "/");
  auto bytes = parts ? split(parts->first, '.') : std::vector<std::string_view>();
  if (bytes.size() != 4)
    return Error::invalid("\"{}\" is no IPv4 range such as 10.43.0.0/16", cidr);
  uint32_t address = 0;
  for (std::string_view byte : bytes) {
    auto value = parse_uint(byte);
    if (!value || *value > 255) return Error::invalid("\"{}\" is no IPv4 range", cidr);
    address = address << 8 | static_cast<uint32_t>(*value);
  }
  address += n;
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 255, address >> 8 & 255,
                     address & 255);
}

Result<void> complete(ServerFlags& flags) {
  if (flags.node_name.empty()) flags.node_name = cluster::detect_node_name();
  if (flags.node_ip.empty()) flags.node_ip = cluster::detect_node_ip();
  if (flags.cluster_dns.empty()) flags.cluster_dns = TRY(nth_address(flags.service_cidr, 10));
  if (flags.https_listen_port < 0 || flags.https_listen_port > 65535) {
    return Error::invalid("--https-listen-port {} is no port", flags.https_listen_port);
  }
  if (flags.write_kubeconfig.empty()) {
    flags.write_kubeconfig =
        geteuid() == 0 ? "/etc/wherry/wherry.yaml" : flags.data_dir + "/server/wherry.yaml";
  }
  return {};
}

bool is_ip(const std::string& name) {
  return !name.empty() && name.find_first_not_of("0123456789.") == std::string::npos;
}

std::string parent_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

int fail(const Error& error) {
  std::fprintf(stderr, "wherry server: %s\n", error.message().c_str());
  return 1;
}

Result<apiserver::AdmissionSettings> admission_of(const ServerFlags& flags) {
  apiserver::AdmissionSettings out;
  out.enabled = flags.enable_admission_plugins;
  out.disabled = flags.disable_admission_plugins;
  TRY(out.check());
  const std::string& path = flags.admission_control_config_file;
  if (!path.empty()) TRY(apiserver::read_admission_config(path, out));
  return out;
}

std::shared_ptr<const http::TlsCredentials> tls_of(const cluster::Credentials& from) {
  auto tls = std::make_shared<http::TlsCredentials>();
  tls->certificate_chain_pem = from.serving.certificate_pem;
  tls->key_pem = from.serving.key_pem;
  tls->client_ca_pem = from.client_ca_pem;
  return tls;
}

}  // namespace

// Connections that are open keep what they have; the next ones get the new certificates.
void ServerParts::use_renewed(const cluster::Credentials& fresh) {
  Result<void> used = api_->set_credentials(tls_of(fresh));
  if (used.ok()) used = write_kubeconfig(fresh);
  Result<std::string> token = cluster::prepare_token(token_path(), {}, fresh.server_ca_pem);
  if (used.ok() && !token.ok()) used = std::move(token).error();
  api_->set_token_keys(fresh.service_keys);
  controllers_->facts_changed();
  if (!used.ok()) log::error("renewed certificates: {}", used.error().message());
}

client::Client& LocalClients::client_for(std::string_view controller) {
  clients_.push_back(server_.local_client(
      apiserver::component_user("system:serviceaccount:kube-system:" + std::string(controller))));
  return *clients_.back();
}

cluster::CredentialSpec ServerParts::credential_spec() const {
  cluster::CredentialSpec spec;
  spec.directory = flags_.data_dir + "/server/tls";
  spec.cluster_domain = flags_.cluster_domain;
  spec.dns_names.push_back(flags_.node_name);
  spec.ip_addresses.push_back(flags_.node_ip);
  spec.ip_addresses.push_back(nth_address(flags_.service_cidr, 1).value());
  for (const std::string& name : flags_.tls_san) {
    (is_ip(name) ? spec.ip_addresses : spec.dns_names).push_back(name);
  }
  return spec;
}

Result<void> ServerParts::open_store() {
  std::string folder = flags_.data_dir + "/server/db";
  TRY(os::make_directories(folder, 0700));
  store::Options options;
  options.path = folder + "/state.db";
  options.lazy = {"events", "leases.coordination.k8s.io"};
  cluster::SecretsEncryption::Opened opened =
      TRY(cluster::SecretsEncryption::open_store(flags_.data_dir, std::move(options), clock_));
  store_ = std::move(opened.store);
  secrets_ = std::move(opened.encryption);
  return {};
}

// Both flags or none: a policy without a place to write to would audit nothing, in silence.
Result<void> ServerParts::start_audit() {
  if (flags_.audit_policy_file.empty() && flags_.audit_log_path.empty()) return {};
  if (flags_.audit_policy_file.empty() || flags_.audit_log_path.empty()) {
    return Error::invalid("--audit-policy-file and --audit-log-path go together");
  }
  if (flags_.audit_log_maxsize < 1 || flags_.audit_log_maxbackup < 0) {
    return Error::invalid("--audit-log-maxsize is at least 1, --audit-log-maxbackup at least 0");
  }
  std::string text = TRY(os::read_file(flags_.audit_policy_file));
  Result<apiserver::AuditPolicy> policy = apiserver::AuditPolicy::parse(text);
  if (!policy.ok()) return std::move(policy).error().with_prefix(flags_.audit_policy_file);
  apiserver::AuditLog::Options options;
  options.path = flags_.audit_log_path;
  options.bytes_max = static_cast<uint64_t>(flags_.audit_log_maxsize) << 20;
  options.backups_max = flags_.audit_log_maxbackup;
  audit_log_ = std::make_unique<apiserver::AuditLog>(std::move(options), clock_);
  TRY(audit_log_->start());
  auditor_ = std::make_unique<apiserver::Auditor>(std::move(policy).value(), *audit_log_, clock_);
  return {};
}

Result<void> ServerParts::start_api() {
  TRY(start_audit());
  apiserver::ApiServer::Options options;
  options.store = store_.get();
  options.clock = &clock_;
  options.nodes = &nodes_;
  options.pages = join_pages(join_, tunnels_);
  options.auditor = auditor_.get();
  options.listen = {fmt::format("{}:{}", flags_.bind_address, flags_.https_listen_port)};
  options.tls = tls_of(*credentials_);
  options.token_keys = credentials_->service_keys;
  TRY(set_identities(flags_, options));
  options.admission = TRY(admission_of(flags_));
  options.token_issuer = fmt::format("https://kubernetes.default.svc.{}", flags_.cluster_domain);
  options.service_cidr = flags_.service_cidr;
  options.advertise_address = flags_.node_ip;
  api_ = std::make_unique<apiserver::ApiServer>(std::move(options));
  TRY(api_->prepare());
  join_client_ = api_->local_client(apiserver::component_user("system:wherry-join"));
  cluster::JoinServer::Options join{
      token_,
      [this] { return certificates_->root_ca_pem(); },
      [this] { return certificates_->client_authority(); },
      {flags_.cluster_cidr, flags_.service_cidr, flags_.cluster_dns, flags_.cluster_domain}};
  join_ = std::make_unique<cluster::JoinServer>(
      TRY(cluster::JoinServer::make(std::move(join), *join_client_, clock_)));
  return {};
}

Result<void> ServerParts::start_components() {
  cache_ = api_->cache();
  clients_ = std::make_unique<LocalClients>(*api_);
  scheduler_client_ = api_->local_client(apiserver::component_user("system:kube-scheduler"));
  controllers_ = std::make_unique<controller::Controllers>(
      controller::all_controllers(), *clients_, *cache_, clock_,
      controller::ClusterFacts{
          .root_ca_pem = [this] { return certificates_->root_ca_pem(); },
          .cluster_cidr = flags_.cluster_cidr,
          .client_authority = [this] { return certificates_->client_authority(); },
          .serving_authority = [this] { return certificates_->serving_authority(); },
          .legacy_token =
              [this](std::string_view ns, std::string_view name, std::string_view uid,
                     std::string_view secret) {
                return api_->issue_legacy_token(
                    {std::string(ns), std::string(name), std::string(uid)}, secret);
              }});
  scheduler_ = std::make_unique<scheduler::Scheduler>(*scheduler_client_, *cache_, clock_);
  if (!flags_.disable_agent) {
    NodeParts::Role role;
    role.control_plane = true;
    role.pod_cidr = first_slice(flags_.cluster_cidr);
    role.dns =
        std::find(flags_.disable.begin(), flags_.disable.end(), "dns") == flags_.disable.end();
    node_client_ = api_->local_client(apiserver::component_user("system:node:" + flags_.node_name));
    node_ = TRY(NodeParts::make(flags_, role, *node_client_, *cache_, clock_));
  }
  TRY(cache_->start());
  controllers_->start();
  scheduler_->start();
  if (node_ != nullptr) {
    TRY(node_->start());
    local_node_.set(flags_.node_name, &node_->api());
  }
  return {};
}

Result<void> ServerParts::write_kubeconfig(const cluster::Credentials& from) {
  unsigned mode = 0;
  for (char digit : flags_.write_kubeconfig_mode) {
    if (digit < '0' || digit > '7') {
      return Error::invalid("--write-kubeconfig-mode {} is no octal mode",
                            flags_.write_kubeconfig_mode);
    }
    mode = mode * 8 + static_cast<unsigned>(digit - '0');
  }
  std::string host = flags_.bind_address == "0.0.0.0" ? "127.0.0.1" : flags_.bind_address;
  std::string text = cluster::kubeconfig(fmt::format("https://{}:{}", host, api_->port()),
                                         from.server_ca_pem, from.admin);
  Result<std::string> there = os::read_file(flags_.write_kubeconfig);
  if (there.ok() && *there == text) return {};
  TRY(os::make_directories(parent_of(flags_.write_kubeconfig), 0755));
  return os::write_file_atomic(flags_.write_kubeconfig, text, mode);
}

Result<void> ServerParts::start() {
  TRY(complete(flags_));
  lock_ = TRY(lock_data_dir(flags_.data_dir));
  credentials_ = std::make_unique<cluster::Credentials>(
      TRY(cluster::prepare_credentials(credential_spec(), clock_)));
  token_ = TRY(cluster::prepare_token(token_path(), flags_.token, credentials_->server_ca_pem));
  certificates_ = std::make_unique<cluster::CertificateKeeper>(
      credential_spec(), *credentials_, clock_,
      [this](const cluster::Credentials& fresh) { use_renewed(fresh); });
  TRY(open_store());
  TRY(start_api());
  TRY(api_->start());
  TRY(write_kubeconfig(*credentials_));
  TRY(start_components());
  TRY(certificates_->start());  // From here on renewed ones reach all of the above.
  control_door_ = make_control_door({*secrets_, *certificates_}, flags_.data_dir);
  TRY(control_door_->start());
  log::info("wherry {} serves on port {}; kubeconfig: {}", version(), api_->port(),
            flags_.write_kubeconfig);
  return {};
}

ServerParts::~ServerParts() {
  control_door_.reset();
  if (certificates_ != nullptr) certificates_->stop();
  local_node_.set({}, nullptr);
  tunnels_.stop();
  if (api_ != nullptr) api_->stop();
  if (scheduler_ != nullptr) scheduler_->stop();
  if (controllers_ != nullptr) controllers_->stop();
  node_.reset();
  if (cache_ != nullptr) cache_->stop();
  unlock_data_dir(lock_);
}

int run_server(int argc, const char* const* argv) {
  Result<ServerFlags> flags = parse_flags(Role::kServer, argc, argv);
  if (!flags.ok() && flags.error().is(Code::kNotFound)) {
    std::puts(flags.error().message().c_str());
    return 0;
  }
  if (!flags.ok()) return fail(flags.error());
  Result<Daemon> daemon = Daemon::begin(flags->log_level);
  if (!daemon.ok()) return fail(daemon.error());
  ServerParts parts(std::move(*flags));
  Result<void> started = parts.start();
  if (!started.ok()) return fail(started.error());
  Result<void> waited = daemon->wait_for_signal();
  return waited.ok() ? 0 : fail(waited.error());
}

}  // namespace wherry::command
