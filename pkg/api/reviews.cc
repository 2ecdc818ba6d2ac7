// Kinds that are asked, not stored (authentication.k8s.io/v1, authorization.k8s.io/v1). Rules from
// the Kubernetes API reference.

#include "api/rows.h"
#include "api/schema_authentication_v1.h"
#include "api/schema_authorization_v1.h"
#include "api/table.h"

namespace wherry::api {
namespace {

constexpr Resource review(std::string_view group, std::string_view kind, std::string_view plural,
                          std::string_view singular, Scope scope, const Struct* schema) {
  return {.group = group,
          .version = "v1",
          .kind = kind,
          .plural = plural,
          .singular = singular,
          .scope = scope,
          .verbs = kCreateVerb,
          .schema = schema};
}

constexpr std::string_view kAuthentication = "authentication.k8s.io";
constexpr std::string_view kAuthorization = "authorization.k8s.io";

}  // namespace

constinit const Resource kSelfSubjectReviews =
    review(kAuthentication, "SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview",
           Scope::kCluster, &schema::authentication_v1::kSelfSubjectReview);
constinit const Resource kTokenReviews =
    review(kAuthentication, "TokenReview", "tokenreviews", "tokenreview", Scope::kCluster,
           &schema::authentication_v1::kTokenReview);
constinit const Resource kLocalSubjectAccessReviews =
    review(kAuthorization, "LocalSubjectAccessReview", "localsubjectaccessreviews",
           "localsubjectaccessreview", Scope::kNamespaced,
           &schema::authorization_v1::kLocalSubjectAccessReview);
constinit const Resource kSelfSubjectAccessReviews =
    review(kAuthorization, "SelfSubjectAccessReview", "selfsubjectaccessreviews",
           "selfsubjectaccessreview", Scope::kCluster,
           &schema::authorization_v1::kSelfSubjectAccessReview);
constinit const Resource kSelfSubjectRulesReviews = review(
    kAuthorization, "SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview",
    Scope::kCluster, &schema::authorization_v1::kSelfSubjectRulesReview);
constinit const Resource kSubjectAccessReviews =
    review(kAuthorization, "SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview",
           Scope::kCluster, &schema::authorization_v1::kSubjectAccessReview);

}  // namespace wherry::api
