#include "agent/pod_files.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::agent {
namespace {

std::string alias_lines(const Pod& pod) {
  std::string out;
  json::Value aliases = pod.spec()["hostAliases"];
  if (aliases.empty()) return out;
  out += "\n# Entries added by HostAliases.\n";
  for (json::Value alias : aliases.items()) {
    out += alias["ip"].as_string();
    for (json::Value name : alias["hostnames"].items()) {
      out += '\t';
      out += name.as_string();
    }
    out += '\n';
  }
  return out;
}

struct ResolvConf {
  std::vector<std::string> nameservers, searches, options;
};

void add_unique(std::vector<std::string>* list, std::string_view text) {
  if (std::find(list->begin(), list->end(), text) == list->end()) list->emplace_back(text);
}

ResolvConf parse_resolv_conf(std::string_view text) {
  ResolvConf conf;
  for (std::string_view line : split(text, '\n')) {
    std::string plain = replace_all(trim(line.substr(0, line.find_first_of("#;"))), "\t", " ");
    std::vector<std::string> words;
    for (std::string_view word : split(plain, ' ')) {
      if (!word.empty()) words.emplace_back(word);
    }
    if (words.size() < 2) continue;
    if (words[0] == "nameserver") conf.nameservers.push_back(words[1]);
    if (words[0] == "search" || words[0] == "domain") {
      conf.searches.assign(words.begin() + 1, words.end());  // The last line wins.
    }
    if (words[0] == "options") conf.options.assign(words.begin() + 1, words.end());
  }
  return conf;
}

void add_options(json::Value wanted, std::vector<std::string>* options) {
  for (json::Value option : wanted.items()) {
    std::string name(option["name"].as_string());
    std::string text = name;
    if (option["value"]) text += ":" + std::string(option["value"].as_string());
    // The pod's own setting replaces one of the same name.
    std::erase_if(*options, [&](const std::string& old) {
      return old == name || old.starts_with(name + ":");
    });
    options->push_back(text);
  }
}

}  // namespace

std::string fully_qualified_name(const Pod& pod, std::string_view cluster_domain) {
  std::string_view subdomain = pod.spec()["subdomain"].as_string();
  if (subdomain.empty() || !pod.spec()["hostnameOverride"].as_string().empty()) return {};
  return pod.hostname() + "." + std::string(subdomain) + "." + pod.ns() + ".svc." +
         std::string(cluster_domain);
}

std::string hosts_file(const Pod& pod, const std::vector<std::string>& pod_ips,
                       std::string_view cluster_domain) {
  std::string out =
      "# Kubernetes-managed hosts file.\n"
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::0\tip6-localnet\n"
      "fe00::0\tip6-mcastprefix\n"
      "fe00::1\tip6-allnodes\n"
      "fe00::2\tip6-allrouters\n";
  std::string full = fully_qualified_name(pod, cluster_domain);
  for (const std::string& ip : pod_ips) {
    out += ip + "\t";
    if (!full.empty()) out += full + "\t";
    out += pod.hostname() + "\n";
  }
  return out + alias_lines(pod);
}

std::string host_network_hosts_file(const Pod& pod, std::string_view host_file) {
  return "# Kubernetes-managed hosts file (host network).\n" + std::string(host_file) +
         alias_lines(pod);
}

std::string resolv_conf(const Pod& pod, const DnsOptions& dns) {
  std::string policy(pod.spec()["dnsPolicy"].as_string("ClusterFirst"));
  if (policy == "ClusterFirst" && pod.host_network()) policy = "Default";
  if (policy == "ClusterFirstWithHostNet") policy = "ClusterFirst";
  // Without a cluster DNS address the host's resolvers are the best there is.
  if (policy == "ClusterFirst" && dns.cluster_dns.empty()) policy = "Default";

  ResolvConf conf;
  ResolvConf host = parse_resolv_conf(dns.host_resolv_conf);
  if (policy == "Default") conf = host;
  if (policy == "ClusterFirst") {
    conf.nameservers = dns.cluster_dns;
    conf.searches = {pod.ns() + ".svc." + dns.cluster_domain, "svc." + dns.cluster_domain,
                     dns.cluster_domain};
    for (const std::string& search : host.searches) add_unique(&conf.searches, search);
    conf.options = {"ndots:5"};
  }
  json::Value own = pod.spec()["dnsConfig"];
  for (json::Value server : own["nameservers"].items()) {
    add_unique(&conf.nameservers, server.as_string());
  }
  for (json::Value search : own["searches"].items()) add_unique(&conf.searches, search.as_string());
  add_options(own["options"], &conf.options);

  // Limits of the C library's resolver, as upstream keeps them: 3 servers, 32 search domains.
  if (conf.nameservers.size() > 3) conf.nameservers.resize(3);
  if (conf.searches.size() > 32) conf.searches.resize(32);
  std::string out;
  if (!conf.searches.empty()) out += "search " + join(conf.searches, " ") + "\n";
  for (const std::string& server : conf.nameservers) out += "nameserver " + server + "\n";
  if (!conf.options.empty()) out += "options " + join(conf.options, " ") + "\n";
  return out;
}

}  // namespace wherry::agent
