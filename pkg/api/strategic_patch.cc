// Strategic merge patch. Spec: Kubernetes documentation "Update API Objects in Place Using kubectl
// patch" and the API conventions on strategic merge; texts of errors as upstream answers them.

#include <algorithm>

#include "api/field_error.h"
#include "api/go_text.h"
#include "api/patch.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr std::string_view kDirective = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kDeletePrefix = "$deleteFromPrimitiveList/";
constexpr std::string_view kOrderPrefix = "$setElementOrder/";

using Node = json::Node;

std::string go_text(Node node) {
  json::Document document = node.freeze();
  return api::go_text(document.root());
}

// Upstream lets these escape as plain errors: status 500 without a reason.
template <typename... Args>
Error unplanned(fmt::format_string<Args...> format, Args&&... args) {
  return Error::internal(format, std::forward<Args>(args)...);
}

// What the schema says about a member; all null outside of what it knows.
struct Place {
  const Struct* type = nullptr;
  const TypeRef* element = nullptr;  // Of a map whose values are structs.

  const Field* find(std::string_view name) const {
    return type != nullptr ? type->find(name) : nullptr;
  }
};

Place place_of(const TypeRef* type) {
  if (type == nullptr) return {};
  if (type->kind == Kind::kStruct) return {type->structure, nullptr};
  if (type->kind == Kind::kMap) return {nullptr, type->element};
  return {};
}

Place below(const Place& at, std::string_view key) {
  if (at.element != nullptr) return place_of(at.element);
  const Field* field = at.find(key);
  return field != nullptr ? place_of(&field->type) : Place();
}

bool same_key(Node a, Node b, std::string_view merge_key) {
  Node left = a[merge_key];
  Node right = b[merge_key];
  return left && right && json::equal(left, right);
}

// Items are the same when equal, or for objects when their merge keys are.
bool same_item(Node a, Node b, std::string_view merge_key) {
  return merge_key.empty() ? json::equal(a, b) : same_key(a, b, merge_key);
}

std::optional<size_t> find_item(const std::vector<Node>& items, Node wanted,
                                std::string_view merge_key) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (same_item(items[i], wanted, merge_key)) return i;
  }
  return std::nullopt;
}

bool is_directive(std::string_view key) {
  return key == kDirective || key == kRetainKeys || key.starts_with(kDeletePrefix) ||
         key.starts_with(kOrderPrefix);
}

bool has_orders(Node patch) {
  for (const Node::Member& member : patch.members()) {
    if (member.key.starts_with(kOrderPrefix)) return true;
  }
  return false;
}

// A part of the patch that meets nothing in the original is taken as it stands, without directives
// and nulls: there is nothing for them to act on.
void take_new(Node target, Node patch) {
  if (patch.is_object()) {
    target.assign_object();
    for (const Node::Member& member : patch.members()) {
      if (is_directive(member.key) || member.value.is_null()) continue;
      target.set_null(member.key);
      take_new(target[member.key], member.value);
    }
  } else if (patch.is_array()) {
    target.assign_array();
    for (Node item : patch.items()) {
      bool only_directive = item.is_object() && item[kDirective];
      if (only_directive && item[kDirective].as_string() != "merge") continue;
      target.push(item);
      take_new(target.at(target.size() - 1), item);
    }
  } else {
    target.assign(patch);
  }
}

class StrategicMerger {
 public:
  Result<void> merge_map(Node target, Node patch, const Place& place) {
    if (Node directive = patch[kDirective]) {
      std::string_view kind = directive.as_string();
      if (kind == "replace" || kind == "delete") {
        if (kind == "delete") {
          target.assign_object();
        } else {
          take_new(target, patch);
        }
        return {};
      }
      if (kind != "merge") {
        return unplanned("unknown patch type: {} in map: {}", go_text(directive), go_text(patch));
      }
    }
    bool ordered = has_orders(patch);
    json::Draft before = ordered ? json::Draft(target) : json::Draft();
    TRY(retain_keys(target, patch));
    for (const Node::Member& member : patch.members()) {
      if (is_directive(member.key)) continue;
      TRY(merge_member(target, member, place));
    }
    for (const Node::Member& member : patch.members()) {
      if (member.key.starts_with(kDeletePrefix)) {
        remove_primitives(target[member.key.substr(kDeletePrefix.size())], member.value);
      }
    }
    if (!ordered) return {};
    return apply_orders(target, patch, place, before.root());
  }

