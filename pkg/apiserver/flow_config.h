#pragma once
// FlowConfig: the flow schemas in the form that classifying a request wants, by matching
// precedence. Pure and immutable; any thread. Classifying allocates nothing and takes a few hundred
// nanoseconds at worst.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/authorise.h"
#include "apiserver/flow_level.h"
#include "json/json.h"

namespace wherry::apiserver {

// A list of words of which "*" stands for all.
class Words {
 public:
  Words() = default;
  explicit Words(json::Value list);
  bool has(std::string_view word) const;
  // "resource", or "resource/subresource" when there is one.
  bool has_pair(std::string_view resource, std::string_view subresource) const;
  // As paths: "/healthz", or "/debug/*" for all below.
  bool has_path(std::string_view path) const;

 private:
  std::vector<std::string> words_;
  bool all_ = false;
};

struct FlowSubject {
  enum class Kind { kUser, kGroup, kServiceAccount };
  Kind kind;
  std::string name;
  std::string ns;  // Of a ServiceAccount.
  bool is(const User& user) const;
};

struct FlowRule {
  struct Resources {
    Words verbs, groups, resources, namespaces;
    bool cluster_scope = false;
  };
  struct Paths {
    Words verbs, paths;
  };
  std::vector<FlowSubject> subjects;
  std::vector<Resources> resources;
  std::vector<Paths> paths;
  bool matches(const Attributes& asked) const;
};

struct FlowLevelEntry {
  std::string name;
  std::string uid;
  std::shared_ptr<FlowLevel> level;  // Null: exempt.
};

struct FlowSchema {
  std::string name;
  std::string uid;
  int64_t precedence = 0;
  enum class Distinguisher { kNone, kUser, kNamespace } distinguisher = Distinguisher::kNone;
  std::vector<FlowRule> rules;
  std::shared_ptr<const FlowLevelEntry> level;

  bool matches(const Attributes& asked) const;
  // A number for the flow that the request is in.
  uint64_t flow(const Attributes& asked) const;
};

// From an object; `level` is the caller's to fill.
FlowSchema parse_flow_schema(const api::Object& object);
std::string_view level_name(json::Value flow_schema);
// The seats of a limited level out of `server_seats`, when the shares of all levels add up to
// `shares`.
FlowLimits parse_limits(json::Value level, double shares, unsigned server_seats);
// nominalConcurrencyShares of either type.
double shares_of(json::Value level);

struct FlowConfig {
  std::vector<FlowSchema> schemas;  // By precedence, then by name.
  FlowLevelList levels;             // Those that limit.

  // Null when no schema matches, which the mandatory ones do not let happen.
  const FlowSchema* classify(const Attributes& asked) const;
};

}  // namespace wherry::apiserver
