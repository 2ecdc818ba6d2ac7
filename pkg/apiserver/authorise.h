#pragma once
// Who may do what. Until roles decide, the answer is fixed: the administrators' group may do
// everything, nodes what a node needs, everybody who is known may look at what the API offers and
// at themselves, and anybody may ask whether the server lives. Everything else is refused. Pure;
// any thread.

#include <string>

#include "apiserver/request.h"
#include "apiserver/routes.h"

namespace wherry::apiserver {

// What is asked for, as reviews and routes put it.
struct Attributes {
  const User& user;
  std::string verb;
  std::string path;  // For what is no resource.
  bool is_resource = false;
  std::string group;
  std::string resource;
  std::string subresource;
  std::string ns;
  std::string name;
};

Attributes attributes_of(const User& user, const Route& route);
bool allowed(const Attributes& asked);
// kForbidden in upstream's words when it is not allowed.
Result<void> authorise(const Attributes& asked);

}  // namespace wherry::apiserver
