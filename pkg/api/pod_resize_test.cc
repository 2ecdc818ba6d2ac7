#include <gtest/gtest.h>

#include "api/field_error.h"
#include "api/pod_rules.h"

namespace wherry::api {
namespace {

constexpr std::string_view kGuaranteed =
    R"({"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"100m","memory":"100Mi"},)"
    R"("limits":{"cpu":"100m","memory":"100Mi"}}},{"name":"d","image":"i","resources":{"requests":{"cpu":"1",)"
    R"("memory":"1Gi"},"limits":{"cpu":"1","memory":"1Gi"}}}]}})";
constexpr std::string_view kBurstable =
    R"({"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"100m","memory":"100Mi",)"
    R"("ephemeral-storage":"1Gi"},"limits":{"cpu":"200m","memory":"200Mi"}}}]}})";

struct Outcome {
  std::string errors;
  std::string pod;
};

// What becomes of `before` when `sent` is put to pods/resize.
Outcome resize(std::string_view before, std::string_view sent) {
  json::Document old = json::Document::parse(before).value();
  json::Draft draft = json::Draft::parse(sent).value();
  narrow_to_resize(old.root(), draft.root(), Time{});
  json::Document now = draft.freeze();
  FieldErrors errors;
  validate_resize_update(old.root(), now.root(), errors);
  return {errors.empty() ? "" : errors.to_error("", "Pod", "p").message(), now.root().dump()};
}

std::string with(std::string_view pod, std::string_view from, std::string_view to) {
  std::string text(pod);
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST(PodResize, TakesResourcesOnly) {
  Outcome out =
      resize(kBurstable,
             R"({"spec":{"activeDeadlineSeconds":5,"containers":[{"name":"c","image":"other",)"
             R"("resources":{"requests":{"cpu":"150m","memory":"100Mi","ephemeral-storage":"1Gi"},)"
             R"("limits":{"cpu":"200m","memory":"200Mi"}}}]}})");
  EXPECT_EQ(out.errors, "");
  EXPECT_NE(out.pod.find(R"("cpu":"150m")"), std::string::npos);
  EXPECT_NE(out.pod.find(R"("image":"i")"), std::string::npos);
  EXPECT_EQ(out.pod.find("activeDeadlineSeconds"), std::string::npos);
}

TEST(PodResize, RefusesWhatMayNotChange) {
  EXPECT_EQ(
      resize(kGuaranteed, with(kGuaranteed, R"("cpu":"100m")", R"("cpu":"50m")")).errors,
      R"(Pod "p" is invalid: spec: Invalid value: "Guaranteed": Pod QOS Class may not change )"
      "as a result of resizing");
  EXPECT_EQ(resize(kBurstable,
                   with(kBurstable, R"("ephemeral-storage":"1Gi")", R"("ephemeral-storage":"2Gi")"))
                .errors,
            R"(Pod "p" is invalid: spec: Forbidden: only cpu and memory resources are mutable)");
  EXPECT_EQ(
      resize(kBurstable, with(kBurstable, R"("limits":{"cpu":"200m",)", R"("limits":{)")).errors,
      R"(Pod "p" is invalid: spec.containers[0].resources.limits: Forbidden: resource limits )"
      "cannot be removed");
  EXPECT_EQ(resize(kGuaranteed, with(kGuaranteed, R"({"name":"c")", R"({"name":"x")")).errors,
            R"(Pod "p" is invalid: spec.containers[0].name: Forbidden: containers may not be )"
            "renamed or reordered on resize");
  EXPECT_EQ(
      resize(with(kBurstable, R"({"spec")",
                  R"({"metadata":{"annotations":{"kubernetes.io/config.mirror":"x"}},"spec")"),
             kBurstable)
          .errors,
      R"(Pod "p" is invalid: []: Forbidden: static pods cannot be resized)");
}

TEST(PodResize, FillsRequestsFromLimits) {
  Outcome out = resize(
      kBurstable, with(kBurstable, R"("cpu":"100m","memory":"100Mi",)", R"("memory":"100Mi",)"));
  EXPECT_EQ(out.errors, "");
  EXPECT_NE(out.pod.find(R"("requests":{"memory":"100Mi","ephemeral-storage":"1Gi","cpu":"200m"})"),
            std::string::npos);
}

}  // namespace
}  // namespace wherry::api
