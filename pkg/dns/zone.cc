#include "dns/zone.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::dns {
namespace {

constexpr std::string_view kServiceName = "kubernetes.io/service-name";
constexpr std::string_view kReverse = ".in-addr.arpa";

std::string dashed(std::string_view ip) { return replace_all(ip, ".", "-"); }

std::string endpoint_label(json::Value endpoint) {
  std::string_view hostname = endpoint["hostname"].as_string();
  if (!hostname.empty()) return std::string(hostname);
  return dashed(endpoint["addresses"].at(0).as_string());
}

bool wants(uint16_t asked, uint16_t type) { return asked == type || asked == kTypeAny; }

// "_http" of a question matches a port of that name; an empty one matches every port.
bool port_matches(json::Value port, std::string_view name, std::string_view protocol) {
  if (!name.empty() && !equals_ignore_case(port["name"].as_string(), name.substr(1))) return false;
  return protocol.empty() ||
         equals_ignore_case(port["protocol"].as_string("TCP"), protocol.substr(1));
}

}  // namespace

// A question about a Service, taken apart: [endpoint.]svc.ns or [_port._proto.]svc.ns.
struct Zone::Names {
  const Question& question;
  std::string ns, service, endpoint, port, protocol;
  std::string base;  // "svc.ns.svc.cluster.local"
};

Zone::Zone(client::Cache& cache, std::string domain)
    : services_(cache.lister(api::resource("services"))),
      slices_(cache.lister(api::resource("endpointslices.discovery.k8s.io"))),
      namespaces_(cache.lister(api::resource("namespaces"))),
      domain_(std::move(domain)) {}

Record Zone::start_of_authority() const {
  std::string data = name_data("ns.dns." + domain_) + name_data("hostmaster." + domain_);
  for (uint32_t number : {1U, 7200U, 1800U, 86400U, 5U}) {
    for (int shift = 24; shift >= 0; shift -= 8) data += static_cast<char>(number >> shift & 255);
  }
  return {domain_, kTypeSoa, 5, data};
}

Answer Zone::missing() const {
  Answer answer;
  answer.code = kNameError;
  answer.authority.push_back(start_of_authority());
  return answer;
}

std::optional<Answer> Zone::answer(const Question& question) const {
  std::string name = to_lower(question.name);
  if (name.ends_with(kReverse)) return reverse(question);
  if (name != domain_ && !name.ends_with("." + domain_)) return std::nullopt;
  std::string_view rest = name;
  rest.remove_suffix(std::min(rest.size(), domain_.size() + (name == domain_ ? 0 : 1)));
  std::vector<std::string> labels;
  if (!rest.empty()) {
    for (std::string_view label : split(rest, '.')) labels.emplace_back(label);
  }
  Answer out;
  if (labels.empty()) {
    out.authority.push_back(start_of_authority());
    return out;
  }
  if (labels.size() == 1 && labels[0] == "dns-version") {
    if (wants(question.type, kTypeTxt)) {
      out.answers.push_back({question.name, kTypeTxt, 5, txt_data("1.1.0")});
    }
    return out;
  }
  if (labels.back() == "svc") return service(question, labels);
  if (labels.back() == "pod" && labels.size() == 3) {
    std::string data = a_data(replace_all(labels[0], "-", "."));
    if (data.empty() || namespaces_.find("", labels[1]) == nullptr) return missing();
    if (wants(question.type, kTypeA)) out.answers.push_back({question.name, kTypeA, 5, data});
    return out;
  }
  return missing();
}

Answer Zone::service(const Question& question, const std::vector<std::string>& labels) const {
  Answer out;
  size_t count = labels.size();
  if (count <= 2) {  // "svc" or "ns.svc": they exist, and hold nothing.
    bool exists = count == 1 || namespaces_.find("", labels[0]) != nullptr;
    if (!exists) return missing();
    out.authority.push_back(start_of_authority());
    return out;
  }
  Names names{question, labels[count - 2], labels[count - 3], {}, {}, {}, {}};
  names.base = fmt::format("{}.{}.svc.{}", names.service, names.ns, domain_);
  if (count == 4) names.endpoint = labels[0];
  if (count == 5) {
    names.port = labels[0];
    names.protocol = labels[1];
    if (!names.port.starts_with('_') || !names.protocol.starts_with('_')) return missing();
  }
  if (count > 5) return missing();
  api::ObjectPtr object = services_.find(names.ns, names.service);
  if (object == nullptr) return missing();
  json::Document document = object->document();
  json::Value spec = document.root()["spec"];
  if (spec["type"].as_string() == "ExternalName") {
    if (count != 3) return missing();
    std::string target(spec["externalName"].as_string());
    if (target.ends_with('.')) target.pop_back();
    out.answers.push_back({question.name, kTypeCname, 5, name_data(target)});
    return out;
  }
  bool headless = spec["clusterIP"].as_string() == "None";
  bool found = headless || !names.endpoint.empty() ? endpoints(names, headless, out)
                                                   : cluster_ip(names, spec, out);
  if (!found) return missing();
  if (out.answers.empty()) out.authority.push_back(start_of_authority());
  return out;
}

