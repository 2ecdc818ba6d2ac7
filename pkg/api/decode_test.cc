#include "api/decode.h"

#include <gtest/gtest.h>

#include "api/decode_text.h"
#include "api/schema_apps_v1.h"
#include "api/schema_coordination_v1.h"
#include "api/schema_core_v1.h"
#include "api/schema_rbac_v1.h"

namespace wherry::api {
namespace {

using schema::core_v1::kPod;

std::string decoded(const Struct& type, std::string_view text) {
  std::vector<std::string> warnings;
  Result<json::Draft> made = decode_text(type, text, {}, warnings);
  return made.ok() ? made->dump() : "error: " + made.error().message();
}

std::string strict(const Struct& type, std::string_view text) {
  std::vector<std::string> warnings;
  DecodeOptions options{.field_validation = FieldValidation::kStrict};
  Result<json::Draft> made = decode_text(type, text, options, warnings);
  return made.ok() ? "" : made.error().message();
}

TEST(Decode, PutsFieldsInOrderAndFillsWhatGoAlwaysWrites) {
  EXPECT_EQ(decoded(kPod, R"({"spec":{"nodeName":"n","containers":[{"image":"i","name":"c"}]},
                              "metadata":{"name":"p"},"apiVersion":"v1","kind":"Pod"})"),
            R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{"containers":[)"
            R"({"name":"c","image":"i","resources":{}}],"nodeName":"n"},"status":{}})");
  EXPECT_EQ(decoded(schema::rbac_v1::kRole, R"({"metadata":{}})"),
            R"({"metadata":{},"rules":null})");
  EXPECT_EQ(
      decoded(
          kPod,
          R"({"metadata":null,"spec":{"containers":[null],"nodeSelector":{"b":null,"a":"1"}}})"),
      R"({"metadata":{},"spec":{"containers":[{"name":"","resources":{}}],)"
      R"("nodeSelector":{"a":"1","b":""}},"status":{}})");
}

TEST(Decode, LeavesOutZeroValuesButNotThoseOfPointers) {
  EXPECT_EQ(
      decoded(kPod,
              R"({"spec":{"hostNetwork":false,"nodeName":"","tolerations":[],"nodeSelector":{},
                              "terminationGracePeriodSeconds":0,"containers":[],"affinity":{}}})"),
      R"({"metadata":{},"spec":{"containers":[],"terminationGracePeriodSeconds":0,"affinity":{}},)"
      R"("status":{}})");
}

TEST(Decode, WritesCanonicalTimesAndQuantities) {
  EXPECT_EQ(
      decoded(kPod, R"({"metadata":{"creationTimestamp":"2024-01-02T03:04:05.678+02:00"}})"),
      R"({"metadata":{"creationTimestamp":"2024-01-02T01:04:05Z"},"spec":{"containers":null},"status":{}})");
  EXPECT_EQ(decoded(schema::core_v1::kResourceRequirements,
                    R"({"limits":{"memory":"1.5Gi","cpu":0.5,"x":null}})"),
            R"({"limits":{"cpu":"500m","memory":"1536Mi","x":"0"}})");
  EXPECT_EQ(decoded(schema::coordination_v1::kLease,
                    R"({"spec":{"renewTime":"2024-01-02T03:04:05.000001Z"}})"),
            R"({"metadata":{},"spec":{"renewTime":"2024-01-02T03:04:05.000001Z"}})");
}

TEST(Decode, ReportsWrongTypesAsGoDoes) {
  const std::string pod = "Pod in version \"v1\" cannot be handled as a Pod: ";
  auto error = [](std::string_view spec) {
    return strict(kPod, R"({"kind":"Pod","apiVersion":"v1","spec":)" + std::string(spec) + "}");
  };
  EXPECT_EQ(
      strict(schema::apps_v1::kDeployment,
             R"({"kind":"Deployment","apiVersion":"apps/v1","spec":{"replicas":"x"}})"),
      "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal "
      "string into Go struct field DeploymentSpec.spec.replicas of type int32");
  EXPECT_EQ(error("5"),
            pod + "json: cannot unmarshal number into Go struct field Pod.spec of type v1.PodSpec");
  EXPECT_EQ(
      error(R"({"containers":{}})"),
      pod +
          "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type "
          "[]v1.Container");
  EXPECT_EQ(error(R"({"containers":[{"ports":[{"containerPort":1.5}]}]})"),
            pod +
                "json: cannot unmarshal number 1.5 into Go struct field "
                "ContainerPort.spec.containers.ports.containerPort of type int32");
  EXPECT_EQ(error(R"({"activeDeadlineSeconds":9223372036854775808})"),
            pod +
                "json: cannot unmarshal number 9223372036854775808 into Go struct field "
                "PodSpec.spec.activeDeadlineSeconds of type int64");
  EXPECT_EQ(
      error(R"({"volumes":[{"configMap":{"name":5}}]})"),
      pod +
          "json: cannot unmarshal number into Go struct field ConfigMapVolumeSource.spec.volumes."
          "VolumeSource.configMap.LocalObjectReference.name of type string");
  EXPECT_EQ(error(R"({"nodeSelector":{"a":1}})"),
            pod +
                "json: cannot unmarshal number into Go struct field PodSpec.spec.nodeSelector of "
                "type string");
}

