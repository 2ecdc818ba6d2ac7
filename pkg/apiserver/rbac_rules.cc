#include "apiserver/rbac_rules.h"

#include <algorithm>
#include <set>

#include "apiserver/authorise.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

using Texts = std::vector<std::string_view>;

Texts texts(json::Value list) {
  Texts out;
  out.reserve(list.size());
  for (json::Value item : list.items()) out.push_back(item.as_string());
  return out;
}

bool has(const Texts& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool has_any_or(const Texts& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(),
                     [text](std::string_view item) { return item == "*" || item == text; });
}

bool has_all(const Texts& list, const Texts& wanted) {
  return std::all_of(wanted.begin(), wanted.end(),
                     [&list](std::string_view item) { return has(list, item); });
}

// Whether `item` of a rule is "*", "RESOURCE", "RESOURCE/SUB" or "*/SUB" for what is asked.
bool resource_fits(std::string_view item, std::string_view resource, std::string_view subresource) {
  if (item == "*") return true;
  if (subresource.empty()) return item == resource;
  size_t slash = item.size() - std::min(item.size(), subresource.size() + 1);
  if (item.size() <= subresource.size() || item[slash] != '/') return false;
  if (item.substr(slash + 1) != subresource) return false;
  std::string_view before = item.substr(0, slash);
  return before == resource || before == "*";
}

// Any number of stars at the end stand for whatever follows.
bool path_fits(std::string_view item, std::string_view path) {
  if (item == path) return true;
  if (!item.ends_with('*')) return false;
  size_t last = item.find_last_not_of('*');
  return path.starts_with(item.substr(0, last == std::string_view::npos ? 0 : last + 1));
}

bool covers_resource(const Texts& owned, std::string_view wanted) {
  if (has_any_or(owned, wanted)) return true;
  size_t slash = wanted.find('/');
  if (slash == std::string_view::npos) return false;
  std::string_view subresource = wanted.substr(slash);
  return std::any_of(owned.begin(), owned.end(), [subresource](std::string_view item) {
    return item.starts_with('*') && item.substr(1) == subresource;
  });
}

bool covers_path(const Texts& owned, std::string_view wanted) {
  return std::any_of(owned.begin(), owned.end(),
                     [wanted](std::string_view item) { return path_fits(item, wanted); });
}

bool covers(const Rule& owned, const Rule& wanted) {
  bool verbs = has(owned.verbs, "*") || has_all(owned.verbs, wanted.verbs);
  bool groups = has(owned.groups, "*") || has_all(owned.groups, wanted.groups);
  bool names = owned.names.empty() || (!wanted.names.empty() && has_all(owned.names, wanted.names));
  return verbs && groups && names &&
         std::all_of(
             wanted.resources.begin(), wanted.resources.end(),
             [&](std::string_view item) { return covers_resource(owned.resources, item); }) &&
         std::all_of(wanted.paths.begin(), wanted.paths.end(),
                     [&](std::string_view item) { return covers_path(owned.paths, item); });
}

// The rule in pieces of one verb on one thing.
Rules pieces(const Rule& rule) {
  Rules out;
  for (std::string_view group : rule.groups) {
    for (std::string_view resource : rule.resources) {
      for (std::string_view verb : rule.verbs) {
        Rule piece{.verbs = {verb}, .groups = {group}, .resources = {resource}};
        if (rule.names.empty()) out.push_back(piece);
        for (std::string_view name : rule.names) {
          piece.names = {name};
          out.push_back(piece);
        }
      }
    }
  }
  for (std::string_view path : rule.paths) {
    for (std::string_view verb : rule.verbs) out.push_back({.verbs = {verb}, .paths = {path}});
  }
  return out;
}

// Only rules on one resource merge, and only with those of the same name.
bool merges(const Rule& rule) {
  return rule.groups.size() == 1 && rule.resources.size() == 1 && rule.names.size() < 2 &&
         rule.paths.empty();
}

Rules merged(const Rules& rules) {
  Rules out;
  for (const Rule& rule : rules) {
    auto same = std::find_if(out.begin(), out.end(), [&rule](const Rule& other) {
      return merges(other) && other.groups == rule.groups && other.resources == rule.resources &&
             other.names == rule.names;
    });
    if (!merges(rule) || same == out.end()) {
      out.push_back(rule);
      continue;
    }
    for (std::string_view verb : rule.verbs) {
      if (!has(same->verbs, verb)) same->verbs.push_back(verb);
    }
  }
  return out;
}

std::string quoted(const Texts& list) {
  std::vector<std::string> out;
  for (std::string_view text : list) out.push_back(quote(text));
  return "[" + join(out, " ") + "]";
}

std::string in_one_line(const Rule& rule) {
  std::vector<std::string> parts;
  auto part = [&parts](const char* name, const Texts& list) {
    if (!list.empty()) parts.push_back(std::string(name) + ":" + quoted(list));
  };
  part("APIGroups", rule.groups);
  part("Resources", rule.resources);
  part("NonResourceURLs", rule.paths);
  part("ResourceNames", rule.names);
  part("Verbs", rule.verbs);
  return "{" + join(parts, ", ") + "}";
}

}  // namespace

Rules parse_rules(json::Value list) {
  Rules out;
  out.reserve(list.size());
  for (json::Value rule : list.items()) {
    out.push_back({.verbs = texts(rule["verbs"]),
                   .groups = texts(rule["apiGroups"]),
                   .resources = texts(rule["resources"]),
                   .names = texts(rule["resourceNames"]),
                   .paths = texts(rule["nonResourceURLs"])});
  }
  return out;
}

std::shared_ptr<const RuleSet> rules_of_role(json::Document role) {
  auto set = std::make_shared<RuleSet>();
  set->rules = parse_rules(role.root()["rules"]);
  set->document = std::move(role);
  return set;
}

void push_rule(json::Node list, const Rule& rule) {
  json::Node out = list.push_object();
  auto put = [&out](const char* key, const Texts& items) {
    if (items.empty()) return;
    json::Node array = out.set_array(key);
    for (std::string_view item : items) array.push(item);
  };
  put("verbs", rule.verbs);
  put("apiGroups", rule.groups);
  put("resources", rule.resources);
  put("resourceNames", rule.names);
  put("nonResourceURLs", rule.paths);
}

bool rule_allows(const Rule& rule, const Attributes& asked) {
  if (!has_any_or(rule.verbs, asked.verb)) return false;
  if (!asked.is_resource) return covers_path(rule.paths, asked.path);
  return has_any_or(rule.groups, asked.group) &&
         std::any_of(rule.resources.begin(), rule.resources.end(),
                     [&asked](std::string_view item) {
                       return resource_fits(item, asked.resource, asked.subresource);
                     }) &&
         (rule.names.empty() || has(rule.names, asked.name));
}

Rules lacking(std::span<const Rule> owned, std::span<const Rule> wanted) {
  Rules out;
  for (const Rule& rule : wanted) {
    for (Rule& piece : pieces(rule)) {
      bool covered = std::any_of(owned.begin(), owned.end(),
                                 [&piece](const Rule& mine) { return covers(mine, piece); });
      if (!covered) out.push_back(std::move(piece));
    }
  }
  return out;
}

std::string describe(const Rules& rules) {
  std::set<std::string> lines;
  for (const Rule& rule : merged(rules)) lines.insert(in_one_line(rule));
  return join(lines, "\n");
}

}  // namespace wherry::apiserver
