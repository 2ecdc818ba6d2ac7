#pragma once
// Owner references: who controls what, and the pods of a workload: adopting orphans that match,
// releasing what no longer does (behaviour 86 of the field: by editing owner references, never by
// deleting).

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "api/selector.h"
#include "controller/runtime.h"

namespace wherry::controller {

struct OwnerRef {
  std::string api_version, kind, name, uid;
};
// The owner reference with controller: true.
std::optional<OwnerRef> controller_of(const api::Object& object);
bool controlled_by(const api::Object& object, std::string_view uid);

// Keys of the owners of that kind, before and after the change.
void owner_keys(const Change& change, std::string_view kind, Keys& out);

// For a pod or other dependent without a controller: keys of the objects of `resource` in its
// namespace whose spec.selector matches its labels. `plain` when the selector is a plain map
// (ReplicationController).
void selecting_keys(const api::Object& dependent, const Lister& owners, bool plain, Keys& out);

// Sets the one owner reference that makes `owner` the controller.
void set_controller(json::Node metadata, const api::Object& owner);

// Of the objects of `resource` in owner's namespace: those it controls and that match, after
// adopting matching orphans and releasing those that match no more. An owner that is being deleted
// adopts nothing.
Result<std::vector<ObjectPtr>> claim(const Context& context, const api::Resource& resource,
                                     const api::Object& owner, const api::Selector& selector);

}  // namespace wherry::controller
