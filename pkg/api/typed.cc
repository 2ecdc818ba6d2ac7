#include "api/typed.h"

#include <algorithm>
#include <set>

#include "api/go_text.h"
#include "base/strings.h"

namespace wherry::api {
namespace {

bool is_nothing(json::Value value) {
  return !value || value.is_null() || ((value.is_object() || value.is_array()) && value.empty());
}

Form form_of(const Shape& shape, json::Value a, json::Value b) {
  return shape.form(a.is_object() || b.is_object());
}

}  // namespace

Shape Shape::of_object(const Struct* schema) {
  Shape shape;
  shape.structure_ = schema;
  shape.free_ = schema == nullptr || (schema->preserve_unknown && schema->fields.empty());
  return shape;
}

Form Shape::form(bool is_object) const {
  if (free_) return is_object ? Form::kMap : Form::kLeaf;
  if (structure_ != nullptr) {
    bool granular = field_ != nullptr && field_->map_granular;
    bool whole = (structure_->atomic && !granular) || (field_ != nullptr && field_->map_atomic);
    return whole ? Form::kLeaf : Form::kStruct;
  }
  if (type_ == nullptr) return Form::kLeaf;
  if (type_->kind == Kind::kMap) {
    return field_ != nullptr && field_->map_atomic ? Form::kLeaf : Form::kMap;
  }
  if (type_->kind == Kind::kList && field_ != nullptr) {
    if (field_->list_type == ListType::kSet) return Form::kSet;
    if (field_->list_type == ListType::kMap) return Form::kMapList;
  }
  return Form::kLeaf;
}

Shape Shape::member(std::string_view name) const {
  Shape out;
  if (free_) {
    out.free_ = true;
    return out;
  }
  if (structure_ != nullptr) {
    out.field_ = structure_->find(name);
    if (out.field_ == nullptr) {
      out.free_ = structure_->preserve_unknown;
      return out;
    }
    out.type_ = &out.field_->type;
  } else if (type_ != nullptr) {
    out.type_ = type_->element;
  }
  if (out.type_ != nullptr && out.type_->kind == Kind::kStruct) {
    out.structure_ = out.type_->structure;
    out.free_ = out.structure_->preserve_unknown && out.structure_->fields.empty();
  }
  return out;
}

Shape Shape::item() const {
  Shape out;
  if (free_ || type_ == nullptr) {
    out.free_ = free_;
    return out;
  }
  out.type_ = type_->element;
  if (out.type_ != nullptr && out.type_->kind == Kind::kStruct) {
    out.structure_ = out.type_->structure;
    out.free_ = out.structure_->preserve_unknown && out.structure_->fields.empty();
  }
  return out;
}

bool Shape::declares(std::string_view name) const {
  return structure_ != nullptr && structure_->find(name) != nullptr;
}

std::string Shape::element_of(json::Value item) const {
  if (form(false) == Form::kSet) return "v:" + item.dump();
  std::vector<std::string_view> keys(field_->list_map_keys.begin(), field_->list_map_keys.end());
  std::sort(keys.begin(), keys.end());
  const Struct* structure = type_->element->structure;
  json::Draft draft;
  for (std::string_view key : keys) {
    if (json::Value value = item[key]; value && !value.is_null()) {
      draft.root().set(key, value);
      continue;
    }
    // A key that is left out counts as its default; without one it is no part of the name.
    const Field* field = structure != nullptr ? structure->find(key) : nullptr;
    Result<json::Document> fallback = json::Document::parse(
        field != nullptr && !field->default_json.empty() ? field->default_json : "null");
    if (fallback.ok() && !fallback->root().is_null()) draft.root().set(key, fallback->root());
  }
  return "k:" + draft.dump();
}

// ---- Comparing

namespace {

void compare_into(const Shape& shape, json::Value before, json::Value after, FieldSet& changed,
                  FieldSet& removed);

void compare_child(const Shape& shape, const std::string& element, json::Value before,
                   json::Value after, FieldSet& changed, FieldSet& removed) {
  FieldSet child_changed, child_removed;
  compare_into(shape, before, after, child_changed, child_removed);
  if (!child_changed.empty()) changed.children[element].add(child_changed);
  if (!child_removed.empty()) removed.children[element].add(child_removed);
}

void compare_members(const Shape& shape, json::Value before, json::Value after, FieldSet& changed,
                     FieldSet& removed) {
  for (auto [key, value] : after.members()) {
    compare_child(shape.member(key), "f:" + std::string(key), before[key], value, changed, removed);
  }
  for (auto [key, value] : before.members()) {
    if (after[key]) continue;
    compare_child(shape.member(key), "f:" + std::string(key), value, {}, changed, removed);
  }
}

using Elements = std::map<std::string, std::vector<json::Value>>;

Elements elements_of(const Shape& shape, json::Value list) {
  Elements out;
  for (json::Value item : list.items()) out[shape.element_of(item)].push_back(item);
  return out;
}

bool same_value(json::Value a, json::Value b) { return json::equal(a, b); }

void compare_items(const Shape& shape, json::Value before, json::Value after, FieldSet& changed,
                   FieldSet& removed) {
  // Where an element stands more than once, all that stand for it are one value.
  const Elements old_items = elements_of(shape, before);
  const Elements new_items = elements_of(shape, after);
  static const std::vector<json::Value> kNone;
  for (const auto& [element, items] : new_items) {
    auto found = old_items.find(element);
    const std::vector<json::Value>& olds = found == old_items.end() ? kNone : found->second;
    if (items.size() > 1 || olds.size() > 1) {
      if (!std::equal(items.begin(), items.end(), olds.begin(), olds.end(), same_value))
        changed.children[element].member = true;
      continue;
    }
    compare_child(shape.item(), element, olds.empty() ? json::Value() : olds[0], items[0], changed,
                  removed);
  }
  for (const auto& [element, items] : old_items) {
    if (new_items.contains(element)) continue;
    if (items.size() > 1) {
      removed.children[element].member = true;
    } else {
      compare_child(shape.item(), element, items[0], {}, changed, removed);
    }
  }
}

void compare_into(const Shape& shape, json::Value before, json::Value after, FieldSet& changed,
                  FieldSet& removed) {
  Form form = form_of(shape, before, after);
  bool leaf = form == Form::kLeaf || (is_nothing(before) && is_nothing(after));
  if (leaf) {
    if (!before && after) {
      changed.member = true;
    } else if (before && !after) {
      removed.member = true;
    } else if (!json::equal(before, after)) {
      changed.member = true;
    }
    return;
  }
  if (form == Form::kStruct || form == Form::kMap) {
    compare_members(shape, before, after, changed, removed);
  } else {
    compare_items(shape, before, after, changed, removed);
  }
  if (!before) changed.member = true;
  if (!after) removed.member = true;
}

}  // namespace

Changes compare(const Shape& shape, json::Value before, json::Value after) {
  Changes out;
  compare_into(shape, before, after, out.changed, out.removed);
  out.changed.member = false;
  out.removed.member = false;
  return out;
}

// ---- Stated fields

namespace {

void state(const Shape& shape, json::Value value, FieldSet& out) {
  Form form = shape.form(value.is_object());
  bool items = form == Form::kSet || form == Form::kMapList;
  if (items && value.is_array() && value.empty()) return;  // States no item.
  if (form == Form::kLeaf || is_nothing(value)) {
    out.member = true;
    return;
  }
  if (form == Form::kStruct || form == Form::kMap) {
    for (auto [key, item] : value.members()) {
      FieldSet child;
      state(shape.member(key), item, child);
      if (!shape.declares(key)) child.member = true;
      if (!child.empty()) out.children["f:" + std::string(key)].add(child);
    }
    return;
  }
  for (json::Value item : value.items()) {
    FieldSet& child = out.children[shape.element_of(item)];
    child.member = true;
    if (form == Form::kMapList) state(shape.item(), item, child);
  }
}

}  // namespace

FieldSet fields_stated(const Shape& shape, json::Value object) {
  FieldSet out;
  state(shape, object, out);
  out.member = false;
  return out;
}

// ---- Merging

namespace {

// Both lists: the applied one's order rules, items of the other stand where they did among the
// shared ones.
void merge_items(const Shape& shape, json::Node target, json::Value config) {
  json::Draft old_draft(target);
  json::Document old_list = old_draft.freeze();
  std::vector<json::Value> left, right;
  std::vector<std::string> left_keys, right_keys;
  for (json::Value item : old_list.root().items()) {
    left.push_back(item);
    left_keys.push_back(shape.element_of(item));
  }
  for (json::Value item : config.items()) {
    right.push_back(item);
    right_keys.push_back(shape.element_of(item));
  }
  std::set<std::string> in_right(right_keys.begin(), right_keys.end());
  target.clear();
  auto take_right = [&](size_t at) {
    auto match = std::find(left_keys.begin(), left_keys.end(), right_keys[at]);
    if (match == left_keys.end()) {
      target.push(right[at]);
      return;
    }
    target.push(left[static_cast<size_t>(match - left_keys.begin())]);
    json::Node merged = target.at(target.size() - 1);
    if (shape.form(false) == Form::kMapList) merge_applied(shape.item(), merged, right[at]);
  };
  // Shared items appear in the applied order; one that is not next in it is passed over and comes
  // later.
  std::set<std::string> in_left(left_keys.begin(), left_keys.end());
  auto next_shared = [&](size_t from) {
    while (from < right.size() && !in_left.contains(right_keys[from])) ++from;
    return from;
  };
  size_t l = 0;
  size_t r = 0;
  while (l < left.size() || r < right.size()) {
    if (l < left.size() && r < right.size()) {
      if (left_keys[l] == right_keys[r]) {
        take_right(r++);
        ++l;
        continue;
      }
      size_t next = next_shared(r);
      if (in_right.contains(left_keys[l]) && next < right.size() &&
          right_keys[next] != left_keys[l]) {
        ++l;
        continue;
      }
    }
    if (l < left.size() && !in_right.contains(left_keys[l])) {
      target.push(left[l++]);
    } else if (r < right.size()) {
      take_right(r++);
    } else {
      ++l;
    }
  }
}

}  // namespace

void merge_applied(const Shape& shape, json::Node target, json::Value config) {
  Form form = shape.form(config.is_object());
  bool same_type = target.type() == config.type();
  if (form == Form::kLeaf || !same_type) {
    target.assign(config);
    return;
  }
  if (form == Form::kStruct || form == Form::kMap) {
    for (auto [key, value] : config.members()) {
      json::Node there = target[key];
      if (!there) {
        target.set(key, value);
      } else {
        merge_applied(shape.member(key), there, value);
      }
    }
    return;
  }
  merge_items(shape, target, config);
}

// ---- Removing

namespace {

bool has_members(const FieldSet& set) {
  if (set.member) return true;
  return std::any_of(set.children.begin(), set.children.end(),
                     [](const auto& child) { return has_members(child.second); });
}

}  // namespace

void remove_unowned(const Shape& shape, json::Node target, const FieldSet& last,
                    const FieldSet& owned) {
  static const FieldSet kNothing;
  for (const auto& [element, child] : last.children) {
    const FieldSet* owners = owned.find(element);
    if (owners == nullptr) owners = &kNothing;
    bool named = element.starts_with("f:");
    // A member goes when nobody holds anything below it; a list item when nobody holds the item
    // itself, since what is left of it would have no key.
    bool in_last = child.member || (named && has_members(child));
    bool goes = in_last && !(named ? has_members(*owners) : owners->member);
    if (named && target.is_object()) {
      std::string key = element.substr(2);
      json::Node there = target[key];
      if (!there) continue;
      if (goes) {
        target.remove(key);
      } else {
        remove_unowned(shape.member(key), there, child, *owners);
      }
    } else if (!named && target.is_array()) {
      Form form = shape.form(false);
      if (form != Form::kSet && form != Form::kMapList) continue;
      for (size_t i = 0; i < target.size(); ++i) {
        json::Draft copy(target.at(i));
        json::Document item = copy.freeze();
        if (shape.element_of(item.root()) != element) continue;
        if (goes) {
          target.remove_at(i);
        } else {
          remove_unowned(shape.item(), target.at(i), child, *owners);
        }
        break;
      }
    }
  }
}

// ---- Checking

namespace {

std::string type_fault(const TypeRef& type, json::Value value) {
  auto got = [&] { return "got &{" + go_text(value) + "}"; };
  switch (type.kind) {
    case Kind::kString:
    case Kind::kBytes: return value.is_string() ? std::string() : "expected string, " + got();
    case Kind::kBool: return value.is_bool() ? std::string() : "expected boolean, " + got();
    case Kind::kInt32:
    case Kind::kInt64:
    case Kind::kDouble:
      return value.is_number() ? std::string()
                               : fmt::format("expected numeric (int or float), got {}",
                                             value.is_object()  ? "map[string]interface {}"
                                             : value.is_array() ? "[]interface {}"
                                                                : json::type_name(value.type()));
    case Kind::kStruct:
    case Kind::kMap: return value.is_object() ? std::string() : "expected map, " + got();
    case Kind::kList: return value.is_array() ? std::string() : "expected list, " + got();
    default: return {};
  }
}

void check_into(const Shape& shape, json::Value value, const std::string& path,
                std::vector<std::string>& faults) {
  if (!value || value.is_null() || shape.free()) return;
  if (shape.type() != nullptr) {
    std::string fault = type_fault(*shape.type(), value);
    if (!fault.empty()) {
      faults.push_back(path + ": " + fault);
      return;
    }
  }
  Form form = shape.form(value.is_object());
  if (value.is_object() && (form == Form::kStruct || form == Form::kMap)) {
    for (auto [key, item] : value.members()) {
      bool top = path.empty() && (key == "apiVersion" || key == "kind");
      std::string below = path + "." + std::string(key);
      if (form == Form::kStruct && !shape.declares(key) && !shape.member(key).free()) {
        if (!top) faults.push_back(below + ": field not declared in schema");
        continue;
      }
      check_into(shape.member(key), item, below, faults);
    }
  } else if (value.is_array() && (form == Form::kSet || form == Form::kMapList)) {
    std::set<std::string> seen;
    for (json::Value item : value.items()) {
      std::string element = shape.element_of(item);
      if (!seen.insert(element).second) {
        faults.push_back(path + ": duplicate entries for key " + element_text(element));
      }
      check_into(shape.item(), item, path + element_text(element), faults);
    }
  }
}

}  // namespace

Result<void> check_typed(const Shape& shape, json::Value config) {
  std::vector<std::string> faults;
  check_into(shape, config, "", faults);
  if (faults.empty()) return {};
  if (faults.size() == 1) return Error::internal("{}", faults[0]);
  return Error::internal("errors:\n  {}", join(faults, "\n  "));
}

}  // namespace wherry::api
