// Subresources with a form of their own: binding, eviction, token.

#include <algorithm>

#include "api/defaults.h"
#include "api/meta.h"
#include "api/patch.h"
#include "api/status.h"
#include "apiserver/bookkeeping.h"
#include "apiserver/machinery.h"
#include "apiserver/token.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr int64_t kTokenSecondsDefault = 3600;
constexpr int64_t kTokenSecondsMin = 600;
constexpr int64_t kTokenSecondsMax = int64_t{1} << 32;
constexpr int kBindTries = 5;

// PodScheduled turns True with the binding.
void set_scheduled(json::Node pod, Time now) {
  json::Node conditions = pod.ensure_object("status").ensure_array("conditions");
  json::Node scheduled;
  for (json::Node condition : conditions.items()) {
    if (condition["type"].as_string() == "PodScheduled") scheduled = condition;
  }
  if (!scheduled) {
    scheduled = conditions.push_object();
    scheduled.set("type", "PodScheduled");
  }
  if (scheduled["status"].as_string() == "True") return;
  scheduled.set("status", "True");
  scheduled.set_null("lastProbeTime");
  scheduled.set("lastTransitionTime", format_time(now));
  scheduled.remove("observedGeneration");
  scheduled.remove("reason");
  scheduled.remove("message");
}

// What a token may be bound to (TokenRequestSpec.boundObjectRef in authentication/v1).
struct Bindable {
  std::string_view kind;
  std::string_view resource;
  bool namespaced;
};
constexpr Bindable kBindable[] = {
    {"Pod", "pods", true}, {"Secret", "secrets", true}, {"Node", "nodes", false}};

// The object a token is bound to, as its claims name it.
Result<TokenBinding> find_binding(const store::Store& store, const std::string& ns,
                                  json::Value ref) {
  TokenBinding binding;
  if (!ref.is_object()) return binding;
  std::string kind(ref["kind"].as_string());
  std::string name(ref["name"].as_string());
  const auto* row = std::ranges::find(kBindable, kind, &Bindable::kind);
  if (row == std::end(kBindable)) {
    std::string_view version = ref["apiVersion"].as_string();
    return Error::bad_request("cannot bind token to object of type {}{}, Kind={}",
                              version.find('/') == std::string_view::npos ? "/" : "", version,
                              kind);
  }
  std::string_view resource = row->resource;
  ObjectPtr object = store.get(resource, row->namespaced ? ns : std::string_view(), name);
  if (object == nullptr) return api::not_found(resource, name);
  std::string_view uid = ref["uid"].as_string();
  if (!uid.empty() && uid != object->uid()) {
    return api::conflict(
        resource, name,
        fmt::format("the UID in the bound object reference ({}) does not match the "
                    "UID in record. The object might have been deleted and then "
                    "recreated",
                    uid));
  }
  binding.kind = to_lower(kind);
  binding.name = name;
  binding.uid = object->uid();
  if (resource == "pods") {
    json::Document pod = object->document();
    binding.node = pod.root()["spec"]["nodeName"].as_string();
    if (ObjectPtr node = store.get("nodes", "", binding.node)) binding.node_uid = node->uid();
  }
  return binding;
}

}  // namespace

Result<ObjectPtr> Machinery::create_subresource(Context& context, const Target& target,
                                                json::Value body, const WriteOptions& options) {
  AdmissionRequest request{Operation::kCreate, target,        context.user,
                           context.warnings,   context.notes, options.dry_run};
  json::Draft draft(body);
  request.object = draft.root();
  TRY(mutate(request));
  json::Document frozen = draft.freeze();
  body = frozen.root();
  request.object = json::Node();
  request.after = body;
  Companions none;
  TRY(validate(request, none));
  CHECK(none.writes.empty());  // What is posted to a subresource is not stored itself.
  if (target.subresource == "binding") return bind(context, target, body, options);
  if (target.subresource == "eviction") return evict(context, target, body);
  if (target.subresource == "token") return issue_token(context, target, body, options);
  return api::method_not_allowed(target.resource->group_resource(), "create");
}

