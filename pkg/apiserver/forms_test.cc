#include "apiserver/forms.h"

#include <gtest/gtest.h>

namespace wherry::apiserver {
namespace {

using api::Object;
using api::ObjectPtr;
using Kind = Forms::Kind;

constexpr Time kNow{std::chrono::hours(24 * 365 * 50)};

ObjectPtr object(const std::string& name) {
  return Object::parse(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":")" + name +
                       R"(","resourceVersion":"5"}})")
      .value();
}

EncodedPtr encoded(std::string bytes, Time until = Time::max()) {
  Encoded out;
  out.bytes = std::move(bytes);
  out.until = until;
  return std::make_shared<const Encoded>(std::move(out));
}

EncodedPtr find_one(Forms& forms, Kind kind, const ObjectPtr& object, Time now) {
  return forms.find(kind, {&object, 1}, now)[0];
}

TEST(Forms, FindsWhatWasKeptOfThatObjectInThatForm) {
  Forms forms;
  std::vector<ObjectPtr> objects{object("a"), object("b")};
  forms.keep(Kind::kProtobuf, objects[1], encoded("bytes"), kNow);
  std::vector<EncodedPtr> found = forms.find(Kind::kProtobuf, objects, kNow);
  EXPECT_EQ(found[0], nullptr);
  ASSERT_NE(found[1], nullptr);
  EXPECT_EQ(found[1]->bytes, "bytes");
  EXPECT_EQ(find_one(forms, Kind::kRow, objects[1], kNow), nullptr);
}

TEST(Forms, DoesNotGiveWhatNoLongerHolds) {
  Forms forms;
  ObjectPtr a = object("a");
  forms.keep(Kind::kRow, a, encoded("3s", kNow + std::chrono::seconds(1)), kNow);
  EXPECT_NE(find_one(forms, Kind::kRow, a, kNow), nullptr);
  EXPECT_EQ(find_one(forms, Kind::kRow, a, kNow + std::chrono::seconds(1)), nullptr);
  forms.keep(Kind::kRow, a, encoded("4s"), kNow + std::chrono::seconds(1));
  EXPECT_EQ(find_one(forms, Kind::kRow, a, kNow + std::chrono::seconds(1))->bytes, "4s");
}

TEST(Forms, KeepsWhatIsInUseAndLetsTheUnusedGo) {
  Forms forms(3000);
  ObjectPtr a = object("a"), b = object("b"), c = object("c"), d = object("d");
  forms.keep(Kind::kProtobuf, a, encoded(std::string(1000, 'a')), kNow);
  forms.keep(Kind::kProtobuf, b, encoded(std::string(1000, 'b')), kNow);
  forms.keep(Kind::kProtobuf, c, encoded(std::string(1000, 'c')), kNow + std::chrono::seconds(2));
  EXPECT_EQ(find_one(forms, Kind::kProtobuf, c, kNow + std::chrono::seconds(2)), nullptr);
  EXPECT_NE(find_one(forms, Kind::kProtobuf, a, kNow + std::chrono::seconds(9)), nullptr);
  forms.keep(Kind::kProtobuf, d, encoded(std::string(1000, 'd')), kNow + std::chrono::seconds(15));
  Time later = kNow + std::chrono::seconds(15);
  EXPECT_NE(find_one(forms, Kind::kProtobuf, a, later), nullptr);
  EXPECT_EQ(find_one(forms, Kind::kProtobuf, b, later), nullptr);
  EXPECT_NE(find_one(forms, Kind::kProtobuf, d, later), nullptr);
  EXPECT_LE(forms.bytes(), 3000U);
}

TEST(Forms, ThoseOfObjectsThatAreGoneGoToo) {
  Forms forms;
  ObjectPtr a = object("a"), b = object("b");
  forms.keep(Kind::kProtobuf, a, encoded(std::string(1000, 'a')), kNow);
  a.reset();
  forms.keep(Kind::kProtobuf, b, encoded("b"), kNow + std::chrono::minutes(2));
  EXPECT_LT(forms.bytes(), 1000U);
}

}  // namespace
}  // namespace wherry::apiserver
