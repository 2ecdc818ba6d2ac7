#include "apiserver/flow_config.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace wherry::apiserver {
namespace {

constexpr std::string_view kAccountPrefix = "system:serviceaccount:";

uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

unsigned share_of(double part, double percent) {
  return static_cast<unsigned>(std::lround(part * percent / 100));
}

}  // namespace

Words::Words(json::Value list) {
  for (json::Value word : list.items()) {
    if (word.as_string() == "*") all_ = true;
    words_.emplace_back(word.as_string());
  }
}

bool Words::has(std::string_view word) const {
  return all_ || std::find(words_.begin(), words_.end(), word) != words_.end();
}

bool Words::has_pair(std::string_view resource, std::string_view subresource) const {
  if (subresource.empty()) return has(resource);
  if (all_) return true;
  return std::any_of(words_.begin(), words_.end(), [&](std::string_view word) {
    return word.size() == resource.size() + 1 + subresource.size() && word.starts_with(resource) &&
           word[resource.size()] == '/' && word.ends_with(subresource);
  });
}

bool Words::has_path(std::string_view path) const {
  return all_ || std::any_of(words_.begin(), words_.end(), [&](std::string_view word) {
           if (word.ends_with('*')) return path.starts_with(word.substr(0, word.size() - 1));
           return path == word;
         });
}

bool FlowSubject::is(const User& user) const {
  switch (kind) {
    case Kind::kUser: return name == "*" || user.name == name;
    case Kind::kGroup: return name == "*" || user.in_group(name);
    case Kind::kServiceAccount: break;
  }
  std::string_view account = user.name;
  if (!account.starts_with(kAccountPrefix)) return false;
  account.remove_prefix(kAccountPrefix.size());
  size_t colon = account.find(':');
  if (colon == std::string_view::npos || account.substr(0, colon) != ns) return false;
  return name == "*" || account.substr(colon + 1) == name;
}

bool FlowRule::matches(const Attributes& asked) const {
  if (std::none_of(subjects.begin(), subjects.end(),
                   [&](const FlowSubject& subject) { return subject.is(asked.user); })) {
    return false;
  }
  if (!asked.is_resource) {
    return std::any_of(paths.begin(), paths.end(), [&](const Paths& rule) {
      return rule.verbs.has(asked.verb) && rule.paths.has_path(asked.path);
    });
  }
  return std::any_of(resources.begin(), resources.end(), [&](const Resources& rule) {
    return rule.verbs.has(asked.verb) && rule.groups.has(asked.group) &&
           rule.resources.has_pair(asked.resource, asked.subresource) &&
           (asked.ns.empty() ? rule.cluster_scope : rule.namespaces.has(asked.ns));
  });
}

bool FlowSchema::matches(const Attributes& asked) const {
  return std::any_of(rules.begin(), rules.end(),
                     [&](const FlowRule& rule) { return rule.matches(asked); });
}

uint64_t FlowSchema::flow(const Attributes& asked) const {
  size_t hash = std::hash<std::string_view>()(name);
  if (distinguisher == Distinguisher::kUser) {
    hash = mixed(hash) ^ std::hash<std::string_view>()(asked.user.name);
  } else if (distinguisher == Distinguisher::kNamespace) {
    hash = mixed(hash) ^ std::hash<std::string_view>()(asked.ns);
  }
  return mixed(hash);
}

FlowSchema parse_flow_schema(const api::Object& object) {
  json::Document document = object.document();
  json::Value spec = document.root()["spec"];
  FlowSchema out;
  out.name = object.name();
  out.uid = object.uid();
  out.precedence = spec["matchingPrecedence"].as_int();
  std::string_view method = spec["distinguisherMethod"]["type"].as_string();
  if (method == "ByUser") out.distinguisher = FlowSchema::Distinguisher::kUser;
  if (method == "ByNamespace") out.distinguisher = FlowSchema::Distinguisher::kNamespace;
  for (json::Value from : spec["rules"].items()) {
    FlowRule& rule = out.rules.emplace_back();
    for (json::Value subject : from["subjects"].items()) {
      std::string_view kind = subject["kind"].as_string();
      if (kind == "User") {  // tidy: allow(kind): of a subject
        rule.subjects.push_back(
            {FlowSubject::Kind::kUser, std::string(subject["user"]["name"].as_string()), {}});
      } else if (kind == "Group") {  // tidy: allow(kind): of a subject
        rule.subjects.push_back(
            {FlowSubject::Kind::kGroup, std::string(subject["group"]["name"].as_string()), {}});
      } else if (kind == "ServiceAccount") {  // tidy: allow(kind): of a subject
        json::Value account = subject["serviceAccount"];
        rule.subjects.push_back({FlowSubject::Kind::kServiceAccount,
                                 std::string(account["name"].as_string()),
                                 std::string(account["namespace"].as_string())});
      }
    }
    for (json::Value one : from["resourceRules"].items()) {
      rule.resources.push_back({Words(one["verbs"]), Words(one["apiGroups"]),
                                Words(one["resources"]), Words(one["namespaces"]),
                                one["clusterScope"].as_bool()});
    }
    for (json::Value one : from["nonResourceRules"].items()) {
      rule.paths.push_back({Words(one["verbs"]), Words(one["nonResourceURLs"])});
    }
  }
  return out;
}

std::string_view level_name(json::Value flow_schema) {
  return flow_schema["spec"]["priorityLevelConfiguration"]["name"].as_string();
}

double shares_of(json::Value level) {
  json::Value spec = level["spec"];
  bool exempt = spec["type"].as_string() == "Exempt";
  return static_cast<double>(
      spec[exempt ? "exempt" : "limited"]["nominalConcurrencyShares"].as_int());
}

FlowLimits parse_limits(json::Value level, double shares, unsigned server_seats) {
  json::Value limited = level["spec"]["limited"];
  FlowLimits out;
  double part = shares > 0 ? server_seats * shares_of(level) / shares : 0;
  out.seats = static_cast<unsigned>(std::ceil(part));
  out.lendable = share_of(out.seats, static_cast<double>(limited["lendablePercent"].as_int()));
  if (json::Value percent = limited["borrowingLimitPercent"]) {
    out.borrowable = share_of(out.seats, static_cast<double>(percent.as_int()));
  }
  json::Value queuing = limited["limitResponse"]["queuing"];
  out.queues_up = limited["limitResponse"]["type"].as_string() == "Queue";
  auto number = [&](std::string_view name) {
    return static_cast<unsigned>(std::clamp<int64_t>(queuing[name].as_int(), 1, 10'000));
  };
  if (!out.queues_up) return out;
  out.queues = number("queues");
  out.hand_size = number("handSize");
  out.queue_length = number("queueLengthLimit");
  return out;
}

const FlowSchema* FlowConfig::classify(const Attributes& asked) const {
  for (const FlowSchema& schema : schemas) {
    if (schema.matches(asked)) return &schema;
  }
  return nullptr;
}

}  // namespace wherry::apiserver
