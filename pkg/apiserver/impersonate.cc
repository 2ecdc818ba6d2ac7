#include "apiserver/impersonate.h"

#include "apiserver/authorise.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kAuthenticated = "system:authenticated";
constexpr std::string_view kUnauthenticated = "system:unauthenticated";
constexpr std::string_view kAccount = "system:serviceaccount:";
constexpr std::string_view kAccounts = "system:serviceaccounts";
constexpr std::string_view kExtra = "impersonate-extra-";

// Everything that the headers ask for.
struct Wish {
  User user;
  std::string account_ns;  // Of a ServiceAccount.
  std::string account;
  bool any = false;
};

Wish wish_of(const http::Request& request) {
  Wish wish;
  wish.user.name = request.headers.get("Impersonate-User");
  wish.user.uid = request.headers.get("Impersonate-Uid");
  for (std::string_view group : request.headers.all("Impersonate-Group")) {
    wish.user.groups.emplace_back(group);
  }
  for (const auto& [name, value] : request.headers.fields()) {
    std::string lower = to_lower(name);
    if (!lower.starts_with(kExtra)) continue;
    std::string key = lower.substr(kExtra.size());
    bool known = !wish.user.extra.empty() && wish.user.extra.back().first == key;
    if (!known) wish.user.extra.push_back({key, {}});
    wish.user.extra.back().second.push_back(value);
  }
  wish.any = !wish.user.name.empty() || !wish.user.uid.empty() || !wish.user.groups.empty() ||
             !wish.user.extra.empty();
  if (wish.user.name.starts_with(kAccount)) {
    auto parts = split_once(std::string_view(wish.user.name).substr(kAccount.size()), ":");
    if (parts) {
      wish.account_ns = parts->first;
      wish.account = parts->second;
    }
  }
  return wish;
}

Result<void> ask(const User& caller, std::string resource, std::string ns, std::string name,
                 std::string subresource = {}, std::string group = {}) {
  Attributes asked{.user = caller, .verb = "impersonate"};
  asked.is_resource = true;
  asked.group = std::move(group);
  asked.resource = std::move(resource);
  asked.subresource = std::move(subresource);
  asked.ns = std::move(ns);
  asked.name = std::move(name);
  return authorise(asked);
}

Result<void> check(const User& caller, const Wish& wish) {
  constexpr const char* kGroup = "authentication.k8s.io";
  if (wish.account.empty()) {
    TRY(ask(caller, "users", "", wish.user.name));
  } else {
    TRY(ask(caller, "serviceaccounts", wish.account_ns, wish.account));
  }
  for (const std::string& group : wish.user.groups) TRY(ask(caller, "groups", "", group));
  for (const auto& [key, values] : wish.user.extra) {
    for (const std::string& value : values) {
      TRY(ask(caller, "userextras", "", value, key, kGroup));
    }
  }
  if (!wish.user.uid.empty()) TRY(ask(caller, "uids", "", wish.user.uid, "", kGroup));
  return {};
}

}  // namespace

Result<User> impersonate(User caller, const http::Request& request) {
  Wish wish = wish_of(request);
  if (!wish.any) return caller;
  if (wish.user.name.empty()) {
    return Error::internal("requested to impersonate groups, a uid or extra without a user");
  }
  TRY(check(caller, wish));
  User user = std::move(wish.user);
  if (!wish.account.empty() && user.groups.empty()) {
    user.groups = {std::string(kAccounts), fmt::format("{}:{}", kAccounts, wish.account_ns)};
  }
  // Everybody who has a name counts as known.
  bool nobody = user.name == kAnonymous;
  std::string_view general = nobody ? kUnauthenticated : kAuthenticated;
  if (!user.in_group(general)) user.groups.emplace_back(general);
  return user;
}

}  // namespace wherry::apiserver
