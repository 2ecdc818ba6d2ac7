#include "apiserver/reviews.h"

#include "apiserver/authorise.h"
#include "apiserver/bookkeeping.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

struct Review {
  const User& user;
  const Target& target;
  json::Value body;
  const Authenticator& authenticator;
  Time now;
};

void put_user(json::Node node, const User& user) {
  if (!user.name.empty()) node.set("username", user.name);
  if (!user.uid.empty()) node.set("uid", user.uid);
  if (!user.groups.empty()) {
    json::Node groups = node.set_array("groups");
    for (const std::string& group : user.groups) groups.push(group);
  }
  if (user.extra.empty()) return;
  json::Node extra = node.set_object("extra");
  for (const auto& [key, values] : user.extra) {
    json::Node list = extra.set_array(key);
    for (const std::string& value : values) list.push(value);
  }
}

// The review as it came, with the kind's names filled in.
json::Draft begin(const Review& review) {
  json::Draft draft(review.body);
  json::Node root = draft.root();
  root.set("kind", review.target.resource->kind);
  root.set("apiVersion", review.target.resource->api_version());
  root.ensure_object("metadata");
  return draft;
}

Error invalid(const Review& review, const api::FieldErrors& errors) {
  return errors.to_error(review.target.resource->group, "", "");
}

Result<json::Draft> self_subject(const Review& review) {
  json::Draft draft = begin(review);
  draft.root()["metadata"].set("creationTimestamp", format_time(review.now));
  put_user(draft.root().set_object("status").set_object("userInfo"), review.user);
  return draft;
}

Result<json::Draft> token(const Review& review) {
  std::string_view text = review.body["spec"]["token"].as_string();
  if (text.empty()) {
    return Error::bad_request("token is required for TokenReview in authentication");
  }
  std::vector<std::string> audiences;
  for (json::Value item : review.body["spec"]["audiences"].items()) {
    audiences.emplace_back(item.as_string());
  }
  json::Draft draft = begin(review);
  json::Node status = draft.root().set_object("status");
  Result<User> user = review.authenticator.check_token(text, audiences);
  if (!user.ok()) {
    status.set_object("user");
    status.set("error", "invalid bearer token");
    return draft;
  }
  status.set("authenticated", true);
  put_user(status.set_object("user"), *user);
  json::Node list = status.set_array("audiences");
  for (const std::string& audience : audiences) list.push(audience);
  if (audiences.empty()) list.push(kDefaultIssuer);
  return draft;
}

User user_of(json::Value spec) {
  User user;
  user.name = spec["user"].as_string();
  user.uid = spec["uid"].as_string();
  for (json::Value group : spec["groups"].items()) user.groups.emplace_back(group.as_string());
  return user;
}

json::Draft decide(const Review& review, const User& user) {
  json::Value spec = review.body["spec"];
  json::Value what = spec["resourceAttributes"];
  json::Value path = spec["nonResourceAttributes"];
  Attributes asked{.user = user};
  asked.is_resource = static_cast<bool>(what);
  asked.verb = asked.is_resource ? what["verb"].as_string() : path["verb"].as_string();
  asked.path = path["path"].as_string();
  asked.group = what["group"].as_string();
  asked.resource = what["resource"].as_string();
  asked.subresource = what["subresource"].as_string();
  asked.ns = what["namespace"].as_string();
  asked.name = what["name"].as_string();
  json::Draft draft = begin(review);
  bool yes = allowed(asked);
  json::Node status = draft.root().set_object("status");
  status.set("allowed", yes);
  return draft;
}

Result<void> check_attributes(const Review& review) {
  json::Value spec = review.body["spec"];
  api::FieldErrors errors;
  bool both = spec["resourceAttributes"] && spec["nonResourceAttributes"];
  bool neither = !spec["resourceAttributes"] && !spec["nonResourceAttributes"];
  api::Path path = api::Path("spec").child("resourceAttributes");
  if (both) {
    errors.invalid(api::Path("spec").child("nonResourceAttributes"), spec["nonResourceAttributes"],
                   "cannot be specified in combination with resourceAttributes");
  }
  if (neither) {
    errors.invalid(path, spec["resourceAttributes"],
                   "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  }
  if (!errors.empty()) return invalid(review, errors);
  return {};
}

Result<json::Draft> self_access(const Review& review) {
  TRY(check_attributes(review));
  return decide(review, review.user);
}

Result<json::Draft> subject_access(const Review& review) {
  TRY(check_attributes(review));
  json::Value spec = review.body["spec"];
  if (spec["user"].as_string().empty() && spec["groups"].empty()) {
    api::FieldErrors errors;
    errors.invalid(api::Path("spec").child("user"), spec["user"],
                   "at least one of user or group must be specified");
    return invalid(review, errors);
  }
  return decide(review, user_of(spec));
}

Result<json::Draft> self_rules(const Review& review) {
  json::Draft draft = begin(review);
  json::Node status = draft.root().set_object("status");
  json::Node resources = status.set_array("resourceRules");
  json::Node paths = status.set_array("nonResourceRules");
  bool all = review.user.in_group(kMasters);
  if (all) {
    json::Node rule = resources.push_object();
    for (const char* field : {"verbs", "apiGroups", "resources"}) rule.set_array(field).push("*");
    json::Node path = paths.push_object();
    path.set_array("verbs").push("*");
    path.set_array("nonResourceURLs").push("*");
  }
  status.set("incomplete", !all);
  return draft;
}

struct Entry {
  std::string_view group_resource;
  Result<json::Draft> (*answer)(const Review&);
};

constexpr Entry kReviews[] = {
    {"selfsubjectreviews.authentication.k8s.io", &self_subject},
    {"tokenreviews.authentication.k8s.io", &token},
    {"selfsubjectaccessreviews.authorization.k8s.io", &self_access},
    {"subjectaccessreviews.authorization.k8s.io", &subject_access},
    {"localsubjectaccessreviews.authorization.k8s.io", &subject_access},
    {"selfsubjectrulesreviews.authorization.k8s.io", &self_rules},
};

}  // namespace

std::optional<Result<json::Draft>> answer_review(const User& user, const Target& target,
                                                 json::Value body,
                                                 const Authenticator& authenticator, Time now) {
  std::string name = target.resource->group_resource();
  for (const Entry& entry : kReviews) {
    if (entry.group_resource != name) continue;
    Result<json::Draft> answer = entry.answer({user, target, body, authenticator, now});
    if (answer.ok()) put_in_order(target.resource->schema, *answer);
    return answer;
  }
  return std::nullopt;
}

}  // namespace wherry::apiserver
