#include "apiserver/reviews.h"

#include "api/apply.h"
#include "api/status.h"
#include "apiserver/bookkeeping.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

struct Review {
  const User& user;
  const Target& target;
  json::Value body;
  const Reviewers& reviewers;
  Time now;
};

// The review as it came, with the kind's names filled in.
json::Draft begin(const Review& review) {
  json::Draft draft(review.body);
  json::Node root = draft.root();
  root.set("kind", review.target.resource->kind);
  root.set("apiVersion", review.target.resource->api_version());
  root.ensure_object("metadata");
  api::ApplyOptions tracking;
  tracking.manager = review.reviewers.manager;
  tracking.api_version = review.target.resource->api_version();
  tracking.now = review.now;
  api::track_update(review.target.resource->schema, json::Value(), root, tracking);
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
  std::vector<std::string> fitting;
  Result<User> user = review.reviewers.authenticator.check_token(text, audiences, &fitting);
  if (!user.ok()) {
    status.set_object("user");
    const std::string& why = user.error().message();
    constexpr std::string_view kBad = "invalid bearer token";
    bool told = why != api::unauthorized().message();
    status.set("error", told ? fmt::format("[{}, {}]", kBad, why) : std::string(kBad));
    return draft;
  }
  status.set("authenticated", true);
  put_user(status.set_object("user"), *user);
  json::Node list = status.set_array("audiences");
  for (const std::string& audience : fitting) list.push(audience);
  return draft;
}

User user_of(json::Value spec) {
  User user;
  user.name = spec["user"].as_string();
  user.uid = spec["uid"].as_string();
  for (json::Value group : spec["groups"].items()) user.groups.emplace_back(group.as_string());
  for (auto [key, values] : spec["extra"].members()) {
    std::vector<std::string> texts;
    for (json::Value value : values.items()) texts.emplace_back(value.as_string());
    user.extra.emplace_back(key, std::move(texts));
  }
  return user;
}

// The field selector of a review as a query would have it. Requirements that no query can express
// do not narrow what is asked for.
std::string field_selector(json::Value selector) {
  std::string_view raw = selector["rawSelector"].as_string();
  if (!raw.empty()) return std::string(raw);
  std::vector<std::string> parts;
  for (json::Value one : selector["requirements"].items()) {
    if (one["values"].size() != 1) continue;
    std::string_view op = one["operator"].as_string();
    const char* sign = op == "In" ? "=" : op == "NotIn" ? "!=" : nullptr;
    if (sign == nullptr) continue;
    parts.push_back(
        fmt::format("{}{}{}", one["key"].as_string(), sign, one["values"].at(0).as_string()));
  }
  return join(parts, ",");
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
  std::string fields = field_selector(what["fieldSelector"]);
  asked.fields = fields;
  json::Draft draft = begin(review);
  std::string reason;
  bool yes = review.reviewers.authoriser.allows(asked, &reason);
  json::Node status = draft.root().set_object("status");
  status.set("allowed", yes);
  if (!reason.empty()) status.set("reason", reason);
  return draft;
}

// A selector says what it selects in one form or in the other.
void check_selector(json::Value selector, const api::Path& path, api::FieldErrors& errors) {
  if (!selector) return;
  std::string_view raw = selector["rawSelector"].as_string();
  json::Value requirements = selector["requirements"];
  if (!raw.empty() && !requirements.empty()) {
    errors.invalid(path.child("rawSelector"), raw,
                   "may not specified at the same time as requirements");
  } else if (raw.empty() && requirements.empty()) {
    errors.required(
        path.child("requirements"),
        fmt::format("when {} is specified, requirements or rawSelector is required", path.text()));
  }
}

// As upstream shows a value of this kind in an error.
json::Document shown_path_attributes(json::Value attributes) {
  json::Draft shown;
  shown.root().set("Path", attributes["path"].as_string());
  shown.root().set("Verb", attributes["verb"].as_string());
  return shown.freeze();
}

