// The verbs over HTTP: parameters and body in, the machinery's result out.

#include <algorithm>
#include <array>

#include "api/status.h"
#include "apiserver/authorise.h"
#include "apiserver/bookkeeping.h"
#include "apiserver/encode.h"
#include "apiserver/handler.h"
#include "apiserver/parameters.h"
#include "apiserver/reviews.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

// Reviews have no table (Kubernetes answers 406), and few forms of subresources have one.
Offers offers_of(const Route& route) {
  const Resource& resource = *route.target.resource;
  bool stored = resource.verbs.empty() || std::find(resource.verbs.begin(), resource.verbs.end(),
                                                    "get") != resource.verbs.end();
  bool own_form = route.subresource == nullptr || route.subresource->kind == resource.kind ||
                  (route.subresource->form != nullptr && !route.subresource->form->columns.empty());
  bool whole = stored && own_form;
  // Go's package of the unversioned type.
  std::string_view package = resource.group.empty() ? "core" : split(resource.group, '.').front();
  return {.table = whole,
          .partial = whole,
          .streams = route.target.name.empty() && route.verb != "create",
          .watch = route.verb == "watch",
          .kind = fmt::format("{}.{}", package, resource.kind)};
}

Result<void> check_include(const http::Request& request, const Wanted& wanted) {
  std::string_view include = request.query.get("includeObject");
  bool known = include.empty() || include == "None" || include == "Metadata" || include == "Object";
  if (known || wanted.form != Form::kTable) return {};
  return Error::bad_request(
      "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be "
      "'Metadata', 'Object', 'None', or empty",
      quote(include));
}

// The struct of a body: the subresource's own, else the kind's.
const api::Struct* body_struct(const Route& route) {
  if (route.subresource != nullptr && route.subresource->schema != nullptr) {
    return route.subresource->schema;
  }
  return route.target.resource->schema;
}

// A kind that is only posted, and that a subresource takes too: posting it to its own collection is
// posting it there (Bindings, to pods/binding). An empty resource: it is not so.
Target posted_to(const Target& target, json::Value body) {
  const Resource& posted = *target.resource;
  if (posted.verbs.size() != 1 || posted.verbs.front() != "create") return {};
  for (const Resource* row : api::resources()) {
    for (const api::Subresource& part : row->subresources) {
      bool same =
          row->group == posted.group && row->version == posted.version && part.kind == posted.kind;
      if (!same) continue;
      return {row, target.ns, std::string(body["metadata"]["name"].as_string()),
              std::string(part.name)};
    }
  }
  return {};
}

std::string_view body_kind(const Route& route) {
  return route.subresource != nullptr ? route.subresource->kind : route.target.resource->kind;
}

}  // namespace

Result<void> Handler::store(Call& call, const Wanted& wanted,
                            const std::function<Result<Written>()>& verb) {
  // What is shown in a form of its own is made from the object that was stored.
  const api::Subresource* part = call.route.subresource;
  std::shared_ptr<PendingWrite> pending;
  if (call.may_wait && (part == nullptr || part->form == nullptr)) {
    pending = std::make_shared<PendingWrite>(wanted, parts_.machinery.clock().monotonic());
    call.context.later = [pending](Result<std::vector<ObjectPtr>> done) {
      pending->settle(std::move(done));
    };
  }
  Written written = TRY(verb());
  if (!written.pending) return write(call, written.created ? 201 : 200, written.object, wanted);
  pending->created = written.created;
  call.pending = pending;
  call.response.wait_for(std::move(pending));
  return {};
}

Result<void> Handler::write(Call& call, int status, const ObjectPtr& object, const Wanted& wanted) {
  const Resource* resource = call.route.target.resource;
  const api::Subresource* part = call.route.subresource;
  if (part != nullptr && part->form != nullptr && part->form->kind == object->kind())
    resource = part->form;
  if (object->kind() == resource->kind) {
    write_object(call.response, status, *resource, object, wanted,
                 call.request.query.get("includeObject"), now());
    return {};
  }
  // A form of its own: TokenRequest, Status.
  json::Document document = object->document();
  const api::Struct* schema = object->kind() == "Status"
                                  ? api::find_struct("io.k8s.apimachinery.pkg.apis.meta.v1.Status")
                                  : body_struct(call.route);
  write_document(call.response, status, document.root(), schema, wanted);
  return {};
}

Result<void> Handler::get(Call& call) {
  const Target& target = call.route.target;
  if (target.subresource == "log") {
    return parts_.streams.log(call.request, target, call.response);
  }
  Wanted wanted = TRY(negotiate(call.request, offers_of(call.route)));
  TRY(parts_.machinery.check_version(call.request.query.get("resourceVersion")));
  ObjectPtr object = TRY(parts_.machinery.get_subresource(target));
  TRY(check_include(call.request, wanted));
  return write(call, 200, object, wanted);
}

Result<void> Handler::list(Call& call) {
  const Target& target = call.route.target;
  Wanted wanted = TRY(negotiate(call.request, offers_of(call.route)));
  ListOptions options = TRY(list_options(call.request, target));
  ListResult result = TRY(parts_.machinery.list(target, options));
  TRY(check_include(call.request, wanted));
  write_list(call.response, *target.resource, result, wanted,
             call.request.query.get("includeObject"), now(), &forms_);
  return {};
}