Result<ObjectPtr> Machinery::bind(Context& context, const Target& target, json::Value body,
                                  const WriteOptions& options) {
  std::string_view named = body["metadata"]["name"].as_string();
  if (named != target.name) {
    return Error::bad_request("name in URL does not match name in Binding object");
  }
  json::Value to = body["target"];
  std::string node(to["name"].as_string());
  api::FieldErrors errors;
  std::string_view kind = to["kind"].as_string();
  if (!kind.empty() && kind != "Node") {  // tidy: allow(kind): of the target, in the Binding.
    static constexpr std::string_view kKinds[] = {"Node", "<empty>"};
    errors.not_supported(api::Path("target").child("kind"), kind, kKinds);
  }
  if (node.empty()) errors.required(api::Path("target").child("name"), "");
  if (!errors.empty()) return errors.to_error("", "Binding", target.name);

  std::string wanted_uid(body["metadata"]["uid"].as_string());
  Target pod_target = target;
  pod_target.subresource.clear();
  auto change = [&](json::Value live) -> Result<json::Draft> {
    const char* const resource = "pods/binding";
    if (!wanted_uid.empty() && wanted_uid != live["metadata"]["uid"].as_string()) {
      return api::precondition_failed("pods", target.name, "UID", wanted_uid,
                                      live["metadata"]["uid"].as_string());
    }
    if (live["metadata"]["deletionTimestamp"]) {
      return api::conflict(
          resource, target.name,
          fmt::format("pod {} is being deleted, cannot be assigned to a host", target.name));
    }
    std::string_view bound = live["spec"]["nodeName"].as_string();
    if (!bound.empty()) {
      return api::conflict(
          resource, target.name,
          fmt::format("pod {} is already assigned to node \"{}\"", target.name, bound));
    }
    if (!live["spec"]["schedulingGates"].empty()) {
      return api::conflict(resource, target.name,
                           fmt::format("pod {} has non-empty .spec.schedulingGates", target.name));
    }
    json::Draft pod(live);
    pod.root()["spec"].set("nodeName", node);
    for (const char* field : {"labels", "annotations"}) {
      for (auto [key, value] : body["metadata"][field].members()) {
        pod.root()["metadata"].ensure_object(field).set(key, value);
      }
    }
    set_scheduled(pod.root(), clock_.now());
    return pod;
  };
  Update how{.part = Part::kWhole, .tries = kBindTries};
  TRY(replace(context, pod_target, change, options, how));
  return success_object();
}

Result<ObjectPtr> Machinery::issue_token(Context& context, const Target& target, json::Value body,
                                         const WriteOptions& options) {
  const api::Subresource* part = target.resource->subresource(target.subresource);
  CHECK(part != nullptr && part->form != nullptr);
  TRY(check_kind(*part->form, body));
  if (options_.tokens == nullptr) {
    return Error::unsupported("ServiceAccount tokens are not issued here");
  }
  ObjectPtr account = store_.get("serviceaccounts", target.ns, target.name);
  if (account == nullptr) return api::not_found("serviceaccounts", target.name);
  json::Value spec = body["spec"];
  int64_t seconds = spec["expirationSeconds"].as_int(kTokenSecondsDefault);
  api::FieldErrors errors;
  api::Path at = api::Path("spec").child("expirationSeconds");
  if (seconds < kTokenSecondsMin) {
    errors.invalid(at, seconds, "may not specify a duration less than 10 minutes");
  } else if (seconds > kTokenSecondsMax) {
    errors.invalid(at, seconds, "may not specify a duration larger than 2^32 seconds");
  }
  if (!errors.empty()) return errors.to_error("authentication.k8s.io", "TokenRequest", "");
  std::string_view named = body["metadata"]["name"].as_string();
  if (!named.empty() && named != target.name) {
    errors.invalid(api::Path("metadata").child("name"), named,
                   "must match the service account name if specified");
    return errors.to_error("authentication.k8s.io", "TokenRequest", target.name);
  }
  TokenSubject subject{target.ns, target.name, std::string(account->uid())};
  TokenBinding binding = TRY(find_binding(store_, target.ns, spec["boundObjectRef"]));
  std::vector<std::string> audiences;
  for (json::Value item : spec["audiences"].items()) audiences.emplace_back(item.as_string());
  Time expires = clock_.now() + std::chrono::seconds(seconds);
  std::string token = options_.tokens->issue(subject, binding, audiences, clock_.now(),
                                             std::chrono::seconds(seconds));
  if (context.notes != nullptr) {
    json::Document claims = TRY(json::Document::parse(TRY(pki::parse_token(token)).payload_json));
    context.notes->add("authentication.kubernetes.io/issued-credential-id",
                       fmt::format("JTI={}", claims.root()["jti"].as_string()));
  }

  json::Draft answer;
  json::Node root = answer.root();
  root.set("kind", "TokenRequest");
  root.set("apiVersion", "authentication.k8s.io/v1");
  json::Node meta = root.set_object("metadata");
  meta.set("name", target.name);
  meta.set("namespace", target.ns);
  meta.set("uid", account->uid());
  meta.set("creationTimestamp", format_time(clock_.now()));
  // The caller's is what was sent, and what it stands for.
  json::Draft sent(body);
  sent.root().ensure_object("spec").set("expirationSeconds", seconds);
  const Target form_target{part->form, target.ns, target.name, target.subresource};
  track(context, form_target, json::Value(), sent.root(), options);
  meta.set("managedFields", sent.root()["metadata"]["managedFields"]);
  json::Node answer_spec = root.set_object("spec");
  json::Node audience_list = answer_spec.set_array("audiences");
  for (const std::string& audience : audiences) audience_list.push(audience);
  if (audiences.empty()) audience_list.push(options_.tokens->issuer());
  answer_spec.set("expirationSeconds", seconds);
  if (spec["boundObjectRef"]) {
    answer_spec.set("boundObjectRef", spec["boundObjectRef"]);
  } else {
    answer_spec.set_null("boundObjectRef");
  }
  json::Node status = root.set_object("status");
  status.set("token", token);
  status.set("expirationTimestamp", format_time(expires));
  return loose_object(answer, 0);
}

}  // namespace wherry::apiserver
