// What holds for random objects of every kind. The seed is fixed, so that a failure comes again.

#include <gtest/gtest.h>

#include "api/apply.h"
#include "api/conversion.h"
#include "api/decode.h"
#include "api/patch.h"
#include "api/protobuf.h"
#include "api/random_object.h"
#include "api/resource.h"
#include "api/stored_form.h"

namespace wherry::api {
namespace {

constexpr uint32_t kSeed = 20260102;
constexpr int kRounds = 3;

std::string id_of(const Resource& row) { return row.api_version() + "/" + std::string(row.plural); }

// A random object as decoding a client's makes it.
json::Document object_of(const Resource& row, RandomObject& random) {
  json::Document sent = random.of(*row.schema);
  Result<json::Draft> decoded = decode(*row.schema, sent.root());
  EXPECT_TRUE(decoded.ok()) << id_of(row) << ": " << decoded.error().message();
  return decoded.ok() ? decoded->freeze() : json::Document();
}

std::string without_type(json::Value object) {
  json::Draft draft(object);
  draft.root().remove("kind");
  draft.root().remove("apiVersion");
  return draft.dump();
}

TEST(Properties, ProtobufAndBackIsTheIdentity) {
  RandomObject random(kSeed);
  for (const Resource* row : resources()) {
    for (int round = 0; round < kRounds; ++round) {
      json::Document object = object_of(*row, random);
      std::string bytes = protobuf_encode(*row->schema, object.root());
      Result<json::Draft> back = protobuf_decode(*row->schema, bytes);
      ASSERT_TRUE(back.ok()) << id_of(*row) << ": " << back.error().message();
      json::Document again = back->freeze();
      EXPECT_EQ(without_type(again.root()), without_type(object.root())) << id_of(*row);
      EXPECT_EQ(protobuf_encode(*row->schema, again.root()), bytes) << id_of(*row);
    }
  }
}

// Takes members out and puts them in again at the end, and some of what they hold as well.
void stir(json::Node node, RandomObject& random) {
  for (json::Node item : node.items()) stir(item, random);
  for (const auto& [key, value] : node.members()) {
    const std::string name(key);
    stir(value, random);
    json::Draft copy(value);
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        node.remove(name);
        node.set(name, copy.root());
        break;
      case 3: node.remove(name); break;
      case 4:
        if (random.below(8) == 0) node.set_null(name);
        break;
      case 5:
        if (random.below(8) == 0 && value.is_array()) node.set_array(name);
        break;
      case 6:
        if (random.below(8) == 0 && value.is_object()) node.set_object(name);
        break;
      default: break;
    }
  }
}

TEST(Properties, TheStoredFormMadeInPlaceIsTheDecodedOne) {
  RandomObject random(kSeed);
  for (const Resource* row : resources()) {
    if (!is_stored_form(*row)) continue;
    const bool as_json =
        row->group == "apiextensions.k8s.io" || row->group == "apiregistration.k8s.io";
    for (int round = 0; round < 4 * kRounds; ++round) {
      json::Draft object(object_of(*row, random).root());
      if (round > 0) stir(object.root(), random);
      json::Document stirred = object.freeze();
      Result<json::Draft> decoded = as_json
                                        ? decode(*row->schema, stirred.root())
                                        : decode_without_empty_lists(*row->schema, stirred.root());
      const std::string before = object.dump();
      EXPECT_EQ(stored_form(*row, std::move(object)).dump(),
                decoded.ok() ? decoded->dump() : before)
          << id_of(*row);
    }
  }
}

TEST(Properties, ApplyingTwiceIsApplyingOnce) {
  RandomObject random(kSeed);
  for (const Resource* row : resources()) {
    for (int round = 0; round < kRounds; ++round) {
      json::Draft config(object_of(*row, random).root());
      config.root().set("apiVersion", row->api_version());
      config.root().set("kind", row->kind);
      json::Node meta = config.root().ensure_object("metadata");
      meta.remove("managedFields");
      meta.set("name", "x");
      json::Document applied = config.freeze();
      ApplyOptions options;
      options.manager = "m";
      options.api_version = row->api_version();
      Result<json::Draft> once = apply(row->schema, {}, applied.root(), options);
      ASSERT_TRUE(once.ok()) << id_of(*row) << ": " << once.error().message();
      json::Document live = once->freeze();
      options.now += std::chrono::hours(1);
      Result<json::Draft> twice = apply(row->schema, live.root(), applied.root(), options);
      ASSERT_TRUE(twice.ok()) << id_of(*row) << ": " << twice.error().message();
      EXPECT_EQ(twice->dump(), live.root().dump()) << id_of(*row);
    }
  }
}

// ---- Strategic merge: a change of an object, and the patch that says it.

class Change {
 public:
  explicit Change(RandomObject& random) : random_(random) {}

