#include "apiserver/authorise.h"

#include "api/status.h"

namespace wherry::apiserver {
namespace {

std::string refusal(const Attributes& asked, const std::string& reason) {
  std::string text = fmt::format("User \"{}\" cannot {} ", asked.user.name, asked.verb);
  if (asked.is_resource) {
    text += fmt::format("resource \"{}{}{}\" in API group \"{}\" ", asked.resource,
                        asked.subresource.empty() ? "" : "/", asked.subresource, asked.group);
    text += asked.ns.empty() ? std::string("at the cluster scope")
                             : fmt::format("in the namespace \"{}\"", asked.ns);
  } else {
    text += fmt::format("path \"{}\"", asked.path);
  }
  return reason.empty() ? text : text + ": " + reason;
}

}  // namespace

Attributes attributes_of(const User& user, const Route& route) {
  const Target& target = route.target;
  Attributes asked{.user = user, .verb = route.asked_verb, .path = route.path};
  asked.is_resource = route.is_resource;
  asked.group = route.group;
  asked.resource = route.plural;
  asked.subresource = target.subresource;
  asked.ns = target.ns;
  asked.name = target.name.empty() ? route.selected_name : target.name;
  asked.fields = route.fields;
  // A namespace is inside itself.
  if (route.plural == "namespaces" && target.ns.empty()) asked.ns = target.name;
  return asked;
}

bool Authoriser::allows(const Attributes& asked, std::string* reason) const {
  if (asked.user.in_group(kMasters)) return true;
  std::string by_node;
  if (nodes_.allows(asked, reason == nullptr ? nullptr : &by_node)) return true;
  bool yes = roles_.allows(asked, reason);
  if (yes || by_node.empty()) return yes;
  *reason = reason->empty() ? by_node : by_node + "\n" + *reason;
  return false;
}

Result<void> Authoriser::check(const Attributes& asked, std::string* reason) const {
  if (allows(asked, reason)) return {};
  std::string why;
  if (reason == nullptr) {
    reason = &why;
    static_cast<void>(allows(asked, reason));
  }
  std::string resource(asked.resource);
  if (!asked.group.empty()) resource += fmt::format(".{}", asked.group);
  return api::forbidden(asked.is_resource ? resource : std::string(), asked.name,
                        refusal(asked, *reason));
}

}  // namespace wherry::apiserver