TEST(Decode, ReportsUnknownAndRepeatedFields) {
  EXPECT_EQ(
      strict(kPod, R"({"kind":"Pod","apiVersion":"v1","foo":1,"metadata":{"name":"a","name":"b",
                "labels":{"x":"1","x":"2"}},"spec":{"HostNetwork":true,
                "containers":[{},{"ports":[{"a":1}]}]}})"),
      "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field "
      "\"foo\", "
      "duplicate field \"metadata.name\", duplicate field \"metadata.labels.x\", unknown field "
      "\"spec.HostNetwork\", unknown field \"spec.containers[1].ports[0].a\"");
}

TEST(Decode, WarnsInsteadWhenAsked) {
  std::vector<std::string> warnings;
  DecodeOptions options{.field_validation = FieldValidation::kWarn};
  Result<json::Draft> made =
      decode_text(schema::core_v1::kConfigMap, R"({"data":{"b":"1"},"foo":1})", options, warnings);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->dump(), R"({"metadata":{},"data":{"b":"1"}})");
  EXPECT_EQ(warnings, std::vector<std::string>{"unknown field \"foo\""});
}

TEST(Decode, SurvivesDeepNesting) {
  std::string deep = R"({"spec":)" + std::string(100000, '[') + std::string(100000, ']') + "}";
  EXPECT_NE(strict(kPod, deep), "");
  deep = R"({"data":)" + std::string(2000, '[') + std::string(2000, ']') + "}";
  EXPECT_NE(strict(schema::apps_v1::kControllerRevision, deep).find("exceeded max depth"),
            std::string::npos);
  EXPECT_NE(strict(kPod, std::string(100000, '[')), "");
}

TEST(Decode, KeepsWhatDoesNotFitWhenAsked) {
  std::vector<std::string> warnings;
  DecodeOptions options{.keep_mismatched = true};
  Result<json::Draft> made =
      decode_text(kPod, R"({"spec":{"containers":"x","nodeName":5}})", options, warnings);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->dump(), R"({"metadata":{},"spec":{"containers":"x","nodeName":5},"status":{}})");
}

TEST(GoJsonError, SpeaksAsGo) {
  EXPECT_EQ(go_json_error("hello"), "invalid character 'h' looking for beginning of value");
  EXPECT_EQ(go_json_error(R"({"a":1,})"),
            "invalid character '}' looking for beginning of object key string");
  EXPECT_EQ(go_json_error(R"({"a")"), "unexpected end of JSON input");
  EXPECT_EQ(go_json_error(""), "unexpected end of JSON input");
  EXPECT_EQ(go_json_error(R"({"a":tru})"), "invalid character '}' in literal true (expecting 'e')");
  EXPECT_EQ(go_json_error("[1 2]"), "invalid character '2' after array element");
  EXPECT_EQ(go_json_error("{'a':1}"),
            "invalid character '\\'' looking for beginning of object key string");
  EXPECT_EQ(go_json_error(R"({"a":"\x"})"), "invalid character 'x' in string escape code");
  EXPECT_EQ(go_json_error(R"({"a":1.})"),
            "invalid character '}' after decimal point in numeric literal");
  EXPECT_EQ(go_json_error(R"({}})"), "invalid character '}' after top-level value");
  EXPECT_EQ(go_json_error(R"( {"a":[true,null,-1.5e+3,"\u00e9"]} )"), "");
}

TEST(DecodeText, TellsWhatIsWrongWithTimes) {
  EXPECT_EQ(go_time_error("2024-01-02T03:04:05Z", false), "");
  EXPECT_EQ(
      go_time_error("yesterday", false),
      R"(parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006")");
  EXPECT_EQ(go_time_error("2024-13-01T00:00:00Z", false),
            R"(parsing time "2024-13-01T00:00:00Z": month out of range)");
  EXPECT_EQ(go_time_error("2024-01-02T03:04:05Z", true),
            R"(parsing time "2024-01-02T03:04:05Z" as "2006-01-02T15:04:05.000000Z07:00": )"
            R"(cannot parse "Z" as ".000000")");
  EXPECT_EQ(go_time_error("2024-02-30T00:00:00Z", false),
            R"(parsing time "2024-02-30T00:00:00Z": day out of range)");
}

TEST(DecodeText, TellsWhatIsWrongWithBase64) {
  EXPECT_EQ(go_base64_error("YQ\n=="), "");
  EXPECT_EQ(go_base64_error("YQ"), "illegal base64 data at input byte 0");
  EXPECT_EQ(go_base64_error("YWJj!"), "illegal base64 data at input byte 4");
  EXPECT_EQ(go_base64_error("YQ==x"), "illegal base64 data at input byte 4");
  EXPECT_EQ(go_base64_error("YQ=a"), "illegal base64 data at input byte 2");
}

TEST(DecodeText, ReadsAndWritesDurations) {
  EXPECT_EQ(parse_go_duration("1h2m3.5s"), 3'723'500'000'000);
  EXPECT_EQ(parse_go_duration("-30s"), -30'000'000'000);
  EXPECT_EQ(parse_go_duration("3"), std::nullopt);
  EXPECT_EQ(format_go_duration(3'723'500'000'000), "1h2m3.5s");
  EXPECT_EQ(format_go_duration(30'000'000'000), "30s");
  EXPECT_EQ(format_go_duration(0), "0s");
  EXPECT_EQ(format_go_duration(1'500'000), "1.5ms");
  EXPECT_EQ(format_go_duration(3'600'000'000'000), "1h0m0s");
}

}  // namespace
}  // namespace wherry::api
