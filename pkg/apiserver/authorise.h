#pragma once
// Authoriser: who may do what. The administrators' group may do everything; nodes what concerns
// them and the pods that are bound to them (node_authoriser.h); and everybody what Roles and their
// bindings give (rbac_index.h). Any thread.

#include <string>
#include <string_view>

#include "apiserver/node_authoriser.h"
#include "apiserver/rbac_index.h"
#include "apiserver/request.h"
#include "apiserver/routes.h"

namespace wherry::apiserver {

// What is asked for, as reviews and routes put it. Views into them.
struct Attributes {
  const User& user;
  std::string_view verb;
  std::string_view path;  // For what is no resource.
  bool is_resource = false;
  std::string_view group;
  std::string_view resource;
  std::string_view subresource;
  std::string_view ns;
  std::string_view name;
  std::string_view fields;  // The field selector of a list or watch.
};

Attributes attributes_of(const User& user, const Route& route);

class Authoriser {
 public:
  explicit Authoriser(store::Store& store) : roles_(store), nodes_(store) {}

  // Reads the stored roles. Once, before the first question.
  Result<void> start() { return roles_.start(); }

  // `reason`, when wanted, is set to upstream's words for why, or why not; often empty.
  bool allows(const Attributes& asked, std::string* reason = nullptr) const;
  // kForbidden in upstream's words when it is not allowed.
  Result<void> check(const Attributes& asked, std::string* reason = nullptr) const;

  const RbacIndex& roles() const { return roles_; }

 private:
  RbacIndex roles_;
  NodeAuthoriser nodes_;
};

}  // namespace wherry::apiserver