// What every review of access must say, and no more than that.
void check_attributes(const Review& review, api::FieldErrors& errors) {
  json::Value spec = review.body["spec"];
  json::Value what = spec["resourceAttributes"];
  json::Value other = spec["nonResourceAttributes"];
  api::Path path = api::Path("spec").child("resourceAttributes");
  if (what && other) {
    errors.invalid(api::Path("spec").child("nonResourceAttributes"),
                   shown_path_attributes(other).root(),
                   "cannot be specified in combination with resourceAttributes");
  }
  if (!what && !other) {
    errors.invalid(path, what,
                   "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  }
  check_selector(what["fieldSelector"], path.child("fieldSelector"), errors);
  check_selector(what["labelSelector"], path.child("labelSelector"), errors);
}

void check_subject(const Review& review, api::FieldErrors& errors) {
  json::Value spec = review.body["spec"];
  if (!spec["user"].as_string().empty() || !spec["groups"].empty()) return;
  errors.invalid(api::Path("spec").child("user"), "",
                 "at least one of user or group must be specified");
}

Result<json::Draft> self_access(const Review& review) {
  api::FieldErrors errors;
  check_attributes(review, errors);
  if (!errors.empty()) return invalid(review, errors);
  return decide(review, review.user);
}

Result<json::Draft> subject_access(const Review& review) {
  api::FieldErrors errors;
  check_attributes(review, errors);
  check_subject(review, errors);
  if (!errors.empty()) return invalid(review, errors);
  return decide(review, user_of(review.body["spec"]));
}

Result<json::Draft> local_subject_access(const Review& review) {
  json::Value spec = review.body["spec"];
  std::string_view own = review.body["metadata"]["namespace"].as_string();
  if (!own.empty() && own != review.target.ns) {
    return Error::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request");
  }
  api::FieldErrors errors;
  check_attributes(review, errors);
  check_subject(review, errors);
  json::Value what = spec["resourceAttributes"];
  if (what && what["namespace"].as_string() != review.target.ns) {
    errors.invalid(api::Path("spec").child("resourceAttributes").child("namespace"),
                   what["namespace"].as_string(), "must match metadata.namespace");
  }
  if (json::Value path = spec["nonResourceAttributes"]) {
    errors.invalid(api::Path("spec").child("nonResourceAttributes"),
                   shown_path_attributes(path).root(), "disallowed on this kind of request");
  }
  if (!errors.empty()) return invalid(review, errors);
  json::Draft answer = decide(review, user_of(spec));
  answer.root()["metadata"].set("namespace", review.target.ns);
  return answer;
}

void put_rules(json::Node status, const Rules& rules) {
  json::Node resources = status.set_array("resourceRules");
  json::Node paths = status.set_array("nonResourceRules");
  for (const Rule& rule : rules) push_rule(rule.paths.empty() ? resources : paths, rule);
}

// The administrators' group and what a node may do stand in no rules, so they are not listed.
Result<json::Draft> self_rules(const Review& review) {
  std::string_view ns = review.body["spec"]["namespace"].as_string();
  if (ns.empty()) return Error::bad_request("no namespace on request");
  RbacIndex::Held held = review.reviewers.authoriser.roles().held_by(review.user, ns);
  // Upstream answers with a new object, of which nothing was sent.
  json::Draft draft;
  draft.root().set("kind", review.target.resource->kind);
  draft.root().set("apiVersion", review.target.resource->api_version());
  draft.root().set_object("metadata");
  draft.root().set_object("spec");
  json::Node status = draft.root().set_object("status");
  put_rules(status, held.rules());
  bool node = !node_of(review.user).empty();
  status.set("incomplete", node);
  std::string problem = held.problem();
  if (node) {
    std::string own = "node authorizer does not support user rule resolution";
    problem = problem.empty() ? own : fmt::format("[{}, {}]", own, problem);
  }
  if (!problem.empty()) status.set("evaluationError", problem);
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
    {"localsubjectaccessreviews.authorization.k8s.io", &local_subject_access},
    {"selfsubjectrulesreviews.authorization.k8s.io", &self_rules},
};

}  // namespace

std::optional<Result<json::Draft>> answer_review(const User& user, const Target& target,
                                                 json::Value body, const Reviewers& reviewers,
                                                 Time now) {
  std::string name = target.resource->group_resource();
  for (const Entry& entry : kReviews) {
    if (entry.group_resource != name) continue;
    Result<json::Draft> answer = entry.answer({user, target, body, reviewers, now});
    if (answer.ok()) put_in_order(target.resource->schema, *answer);
    return answer;
  }
  return std::nullopt;
}

}  // namespace wherry::apiserver
