#include "apiserver/empties.h"

namespace wherry::apiserver {
namespace {

bool is_empty(json::Value value) {
  return (value.is_array() || value.is_object()) && value.empty();
}

void put_back(json::Node object, json::Value sent) {
  for (auto [key, value] : sent.members()) {
    json::Node there = object[key];
    const bool lost = !there || there.is_null();
    if (lost && is_empty(value)) {
      object.set(key, value);
    } else if (there.is_object()) {
      put_back(there, value);
    } else if (there.is_array() && value.size() == there.size()) {
      for (size_t i = 0; i < value.size(); ++i) put_back(there.at(i), value.at(i));
    }
  }
}

}  // namespace

bool has_empties(json::Value value) {
  if (is_empty(value)) return true;
  for (json::Value item : value.items()) {
    if (has_empties(item)) return true;
  }
  for (auto [key, member] : value.members()) {
    if (has_empties(member)) return true;
  }
  return false;
}

json::Document with_empties(json::Value object, json::Value sent) {
  json::Draft out(object);
  put_back(out.root(), sent);
  return out.freeze();
}

}  // namespace wherry::apiserver