  // Leaves in `to` a changed copy of `from` and in `patch` the difference.
  void of(const Struct& type, json::Value from, json::Node to, json::Node patch, bool keep) {
    for (const auto& member : from.members()) {
      std::string_view name = member.key;
      json::Value value = member.value;  // A lambda takes it along.
      const Field* field = type.find(name);
      bool fixed = field == nullptr || keep || name == "kind" || name == "apiVersion" ||
                   name == key_ || field->required || field->patch_retain_keys;
      if (!fixed && random_.below(5) == 0) {
        patch.set_null(name);
      } else if (field != nullptr && value.is_object() && field->type.kind == Kind::kStruct &&
                 !field->patch_replace && !field->patch_retain_keys) {
        nested(name, to, patch, [&](json::Node inner, json::Node inner_patch) {
          of(*field->type.structure, value, inner, inner_patch, false);
        });
      } else if (field != nullptr && value.is_array() && field->patch_merge &&
                 field->type.kind == Kind::kList && field->type.element->kind == Kind::kStruct) {
        list(*field, value, to, patch);
      } else if (!fixed && value.is_string() && field->enum_values.empty() &&
                 field->type.kind == Kind::kString && random_.below(3) == 0) {
        to.set(name, "changed");
        patch.set(name, "changed");
      } else {
        to.set(name, value);
      }
    }
  }

 private:
  template <typename Inside>
  void nested(std::string_view name, json::Node to, json::Node patch, Inside inside) {
    json::Node inner_patch = patch.set_object(name);
    inside(to.set_object(name), inner_patch);
    if (inner_patch.empty()) patch.remove(name);
  }

  // Items go, change, or come at the end.
  void list(const Field& field, json::Value from, json::Node to, json::Node patch) {
    std::string_view key = field.patch_merge_key;
    json::Node items = to.set_array(field.name);
    json::Node changes = patch.set_array(field.name);
    size_t deleted = 0;  // Not all: an empty list would be left out.
    for (json::Value item : from.items()) {
      if (!item[key] || (deleted + 1 < from.size() && random_.below(4) == 0)) {
        if (!item[key]) {
          items.push(item);
          continue;
        }
        json::Node gone = changes.push_object();
        gone.set(key, item[key]);
        gone.set("$patch", "delete");
        ++deleted;
        continue;
      }
      json::Draft changed;
      std::string_view outer = key_;
      key_ = key;
      of(*field.type.element->structure, item, items.push_object(), changed.root(), false);
      key_ = outer;
      if (changed.root().empty()) continue;
      changed.root().set(key, item[key]);
      changes.push(changed.root());
    }
    if (changes.empty()) patch.remove(field.name);
  }

  RandomObject& random_;
  std::string_view key_;
};

TEST(Properties, AStrategicMergeOfADifferenceGivesTheTarget) {
  RandomObject random(kSeed);
  size_t changed = 0;
  for (const Resource* row : resources()) {
    for (int round = 0; round < kRounds; ++round) {
      json::Document from = object_of(*row, random);
      json::Draft to, patch;
      Change(random).of(*row->schema, from.root(), to.root(), patch.root(), false);
      json::Document difference = patch.freeze();
      Result<json::Draft> merged =
          strategic_merge_patch(*row->schema, from.root(), difference.root());
      ASSERT_TRUE(merged.ok()) << id_of(*row) << ": " << merged.error().message() << "\n"
                               << difference.root().dump();
      changed += difference.root().size();
      EXPECT_TRUE(json::equal(merged->root(), to.root())) << id_of(*row) << "\n"
                                                          << difference.root().dump() << "\n"
                                                          << merged->dump() << "\n"
                                                          << to.dump();
    }
  }
  EXPECT_GT(changed, 100u);
}

}  // namespace
}  // namespace wherry::api
