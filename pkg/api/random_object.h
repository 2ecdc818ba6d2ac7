#pragma once
// Random objects of a schema, for property tests: of the shape a client might send, every value of
// the right type, keys of lists that are maps given and told apart. The same seed gives the same
// objects.

#include <random>
#include <string>

#include "api/schema.h"
#include "json/json.h"

namespace wherry::api {

class RandomObject {
 public:
  explicit RandomObject(uint32_t seed) : random_(seed) {}

  json::Document of(const Struct& type) {
    json::Draft draft;
    write_struct(type, draft.root(), 0, -1);
    return draft.freeze();
  }

  size_t below(size_t bound) { return random_() % bound; }

 private:
  static constexpr int kDepthMax = 7;

  bool chance(int percent) { return below(100) < static_cast<size_t>(percent); }

  std::string word() {
    static constexpr const char* kWords[] = {"alpha",   "b",       "c-3",
                                             "Delta_4", "e.5/six", "\xC3\xA9t\xC3\xA9"};
    return kWords[below(std::size(kWords))] + std::to_string(below(100));
  }

  static bool is_key(const Field& list, std::string_view name) {
    for (std::string_view key : list.list_map_keys) {
      if (key == name) return true;
    }
    return list.patch_merge_key == name;
  }

  // `item`: the number of the list's item that this is, whose keys it makes; -1 for none.
  void write_struct(const Struct& type, json::Node out, int depth, int item,
                    const Field* list = nullptr) {
    for (const Field& field : type.fields) {
      if (field.name.empty() || field.name == "kind" || field.name == "apiVersion") continue;
      bool key = item >= 0 && list != nullptr && is_key(*list, field.name);
      int percent = depth == 0 ? 90 : 45 - 5 * depth;
      if (key) {
        write_key(field, out, item);
      } else if (chance(field.required ? 95 : percent)) {
        write_field(field, out, depth);
      }
    }
  }

  void write_key(const Field& field, json::Node out, int item) {
    if (field.type.kind == Kind::kInt32 || field.type.kind == Kind::kInt64) {
      out.set(field.name, int64_t{1} + item);
    } else {
      out.set(field.name, "key" + std::to_string(item));
    }
  }

  void write_field(const Field& field, json::Node out, int depth) {
    const TypeRef& type = field.type;
    switch (type.kind) {
      case Kind::kStruct:
        if (depth < kDepthMax)
          write_struct(*type.structure, out.set_object(field.name), depth + 1, -1);
        return;
      case Kind::kList: {
        if (depth >= kDepthMax || type.element->kind == Kind::kList) return;
        json::Node list = out.set_array(field.name);
        size_t count = 1 + below(3);
        for (size_t i = 0; i < count; ++i) write_item(field, list, depth, static_cast<int>(i));
        return;
      }
      case Kind::kMap: {
        if (depth >= kDepthMax) return;
        json::Node map = out.set_object(field.name);
        for (size_t i = 0, count = 1 + below(3); i < count; ++i) {
          std::string key = "m" + std::to_string(i);
          if (type.element->kind == Kind::kStruct) {
            write_struct(*type.element->structure, map.set_object(key), depth + 1, -1);
          } else if (type.element->kind == Kind::kList) {
            json::Node list = map.set_array(key);
            if (type.element->element->kind == Kind::kString) list.push(word());
            if (list.empty()) map.remove(key);
          } else {
            map.set(key, scalar(type.element->kind).root());
          }
        }
        return;
      }
      default:
        if (type.structure != nullptr) return;  // A choice of forms.
        if (!field.enum_values.empty()) {
          out.set(field.name, field.enum_values[below(field.enum_values.size())]);
        } else {
          out.set(field.name, scalar(type.kind).root());
        }
    }
  }

  void write_item(const Field& field, json::Node list, int depth, int item) {
    const TypeRef& element = *field.type.element;
    if (element.kind == Kind::kStruct) {
      write_struct(*element.structure, list.push_object(), depth + 1, item, &field);
    } else if (element.kind == Kind::kString) {
      list.push(word() + "-" + std::to_string(item));  // A set has each only once.
    } else {
      list.push(scalar(element.kind, item).root());
    }
  }

  json::Document scalar(Kind kind, int item = 0) {
    static constexpr const char* kQuantities[] = {"\"100m\"", "\"1Gi\"", "\"3\"", "\"1500M\""};
    static constexpr const char* kTimes[] = {"\"2026-01-02T03:04:05Z\"",
                                             "\"1999-12-31T23:59:59Z\""};
    auto number = [&](int64_t n) { return std::to_string(n + item); };
    std::string text;
    switch (kind) {
      case Kind::kInt32: text = number(static_cast<int64_t>(below(100000)) + 1); break;
      case Kind::kInt64: text = number((static_cast<int64_t>(below(100000)) << 20) + 1); break;
      case Kind::kBool: text = "true"; break;
      case Kind::kDouble: text = "1.5"; break;
      case Kind::kBytes: text = "\"AAECAw==\""; break;
      case Kind::kTime: text = kTimes[below(2)]; break;
      case Kind::kMicroTime: text = "\"2026-01-02T03:04:05.000006Z\""; break;
      case Kind::kDuration: text = "\"1h2m3s\""; break;
      case Kind::kQuantity: text = kQuantities[below(4)]; break;
      case Kind::kIntOrString: text = chance(50) ? "\"25%\"" : "8080"; break;
      case Kind::kAny: text = R"({"x":[1,"y"]})"; break;
      case Kind::kFieldsV1: text = R"({"f:a":{}})"; break;
      case Kind::kVerbs: text = R"(["get"])"; break;
      default: {
        json::Draft draft = json::Draft::array();
        draft.root().push(word());
        return json::Document::parse(draft.root().at(0).dump()).value();
      }
    }
    return json::Document::parse(text).value();
  }

  std::mt19937 random_;
};

}  // namespace wherry::api