Result<void> Handler::watch(Call& call) {
  const Target& target = call.route.target;
  WatchOptions options = TRY(watch_options(call.request, target));
  options.wanted = TRY(negotiate(call.request, offers_of(call.route)));
  return parts_.watches.serve(target, options, call.response);
}

Result<void> Handler::create(Call& call) {
  const Target& target = call.route.target;
  Wanted wanted = TRY(negotiate(call.request, offers_of(call.route)));
  WriteOptions options = TRY(write_options(call.request, "CreateOptions"));
  json::Document body = TRY(
      read_body(call.request, target.resource->schema, target.resource->kind, options.repeated));
  std::optional<Result<json::Draft>> review = answer_review(
      call.context.user, target, body.root(),
      {parts_.authenticator, parts_.authoriser, manager_of(call.context, options)}, now());
  if (review) {
    json::Draft answer = TRY(std::move(*review));
    write_document(call.response, 201, answer.freeze().root(), target.resource->schema, wanted);
    return {};
  }
  if (Target part = posted_to(target, body.root()); part.resource != nullptr) {
    ObjectPtr object =
        TRY(parts_.machinery.create_subresource(call.context, part, body.root(), options));
    return write(call, 201, object, wanted);
  }
  return store(call, wanted,
               [&] { return parts_.machinery.create(call.context, target, body.root(), options); });
}

Result<void> Handler::create_subresource(Call& call) {
  const Target& target = call.route.target;
  Wanted wanted = TRY(negotiate(call.request, offers_of(call.route)));
  WriteOptions options = TRY(write_options(call.request, "CreateOptions"));
  json::Document body = TRY(
      read_body(call.request, body_struct(call.route), body_kind(call.route), options.repeated));
  ObjectPtr object =
      TRY(parts_.machinery.create_subresource(call.context, target, body.root(), options));
  return write(call, 201, object, wanted);
}

// Whoever makes an object by an update or an apply needs the right to make one.
Result<void> Handler::check_create(const Call& call) {
  Attributes asked = attributes_of(call.context.user, call.route);
  asked.verb = "create";
  return parts_.authoriser.check(asked);
}

Result<void> Handler::update(Call& call) {
  Wanted wanted = TRY(negotiate(call.request, offers_of(call.route)));
  WriteOptions options = TRY(write_options(call.request, "UpdateOptions"));
  json::Document body = TRY(
      read_body(call.request, body_struct(call.route), body_kind(call.route), options.repeated));
  const Target& target = call.route.target;
  bool creates = target.resource->create_on_update && target.subresource.empty();
  if (creates && !parts_.machinery.get(target).ok()) {
    TRY(check_create(call));
    options.may_create = true;
  }
  return store(call, wanted,
               [&] { return parts_.machinery.update(call.context, target, body.root(), options); });
}

Result<void> Handler::patch(Call& call) {
  Wanted wanted = TRY(negotiate(call.request, offers_of(call.route)));
  Result<PatchBody> read = read_patch(call.request);
  if (!read.ok() && read.error().is(Code::kBadRequest)) {
    // Whether there is anything to patch is asked before the patch is read.
    TRY(parts_.machinery.get(call.route.target));
  }
  PatchBody body = TRY(std::move(read));
  WriteOptions options = TRY(write_options(call.request, "PatchOptions"));
  options.repeated = std::move(body.repeated);
  if (call.request.query.has("force") && body.type != PatchType::kApply) {
    api::FieldErrors errors;
    errors.forbidden(api::Path("force"), "may not be specified for non-apply patch");
    return errors.to_error("meta.k8s.io", "PatchOptions", "");
  }
  const Target& target = call.route.target;
  Result<void> creates;
  if (body.type == PatchType::kApply && target.subresource.empty()) {
    creates = check_create(call);
    options.must_exist = !creates.ok();
  }
  return store(call, wanted, [&]() -> Result<Written> {
    Result<Written> written =
        parts_.machinery.patch(call.context, target, body.type, body.document.root(), options);
    bool makes = !written.ok() && written.error().is(Code::kNotFound) && options.must_exist;
    if (makes) return std::move(creates).error();
    return written;
  });
}

Result<void> Handler::remove(Call& call) {
  const Target& target = call.route.target;
  Wanted wanted = TRY(negotiate(call.request, offers_of(call.route)));
  DeleteOptions options = TRY(delete_options(call.request));
  Deleted deleted = TRY(parts_.machinery.remove(call.context, target, options));
  if (!deleted.removed || target.resource->delete_gives_object) {
    bool accepted = !deleted.removed && options.orphan_dependents == false;
    return write(call, accepted ? 202 : 200, deleted.object, wanted);
  }
  json::Draft status =
      api::success_status(target.resource->group_resource(), target.name, deleted.object->uid());
  wanted.form = Form::kObject;
  write_document(call.response, 200, status.freeze().root(),
                 api::find_struct("io.k8s.apimachinery.pkg.apis.meta.v1.Status"), wanted);
  return {};
}

Result<void> Handler::remove_collection(Call& call) {
  const Target& target = call.route.target;
  Wanted wanted = TRY(negotiate(call.request, offers_of(call.route)));
  ListOptions which = TRY(list_options(call.request, target));
  DeleteOptions options = TRY(delete_options(call.request));
  ListResult result = TRY(parts_.machinery.remove_collection(call.context, target, which, options));
  write_list(call.response, *target.resource, result, wanted,
             call.request.query.get("includeObject"), now());
  return {};
}

}  // namespace wherry::apiserver
