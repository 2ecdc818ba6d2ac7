#pragma once
// For tests of this folder: a machinery over a store in a temporary folder, and short ways to use
// it.

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "apiserver/authorise.h"
#include "apiserver/bootstrap.h"
#include "apiserver/machinery.h"
#include "base/clock.h"
#include "os/file.h"
#include "store/store.h"

namespace wherry::apiserver {

class MachineryTest : public ::testing::Test {
 protected:
  MachineryTest() : directory_(os::TempDirectory::make().value()) {
    store_ =
        store::open({.path = directory_.path() + "/state.db", .lazy = {"events"}}, clock_).value();
    authoriser_ = std::make_unique<Authoriser>(*store_);
    EXPECT_TRUE(authoriser_->start().ok());
    MachineryOptions options;
    options.authoriser = authoriser_.get();
    machinery_ = std::make_unique<Machinery>(*store_, clock_, options);
    EXPECT_TRUE(machinery_->start().ok());
    EXPECT_TRUE(make_bootstrap_objects(*machinery_).ok());
    context_.user.name = "tester";
    context_.user.groups = {std::string(kMasters)};
    context_.user_agent = "test/1";
    create("serviceaccounts", "default", R"({"metadata":{"name":"default"}})");
  }

  static Target target(std::string_view resource, std::string ns, std::string name = {},
                       std::string subresource = {}) {
    return {&api::resource(resource), std::move(ns), std::move(name), std::move(subresource)};
  }

  Result<ObjectPtr> try_create(std::string_view resource, const std::string& ns,
                               std::string_view body, const WriteOptions& options = {}) {
    json::Document document = json::Document::parse(body).value();
    Written written =
        TRY(machinery_->create(context_, target(resource, ns), document.root(), options));
    return written.object;
  }
  ObjectPtr create(std::string_view resource, const std::string& ns, std::string_view body) {
    Result<ObjectPtr> object = try_create(resource, ns, body);
    EXPECT_TRUE(object.ok()) << (object.ok() ? "" : object.error().message());
    return object.ok() ? *object : nullptr;
  }

  Result<ObjectPtr> try_update(const Target& at, std::string_view body) {
    json::Document document = json::Document::parse(body).value();
    Written written = TRY(machinery_->update(context_, at, document.root()));
    return written.object;
  }
  Result<ObjectPtr> try_patch(const Target& at, PatchType type, std::string_view body,
                              const WriteOptions& options = {}) {
    json::Document document = json::Document::parse(body).value();
    Written written = TRY(machinery_->patch(context_, at, type, document.root(), options));
    return written.object;
  }
  Result<Deleted> remove(const Target& at, const DeleteOptions& options = {}) {
    return machinery_->remove(context_, at, options);
  }
  // The text at a path such as "spec.clusterIP".
  static std::string text(const ObjectPtr& object, std::string_view path) {
    json::Document document = object->document();
    json::Value value = document.root();
    while (!path.empty()) {
      size_t dot = path.find('.');
      value = value[path.substr(0, dot)];
      path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    }
    return value.is_string() ? std::string(value.as_string())
           : value           ? value.dump()
                             : std::string();
  }

  FakeClock clock_;
  os::TempDirectory directory_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Authoriser> authoriser_;
  std::unique_ptr<Machinery> machinery_;
  Context context_;
};

inline constexpr std::string_view kPodJson =
    R"({"metadata":{"name":"web"},"spec":{"containers":[{"name":"c","image":"nginx:1"}]}})";

}  // namespace wherry::apiserver
