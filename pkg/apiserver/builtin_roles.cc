#include "apiserver/builtin_roles.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kContinued = "\n      ";

using List = std::vector<std::string_view>;

// Takes the table apart into statements of comma-separated lists.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  // The next statement's lists; empty at the end.
  std::vector<List> next() {
    while (at_ < text_.size() && text_[at_] == '\n') ++at_;
    indented_ = text_.substr(at_).starts_with("  ");
    std::vector<List> out;
    while (at_ < text_.size() && (text_[at_] != '\n' || goes_on())) {
      if (goes_on()) at_ += kContinued.size();
      if (text_[at_] == ' ') {
        ++at_;
      } else {
        out.push_back(list());
      }
    }
    return out;
  }
  bool indented() const { return indented_; }  // The last statement is a rule.

 private:
  bool goes_on() const { return text_.substr(at_).starts_with(kContinued); }

  List list() {
    List out;
    while (true) {
      size_t end = std::min(text_.find_first_of(", \n", at_), text_.size());
      out.push_back(text_.substr(at_, end - at_));
      at_ = end;
      if (at_ == text_.size() || text_[at_] != ',') return out;
      ++at_;
      if (goes_on()) at_ += kContinued.size();
    }
  }

  const std::string_view text_;
  size_t at_ = 0;
  bool indented_ = false;
};

Rule rule_of(std::vector<List> lists) {
  if (lists.size() == 2) return {.verbs = std::move(lists[1]), .paths = std::move(lists[0])};
  CHECK(lists.size() == 3 || lists.size() == 4);
  std::replace(lists[0].begin(), lists[0].end(), std::string_view("-"), std::string_view());
  Rule rule{.verbs = std::move(lists[2]),
            .groups = std::move(lists[0]),
            .resources = std::move(lists[1])};
  if (lists.size() == 4) rule.names = std::move(lists[3]);
  return rule;
}

// "NS/NAME" or "NAME" apart.
std::pair<std::string, std::string> place_of(std::string_view text) {
  auto parts = split_once(text, "/");
  if (!parts) return {{}, std::string(text)};
  return {std::string(parts->first), std::string(parts->second)};
}

BuiltinSubject subject_of(std::string_view text) {
  auto parts = split_once(text, ":");
  CHECK(parts.has_value());
  if (parts->first == "account") {
    auto [ns, name] = place_of(parts->second);
    return {"ServiceAccount", ns, name};
  }
  return {parts->first == "user" ? "User" : "Group", {}, std::string(parts->second)};
}

BuiltinRole role_of(const std::vector<List>& words) {
  BuiltinRole role;
  std::tie(role.ns, role.name) = place_of(words[1][0]);
  for (size_t i = 2; i + 1 < words.size(); i += 2) {
    (words[i][0] == "to" ? role.to : role.from) = words[i + 1][0];
  }
  return role;
}

BuiltinBinding binding_of(const std::vector<List>& words) {
  BuiltinBinding binding;
  std::tie(binding.ns, binding.name) = place_of(words[1][0]);
  binding.role = binding.name;
  size_t first = 2;
  if (words.size() > 3 && words[2][0] == "as") {
    binding.role = words[3][0];
    first = 4;
  }
  for (size_t i = first; i < words.size(); ++i) {
    binding.subjects.push_back(subject_of(words[i][0]));
  }
  return binding;
}

}  // namespace

BuiltinRbac builtin_rbac() {
  BuiltinRbac out;
  Scanner scanner(kBuiltinRoles);
  for (std::vector<List> words = scanner.next(); !words.empty(); words = scanner.next()) {
    if (scanner.indented()) {
      out.roles.back().rules.push_back(rule_of(std::move(words)));
    } else if (words[0][0] == "role") {
      out.roles.push_back(role_of(words));
    } else if (words[0][0] == "controller") {
      std::string name(words[1][0]);
      std::string role = "system:controller:" + name;
      out.roles.push_back({.name = role});
      out.bindings.push_back({{}, role, role, {{"ServiceAccount", "kube-system", name}}});
    } else {
      CHECK(words[0][0] == "bind");
      out.bindings.push_back(binding_of(words));
    }
  }
  return out;
}

Rules builtin_rules(std::string_view cluster_role) {
  BuiltinRbac all = builtin_rbac();
  for (BuiltinRole& role : all.roles) {
    if (role.ns.empty() && role.name == cluster_role) return std::move(role.rules);
  }
  CHECK(false);
  return {};
}

}  // namespace wherry::apiserver