// A Service with an address of its own.
bool Zone::cluster_ip(const Names& names, json::Value spec, Answer& answer) const {
  std::string address = a_data(spec["clusterIP"].as_string());
  if (names.port.empty() && wants(names.question.type, kTypeA) && !address.empty()) {
    answer.answers.push_back({names.question.name, kTypeA, 5, address});
  }
  bool any_port = false;
  for (json::Value port : spec["ports"].items()) {
    if (!port_matches(port, names.port, names.protocol)) continue;
    any_port = true;
    if (!wants(names.question.type, kTypeSrv)) continue;
    auto number = static_cast<uint16_t>(port["port"].as_int());
    answer.answers.push_back({names.question.name, kTypeSrv, 5, srv_data(number, names.base)});
  }
  if (names.question.type == kTypeSrv && !answer.answers.empty() && !address.empty()) {
    answer.additional.push_back({names.base, kTypeA, 5, address});
  }
  return names.port.empty() || any_port;
}

// The endpoints themselves: of a headless Service all of them, else the one that is named.
bool Zone::endpoints(const Names& names, bool headless, Answer& answer) const {
  bool found = names.endpoint.empty() && names.port.empty() && headless;
  for (const api::ObjectPtr& slice : slices_.list(names.ns)) {
    if (slice->label(kServiceName) != names.service) continue;
    json::Document document = slice->document();
    for (json::Value endpoint : document.root()["endpoints"].items()) {
      json::Value ready = endpoint["conditions"]["ready"];
      if (ready && !ready.as_bool()) continue;
      std::string label = endpoint_label(endpoint);
      if (!names.endpoint.empty() && !equals_ignore_case(label, names.endpoint)) continue;
      std::string host = label + "." + names.base;
      std::string address = a_data(endpoint["addresses"].at(0).as_string());
      if (names.port.empty()) found = true;
      if (names.port.empty() && wants(names.question.type, kTypeA) && !address.empty()) {
        answer.answers.push_back({names.question.name, kTypeA, 5, address});
      }
      for (json::Value port : document.root()["ports"].items()) {
        if (!port_matches(port, names.port, names.protocol)) continue;
        found = true;
        if (!wants(names.question.type, kTypeSrv)) continue;
        auto number = static_cast<uint16_t>(port["port"].as_int());
        answer.answers.push_back({names.question.name, kTypeSrv, 5, srv_data(number, host)});
        if (!address.empty()) answer.additional.push_back({host, kTypeA, 5, address});
      }
    }
  }
  return found;
}

// Names of addresses: Services by their cluster IP, endpoints of headless Services by their own.
std::optional<Answer> Zone::reverse(const Question& question) const {
  std::string_view text = question.name;
  text.remove_suffix(kReverse.size());
  std::vector<std::string_view> parts = split(text, '.');
  if (parts.size() != 4) return std::nullopt;
  std::string ip = fmt::format("{}.{}.{}.{}", parts[3], parts[2], parts[1], parts[0]);
  Answer out;
  auto add = [&](std::string target) {
    if (wants(question.type, kTypePtr)) {
      out.answers.push_back({question.name, kTypePtr, 5, name_data(target)});
    }
    return out;
  };
  for (const api::ObjectPtr& service : services_.list("")) {
    json::Document document = service->document();
    if (document.root()["spec"]["clusterIP"].as_string() == ip) {
      return add(fmt::format("{}.{}.svc.{}", service->name(), service->ns(), domain_));
    }
  }
  for (const api::ObjectPtr& slice : slices_.list("")) {
    std::string_view name = slice->label(kServiceName);
    if (name.empty()) continue;
    json::Document document = slice->document();
    for (json::Value endpoint : document.root()["endpoints"].items()) {
      bool named = endpoint["addresses"].at(0).as_string() == ip &&
                   !endpoint["hostname"].as_string().empty();
      if (named) {
        return add(fmt::format("{}.{}.{}.svc.{}", endpoint["hostname"].as_string(), name,
                               slice->ns(), domain_));
      }
    }
  }
  return std::nullopt;
}

}  // namespace wherry::dns
