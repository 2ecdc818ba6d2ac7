#include "api/status.h"

#include <gtest/gtest.h>

#include "api/field_error.h"

namespace wherry::api {
namespace {

TEST(Status, NotFoundNamesTheResource) {
  EXPECT_EQ(status_object(not_found("deployments.apps", "x")).dump(),
            R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
            R"("message":"deployments.apps \"x\" not found","reason":"NotFound",)"
            R"("details":{"name":"x","group":"apps","kind":"deployments"},"code":404})");
}

TEST(Status, BadRequestHasNoDetails) {
  EXPECT_EQ(status_object(Error::bad_request("no")).dump(),
            R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no",)"
            R"("reason":"BadRequest","code":400})");
}

TEST(Status, SuccessNamesWhatWasDeleted) {
  EXPECT_EQ(success_status("configmaps", "a", "u-1").dump(),
            R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success",)"
            R"("details":{"name":"a","kind":"configmaps","uid":"u-1"}})");
}

TEST(Status, SurvivesTheWire) {
  Error error = modified("pods", "web");
  json::Document body = status_object(error).freeze();
  Error back = error_from_status(body.root(), 409);
  EXPECT_TRUE(back.is(Code::kConflict));
  EXPECT_EQ(back.message(), error.message());
  EXPECT_EQ(back.details().kind, "pods");
}

TEST(Status, UnknownBodiesKeepTheirCode) {
  EXPECT_TRUE(error_from_status({}, 404).is(Code::kNotFound));
  EXPECT_TRUE(error_from_status({}, 503).is(Code::kUnavailable));
  EXPECT_TRUE(error_from_status({}, 418).is(Code::kBadRequest));
}

TEST(FieldErrors, OneFaultStandsAlone) {
  FieldErrors errors;
  errors.invalid(Path("spec").child("ports").index(0).child("port"), int64_t{0}, "must be more");
  Error error = errors.to_error("", "Service", "s");
  EXPECT_EQ(error.message(),
            "Service \"s\" is invalid: spec.ports[0].port: Invalid value: 0: must be more");
  EXPECT_EQ(error.details().causes.at(0).reason, "FieldValueInvalid");
}

TEST(FieldErrors, SeveralFaultsAreListedOnce) {
  static constexpr std::string_view kKnown[] = {"A", "B"};
  FieldErrors errors;
  errors.required(Path("a"), "");
  errors.required(Path("a"), "");
  errors.not_supported(Path("b"), "x", kKnown);
  Error error = errors.to_error("apps", "Deployment", "d");
  EXPECT_EQ(error.message(),
            "Deployment.apps \"d\" is invalid: [a: Required value, b: Unsupported value: \"x\": "
            "supported "
            "values: \"A\", \"B\"]");
  EXPECT_EQ(error.details().causes.size(), 3u);
}

}  // namespace
}  // namespace wherry::api