 private:
  static Result<void> retain_keys(Node target, Node patch) {
    Node keys = patch[kRetainKeys];
    if (!keys) return {};
    auto bad = [] { return Error::bad_request("invalid patch format of retainKeys"); };
    if (!keys.is_array()) return bad();
    auto kept = [&](std::string_view name) {
      for (Node key : keys.items()) {
        if (key.as_string() == name) return true;
      }
      return false;
    };
    for (const Node::Member& member : patch.members()) {
      if (!is_directive(member.key) && !member.value.is_null() && !kept(member.key)) return bad();
    }
    for (const Node::Member& member : target.members()) {
      if (!kept(member.key)) target.remove(std::string(member.key));
    }
    return {};
  }

  Result<void> merge_member(Node target, const Node::Member& member, const Place& place) {
    Node there = target[member.key];
    if (member.value.is_null()) {
      if (there) target.remove(member.key);
      return {};
    }
    // A directive says what becomes of what is there.
    if (!there && member.value.is_object() && member.value[kDirective]) return {};
    if (!there || there.type() != member.value.type()) {
      target.set_null(member.key);
      take_new(target[member.key], member.value);
      return {};
    }
    if (there.is_object()) {
      return merge_map(there, member.value, below(place, member.key));
    }
    const Field* field = place.find(member.key);
    if (there.is_array() && field != nullptr && field->patch_merge) {
      return merge_list(there, member.value, *field);
    }
    take_new(there, member.value);
    return {};
  }

  Result<void> merge_list(Node target, Node patch, const Field& field) {
    bool objects = !patch.empty() ? patch.at(0).is_object() : target.at(0).is_object();
    for (Node list : {target, patch}) {
      for (Node item : list.items()) {
        if (item.is_object() != objects || item.is_array()) {
          return unplanned("list element types are not identical: [{} {}]", go_text(target),
                           go_text(patch));
        }
      }
    }
    json::Draft before(target);
    if (!objects) {
      for (Node item : patch.items()) {
        if (!find_item(target.items(), item, {})) target.push(item);
      }
      reorder(target, patch.items(), before.root().items(), {});
      return {};
    }
    return merge_objects(target, patch, field, before.root());
  }

  Result<void> merge_objects(Node target, Node patch, const Field& field, Node before) {
    std::string_view merge_key = field.patch_merge_key;
    if (merge_key.empty()) {
      return unplanned("cannot merge lists without merge key for {}", field.name);
    }
    std::vector<Node> plain;
    bool replaces = false;
    for (Node item : patch.items()) {
      Node directive = item[kDirective];
      std::string_view kind = directive.as_string();
      if (directive && kind == "merge") {
        return unplanned("merging lists cannot yet be specified in the patch");
      }
      if (directive && kind == "replace") {
        replaces = true;
        continue;
      }
      if (directive && kind != "delete") {
        return unplanned("unknown patch type: {} in map: {}", go_text(directive), go_text(item));
      }
      if (!item[merge_key]) {
        if (replaces) {
          plain.push_back(item);
          continue;
        }
        return unplanned("map: {} does not contain declared merge key: {}", go_text(item),
                         merge_key);
      }
      if (!directive) {
        plain.push_back(item);
      } else {
        while (std::optional<size_t> at = find_item(target.items(), item, merge_key)) {
          target.remove_at(*at);
        }
      }
    }
    if (replaces) target.clear();
    Place place = place_of(field.type.element);
    for (Node item : plain) {
      std::optional<size_t> at =
          replaces ? std::nullopt : find_item(target.items(), item, merge_key);
      if (at) {
        TRY(merge_map(target.at(*at), item, place));
      } else {
        // As it stands: upstream leaves directives inside of a new item to the decoder, which drops
        // them.
        target.push(item);
      }
    }
    if (!replaces) reorder(target, plain, before.items(), merge_key);
    return {};
  }

  static void remove_primitives(Node target, Node unwanted) {
    if (!target.is_array()) return;
    std::vector<Node> gone = unwanted.items();
    for (size_t i = target.size(); i-- > 0;) {
      if (find_item(gone, target.at(i), {})) target.remove_at(i);
    }
  }

  // Items the patch names stand in its order. The others (which the client may not know) keep
  // theirs: each goes before the first named item that stood after it on the server, searching on
  // from where the last one went.
  static void reorder(Node target, const std::vector<Node>& order, const std::vector<Node>& server,
                      std::string_view merge_key) {
    std::vector<Node> named;
    std::vector<Node> others;
    json::Draft copy(target);
    std::vector<Node> items = copy.root().items();
    for (Node wanted : order) {
      std::optional<size_t> at = find_item(items, wanted, merge_key);
      if (at && !find_item(named, items[*at], merge_key)) named.push_back(items[*at]);
    }
    for (Node item : items) {
      if (!find_item(order, item, merge_key)) others.push_back(item);
    }
    auto server_index = [&](Node item) { return find_item(server, item, merge_key); };
    std::stable_sort(others.begin(), others.end(), [&](Node a, Node b) {
      std::optional<size_t> left = server_index(a);
      std::optional<size_t> right = server_index(b);
      return left && right && *left < *right;
    });
    size_t from = 0;
    for (Node other : others) {
      std::optional<size_t> mine = server_index(other);
      size_t at = from;
      while (at < named.size()) {
        std::optional<size_t> its = server_index(named[at]);
        if (mine && its && *mine < *its) break;
        ++at;
      }
      named.insert(named.begin() + static_cast<std::ptrdiff_t>(at), other);
      from = at + 1;
    }
    target.clear();
    for (Node item : named) target.push(item);
  }

