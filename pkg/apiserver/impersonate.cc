#include "apiserver/impersonate.h"

#include <algorithm>
#include <map>

#include "api/names.h"
#include "api/status.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kAuthenticated = "system:authenticated";
constexpr std::string_view kUnauthenticated = "system:unauthenticated";
constexpr std::string_view kAccount = "system:serviceaccount:";
constexpr std::string_view kAccounts = "system:serviceaccounts";
constexpr std::string_view kNode = "system:node:";
constexpr std::string_view kNodes = "system:nodes";
constexpr std::string_view kExtra = "impersonate-extra-";
constexpr std::string_view kOwnNode = "authentication.kubernetes.io/node-name";
constexpr std::string_view kAuthentication = "authentication.k8s.io";

// Everything that the headers ask for.
struct Wish {
  User user;
  std::string account_ns;  // Of a ServiceAccount.
  std::string account;
  std::string node;

  bool name_only() const { return user.uid.empty() && user.groups.empty() && user.extra.empty(); }
};

// As Go prints a []string with %#v.
std::string go_list(const std::vector<std::string>& list) {
  if (list.empty()) return "[]string(nil)";
  std::vector<std::string> out;
  for (const std::string& text : list) out.push_back(quote(text));
  return "[]string{" + join(out, ", ") + "}";
}

std::string go_user(const User& user) {
  std::vector<std::string> extra;
  for (const auto& [key, values] : user.extra) extra.push_back(quote(key) + ":" + go_list(values));
  return fmt::format("&user.DefaultInfo{{Name:{}, UID:{}, Groups:{}, Extra:map[string][]string{}}}",
                     quote(user.name), quote(user.uid), go_list(user.groups),
                     extra.empty() ? "(nil)" : "{" + join(extra, ", ") + "}");
}

Wish wish_of(const http::Request& request) {
  Wish wish;
  User& user = wish.user;
  user.name = request.headers.get("Impersonate-User");
  user.uid = request.headers.get("Impersonate-Uid");
  for (std::string_view group : request.headers.all("Impersonate-Group")) {
    user.groups.emplace_back(group);
  }
  std::map<std::string, std::vector<std::string>> extra;
  for (const auto& [name, value] : request.headers.fields()) {
    std::string lower = to_lower(name);
    if (!lower.starts_with(kExtra)) continue;
    std::string key = lower.substr(kExtra.size());
    extra[percent_decode(key, false).value_or(key)].push_back(value);
  }
  user.extra.assign(extra.begin(), extra.end());
  std::string_view text = user.name;
  if (text.starts_with(kNode)) wish.node = text.substr(kNode.size());
  if (!text.starts_with(kAccount)) return wish;
  auto parts = split_once(text.substr(kAccount.size()), ":");
  bool valid = parts && api::dns_label_problems(parts->first).empty() &&
               api::dns_subdomain_problems(parts->second).empty();
  if (!valid) return wish;
  wish.account_ns = parts->first;
  wish.account = parts->second;
  return wish;
}

// What one way of impersonation asks about the parts of a wish.
class Check {
 public:
  Check(const Authoriser& authoriser, const User& caller, std::string verb, std::string_view group)
      : authoriser_(authoriser), caller_(caller), verb_(std::move(verb)), group_(group) {}

  Result<void> part(std::string_view resource, std::string_view name,
                    std::string_view subresource = {}, std::string_view ns = {}) const {
    return authoriser_.check(asked(resource, name, subresource, ns));
  }
  // What nobody may take on in this way.
  Error never(std::string_view resource, std::string_view name, std::string_view why) const {
    return api::forbidden(
        fmt::format("{}.{}", resource, group_), name,
        fmt::format("User \"{}\" cannot {} resource \"{}\" in API group \"{}\" at the cluster "
                    "scope: {}",
                    caller_.name, verb_, resource, group_, why));
  }

 private:
  Attributes asked(std::string_view resource, std::string_view name, std::string_view subresource,
                   std::string_view ns) const {
    Attributes out{.user = caller_, .verb = verb_};
    out.is_resource = true;
    out.group = group_;
    out.resource = resource;
    out.subresource = subresource;
    out.ns = ns;
    out.name = name;
    return out;
  }

  const Authoriser& authoriser_;
  const User& caller_;
  const std::string verb_;
  const std::string_view group_;
};

struct Asked {
  const Authoriser& authoriser;
  const User& caller;
  const Wish& wish;
  const Route& route;

  // Whether the caller may do what the request is about as somebody else.
  Result<void> on(std::string_view way) const {
    Attributes what = attributes_of(caller, route);
    std::string verb = fmt::format("impersonate-on:{}:{}", way, what.verb);
    what.verb = verb;
    return authoriser.check(what);
  }
  Check constrained(std::string_view way) const {
    return {authoriser, caller, fmt::format("impersonate:{}", way), kAuthentication};
  }
};

