#include "api/protobuf.h"
#include "api/resource.h"
#include "api/table.h"
#include "apiserver/encode.h"
#include "apiserver/test_server.h"

namespace wherry::apiserver {
namespace {

class EncodeListTest : public MachineryTest {
 protected:
  // More than what is worth compressing.
  void make_pods(int count) {
    for (int i = 0; i < count; ++i) {
      create(
          "pods", "default",
          fmt::format(
              R"({{"metadata":{{"name":"web-{}","labels":{{"quote":"a"}},"annotations":{{"brace":"}}\"{{"}}}},"spec":{{"containers":[{{"name":"c","image":"nginx:1","env":[{{"name":"LONG","value":"{}"}}]}}]}}}})",
              i, std::string(1500, static_cast<char>('a' + i % 26))));
    }
  }
  ListResult list() { return machinery_->list(target("pods", "default"), {}).value(); }
  std::string body(const ListResult& pods, const Wanted& wanted, std::string_view include = {}) {
    http::Response response;
    write_list(response, api::resource("pods"), pods, wanted, include, clock_.now(), &forms_);
    std::string out;
    for (const http::Piece& piece : response.pieces()) out += piece.bytes;
    encoding_ = response.headers.get("Content-Encoding");
    vary_ = response.headers.get("Vary");
    return encoding_ == "gzip" ? http::gunzip(out, 64 << 20).value() : out;
  }

  Forms forms_;
  std::string encoding_, vary_;
};

std::vector<Wanted> all_wanted() {
  std::vector<Wanted> out;
  for (MediaType media : {MediaType::kJson, MediaType::kProtobuf}) {
    for (Form form : {Form::kObject, Form::kPartial, Form::kTable}) {
      Wanted wanted;
      wanted.media = media;
      wanted.form = form;
      out.push_back(wanted);
    }
  }
  return out;
}

TEST_F(EncodeListTest, CompressedIsTheSameText) {
  make_pods(100);
  for (int round = 0; round < 3; ++round) {
    for (Wanted wanted : all_wanted()) {
      std::string plain = body(list(), wanted);
      EXPECT_EQ(encoding_, "");
      EXPECT_EQ(vary_, "");
      wanted.gzip = true;
      EXPECT_EQ(body(list(), wanted), plain);
      const bool large = plain.size() > kCompressedBytesMin;
      EXPECT_EQ(encoding_, large ? "gzip" : "");
      EXPECT_EQ(vary_, large ? "Accept-Encoding" : "");
    }
    // What changed is made anew, and so is what stands behind it.
    clock_.advance(std::chrono::seconds(1));
    ASSERT_TRUE(remove(target("pods", "default", fmt::format("web-{}", 40 + round)),
                       {.grace_period_seconds = 0})
                    .ok());
    ASSERT_TRUE(try_patch(target("pods", "default", "web-7"), PatchType::kMerge,
                          fmt::format(R"({{"metadata":{{"labels":{{"r":"{}"}}}}}})", round))
                    .ok());
  }
}

TEST_F(EncodeListTest, PagesCompressToo) {
  make_pods(120);
  Wanted wanted;
  wanted.gzip = true;
  ListOptions options;
  options.limit = 90;
  ListResult first = machinery_->list(target("pods", "default"), options).value();
  body(list(), wanted);  // What it keeps belongs to the whole list.
  json::Document page = json::Document::parse(body(first, wanted)).value();
  EXPECT_EQ(page.root()["items"].size(), 90U);
  options.continue_token = first.continue_token;
  options.limit = 0;
  ListResult rest = machinery_->list(target("pods", "default"), options).value();
  page = json::Document::parse(body(rest, wanted)).value();
  EXPECT_EQ(page.root()["items"].size(), 30U);
}

TEST_F(EncodeListTest, RowsAreThoseOfATable) {
  make_pods(3);
  ListResult pods = list();
  std::vector<json::Document> documents;
  std::vector<json::Value> items;
  for (const ObjectPtr& object : pods.items) {
    documents.push_back(object->document());
    items.push_back(documents.back().root());
  }
  json::Draft meta;
  meta.root().set("resourceVersion", std::to_string(pods.revision));
  json::Document frozen = meta.freeze();
  Wanted wanted;
  wanted.form = Form::kTable;
  for (std::string_view version : {"v1", "v1beta1"}) {
    for (int include = 0; include < 3; ++include) {
      api::TableOptions options;
      options.include_object = static_cast<api::IncludeObject>(include);
      options.version = version;
      wanted.form_version = version;
      clock_.advance(std::chrono::seconds(7));
      json::Draft table =
          api::make_table(api::resource("pods"), items, options, clock_.now(), frozen.root());
      static constexpr std::string_view kNames[] = {"None", "Metadata", "Object"};
      EXPECT_EQ(body(pods, wanted, kNames[include]), table.dump() + "\n");
    }
  }
}

TEST_F(EncodeListTest, AgesGrow) {
  make_pods(1);
  Wanted wanted;
  wanted.form = Form::kTable;
  clock_.advance(std::chrono::seconds(3));
  EXPECT_NE(body(list(), wanted).find(R"("3s")"), std::string::npos);
  clock_.advance(std::chrono::milliseconds(999));
  EXPECT_NE(body(list(), wanted).find(R"("3s")"), std::string::npos);
  clock_.advance(std::chrono::milliseconds(1));
  EXPECT_NE(body(list(), wanted).find(R"("4s")"), std::string::npos);
  clock_.advance(std::chrono::hours(26));
  EXPECT_NE(body(list(), wanted).find(R"("26h")"), std::string::npos);
}

TEST_F(EncodeListTest, ProtobufIsTheListsMessage) {
  make_pods(3);
  Wanted wanted;
  wanted.media = MediaType::kProtobuf;
  for (int i = 0; i < 2; ++i) {
    Result<json::Draft> decoded = api::protobuf_decode_body(
        *api::find_struct("io.k8s.api.core.v1.PodList"), body(list(), wanted));
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded->root()["kind"].as_string(), "PodList");
    ASSERT_EQ(decoded->root()["items"].size(), 3U);
    EXPECT_EQ(decoded->root()["items"].at(2)["metadata"]["name"].as_string(), "web-2");
  }
}

TEST_F(EncodeListTest, AnEmptyListOfMetadataHasNoArray) {
  Wanted wanted;
  wanted.form = Form::kPartial;
  json::Document list_body = json::Document::parse(body(list(), wanted)).value();
  EXPECT_TRUE(list_body.root()["items"].is_null());
}

}  // namespace
}  // namespace wherry::apiserver