  static Result<void> apply_orders(Node target, Node patch, const Place& place, Node before) {
    for (const Node::Member& member : patch.members()) {
      if (!member.key.starts_with(kOrderPrefix)) continue;
      std::string_view name = member.key.substr(kOrderPrefix.size());
      const Field* field = place.find(name);
      if (field == nullptr) {
        return unplanned("unable to find api field in struct {} for the json field {}",
                         place.type != nullptr ? place.type->name : "map", quote(name));
      }
      Node items = patch[name];
      TRY(check_order(items, member.value, *field));
      Node list = target[name];
      if (!list.is_array()) continue;
      reorder(list, member.value.items(), before[name].items(), field->patch_merge_key);
    }
    return {};
  }

  // The list that is sent has to agree with the order that is asked for.
  static Result<void> check_order(Node items, Node order, const Field& field) {
    if (!items.is_array()) return {};
    std::vector<Node> wanted = order.items();
    size_t from = 0;
    for (Node item : items.items()) {
      if (item.is_object() && item[kDirective]) continue;
      size_t at = from;
      while (at < wanted.size() && !same_item(wanted[at], item, field.patch_merge_key)) ++at;
      if (at == wanted.size()) {
        return unplanned("The order in patch list:\n{}\n doesn't match {} list:\n{}\n",
                         go_text(items), "$setElementOrder", go_text(order));
      }
      from = at + 1;
    }
    return {};
  }
};

// What Go calls the type of a decoded JSON value.
std::string_view go_type(Node value) {
  switch (value.type()) {
    case json::Type::kBool: return "bool";
    case json::Type::kInt: return "int64";
    case json::Type::kReal: return "float64";
    case json::Type::kString: return "string";
    case json::Type::kArray: return "[]interface {}";
    default: return "map[string]interface {}";
  }
}

// The first value that does not fit its type, in the words of upstream's converter; empty when all
// do.
std::string misfit(const TypeRef& type, Node value) {
  if (!value || value.is_null()) return {};
  switch (type.kind) {
    case Kind::kStruct: {
      if (!value.is_object()) return fmt::format("cannot restore struct from: {}", go_type(value));
      for (const Node::Member& member : value.members()) {
        const Field* field = type.structure->find(member.key);
        std::string inner = field != nullptr ? misfit(field->type, member.value) : std::string();
        if (!inner.empty()) return inner;
      }
      return {};
    }
    case Kind::kMap:
      if (!value.is_object()) return fmt::format("cannot restore map from {}", go_type(value));
      for (const Node::Member& member : value.members()) {
        std::string inner = misfit(*type.element, member.value);
        if (!inner.empty()) return inner;
      }
      return {};
    case Kind::kList:
      if (!value.is_array()) return fmt::format("cannot restore slice from {}", go_type(value));
      for (Node item : value.items()) {
        std::string inner = misfit(*type.element, item);
        if (!inner.empty()) return inner;
      }
      return {};
    case Kind::kString: return value.is_string() ? "" : "unrecognized type: string";
    case Kind::kBool: return value.is_bool() ? "" : "unrecognized type: bool";
    case Kind::kInt32: return value.is_number() ? "" : "unrecognized type: int32";
    case Kind::kInt64: return value.is_number() ? "" : "unrecognized type: int64";
    default: return {};
  }
}

}  // namespace

Result<json::Draft> strategic_merge_patch(const Struct& schema, json::Value original,
                                          json::Value patch) {
  if (!patch.is_object()) {
    return Error::bad_request(
        "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
        json::type_name(patch.type()));
  }
  json::Draft draft(original);
  json::Draft change(patch);
  StrategicMerger merger;
  TRY(merger.merge_map(draft.root(), change.root(), Place{&schema, nullptr}));
  TypeRef type{.kind = Kind::kStruct, .structure = &schema};
  if (std::string why = misfit(type, draft.root()); !why.empty()) {
    FieldErrors errors;
    errors.invalid(Path("patch"), go_text(change.root()), why);
    return errors.to_error("", "", "");
  }
  return draft;
}

}  // namespace wherry::api