User as_node(const Wish& wish) {
  User user = wish.user;
  user.groups = {std::string(kNodes), std::string(kAuthenticated)};
  return user;
}

// The pod of this token runs on that node.
Result<User> as_own_node(const Asked& asked) {
  TRY(asked.on("associated-node"));
  TRY(asked.constrained("associated-node").part("nodes", "*"));
  return as_node(asked.wish);
}

Result<User> as_any_node(const Asked& asked) {
  TRY(asked.on("arbitrary-node"));
  TRY(asked.constrained("arbitrary-node").part("nodes", asked.wish.node));
  return as_node(asked.wish);
}

User as_account(const Wish& wish) {
  User user = wish.user;
  if (user.groups.empty()) {
    user.groups = {std::string(kAccounts), fmt::format("{}:{}", kAccounts, wish.account_ns)};
  }
  return user;
}

Result<User> as_account_only(const Asked& asked) {
  TRY(asked.on("serviceaccount"));
  TRY(asked.constrained("serviceaccount")
          .part("serviceaccounts", asked.wish.account, {}, asked.wish.account_ns));
  return as_account(asked.wish);
}

Result<User> as_user(const Asked& asked) {
  const User& user = asked.wish.user;
  TRY(asked.on("user-info"));
  Check check = asked.constrained("user-info");
  TRY(check.part("users", user.name));
  if (!user.uid.empty()) TRY(check.part("uids", user.uid));
  for (const std::string& group : user.groups) {
    if (group == kMasters) {
      return check.never("groups", group, "impersonating the system:masters group is not allowed");
    }
    TRY(check.part("groups", group));
  }
  for (const auto& [key, values] : user.extra) {
    if (api::Problems wrong = api::domain_prefixed_path_problems(key); !wrong.empty()) {
      return check.never("userextras", {},
                         fmt::format("impersonating an invalid key in extra is not allowed: "
                                     "extra.key: Invalid value: {}: {}",
                                     quote(key), wrong[0]));
    }
    for (const std::string& value : values) TRY(check.part("userextras", value, key));
  }
  return user;
}

Result<User> as_anybody(const Asked& asked) {
  const Wish& wish = asked.wish;
  const User& user = wish.user;
  Check check(asked.authoriser, asked.caller, "impersonate", "");
  Check other(asked.authoriser, asked.caller, "impersonate", kAuthentication);
  if (wish.account.empty()) {
    TRY(check.part("users", user.name));
  } else {
    TRY(check.part("serviceaccounts", wish.account, {}, wish.account_ns));
  }
  for (const std::string& group : user.groups) TRY(check.part("groups", group));
  for (const auto& [key, values] : user.extra) {
    for (const std::string& value : values) TRY(other.part("userextras", value, key));
  }
  if (!user.uid.empty()) TRY(other.part("uids", user.uid));
  return wish.account.empty() ? user : as_account(wish);
}

using Way = Result<User> (*)(const Asked&);

// The constrained ways, in the order in which they are tried.
std::vector<Way> ways_of(const User& caller, const Wish& wish) {
  std::vector<Way> ways;
  if (!wish.node.empty()) {
    bool own = std::any_of(caller.extra.begin(), caller.extra.end(), [&wish](const auto& extra) {
      return extra.first == kOwnNode && extra.second == std::vector<std::string>{wish.node};
    });
    if (wish.name_only() && own && caller.name.starts_with(kAccount)) ways.push_back(&as_own_node);
    if (wish.name_only()) ways.push_back(&as_any_node);
  } else if (!wish.account.empty()) {
    if (wish.name_only()) ways.push_back(&as_account_only);
  } else {
    ways.push_back(&as_user);
  }
  return ways;
}

// Everybody who has a name counts as known, unless the wish says otherwise.
void add_general_group(User& user) {
  bool nobody = user.name == kAnonymous;
  if (user.in_group(kUnauthenticated) || (!nobody && user.in_group(kAuthenticated))) return;
  user.groups.emplace_back(nobody ? kUnauthenticated : kAuthenticated);
}

}  // namespace

Result<User> impersonate(const Authoriser& authoriser, User caller, const http::Request& request,
                         const Route& route) {
  Wish wish = wish_of(request);
  if (wish.user.name.empty()) {
    if (wish.name_only()) return caller;
    return Error::bad_request("requested {} without impersonating a user name", go_user(wish.user));
  }
  const Asked asked{authoriser, caller, wish, route};
  // Who may do without a constraint is not held to one; but a refusal speaks of the first way.
  Result<User> user = as_anybody(asked);
  std::optional<Error> first;
  for (Way way : ways_of(caller, wish)) {
    if (user.ok()) break;
    Result<User> other = way(asked);
    if (!other.ok() && !first) first = std::move(other).error();
    if (other.ok()) user = std::move(other);
  }
  if (!user.ok()) return first ? std::move(*first) : std::move(user).error();
  add_general_group(*user);
  return user;
}

}  // namespace wherry::apiserver
