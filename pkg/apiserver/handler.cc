#include "apiserver/handler.h"

#include <set>

#include "api/retired.h"
#include "api/status.h"
#include "apiserver/encode.h"
#include "apiserver/impersonate.h"
#include "apiserver/issuer_pages.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

// A client may choose it, to find its request among the audit events.
constexpr const char* kAuditId = "Audit-Id";

// The methods that no route of ours takes.
bool known_method(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "POST" || method == "PUT" ||
         method == "PATCH" || method == "DELETE";
}

// Kinds on their way out say so with every answer.
std::string deprecation(const Resource& resource) {
  if (!resource.group.empty()) return api::retirement_warning(resource);
  if (resource.plural == "endpoints") {
    return "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";
  }
  if (resource.plural == "componentstatuses") return "v1 ComponentStatus is deprecated in v1.19+";
  return {};
}

}  // namespace

void Handler::handle(http::Request& request, http::Response& response) {
  std::shared_ptr<PendingWrite> before = PendingWrite::take(request);
  if (before != nullptr && !before->raced()) return finish(request, response, *before);
  if (before != nullptr) {
    response.headers = std::move(before->headers);
    response.headers.remove("Warning");
  } else {
    std::string_view given = request.headers.get(kAuditId);
    response.headers.set(kAuditId, given.empty() ? random_uuid() : std::string(given));
    response.headers.set("Cache-Control", "no-cache, private");
  }
  Route route = find_route(request);
  std::string audit_id(response.headers.get(kAuditId));
  AuditRecord audit(parts_.auditor, request, route, audit_id);
  std::shared_ptr<PendingWrite> pending;
  Result<void> done = answer(request, response, route, audit, before.get(), pending);
  if (pending != nullptr) {
    pending->headers = std::move(response.headers);
    pending->held = response.take_held();
    pending->route = std::move(route);
    return;
  }
  if (response.waits()) {  // It comes again, as the same request.
    request.headers.set(kAuditId, std::move(audit_id));
    return;
  }
  if (!done.ok()) write_error(response, done.error(), negotiate_error(request));
  audit.answered(response);
  conclude(request, response, route, done);
}

// A write that was handed to the store has come back.
void Handler::finish(http::Request& request, http::Response& response, PendingWrite& write) {
  response.headers = std::move(write.headers);
  response.hold(std::move(write.held));
  Call call{request, response, write.route, {}};
  Result<ObjectPtr> object = write.outcome();
  Result<void> done = object.ok()
                          ? this->write(call, write.created ? 201 : 200, *object, write.wanted)
                          : Result<void>(std::move(object).error());
  if (!done.ok()) write_error(response, done.error(), negotiate_error(request));
  conclude(request, response, write.route, done);
}

void Handler::conclude(const http::Request& request, http::Response& response, const Route& route,
                       const Result<void>& done) {
  if (!done.ok() && response.status >= 500) {
    log::warn("{} {}: {}", request.method, request.path, done.error().message());
  }
  std::string verb = route.is_resource ? to_upper(route.verb) : request.method;
  bool known = route.target.resource != nullptr && !route.unknown;
  metrics_.count(verb, known ? route.plural : std::string(),
                 known ? route.target.subresource : std::string(), response.status,
                 parts_.machinery.clock().monotonic() - request.received);
}

void Handler::render_error(const Error& error, http::Response& response) {
  write_error(response, error, Wanted{});
}

Result<void> Handler::answer(http::Request& request, http::Response& response, const Route& route,
                             AuditRecord& audit, PendingWrite* before,
                             std::shared_ptr<PendingWrite>& pending) {
  User caller = TRY(parts_.authenticator.authenticate(request));
  audit.asked_by(caller);
  for (const ExtraPage& page : parts_.extra_pages) {
    if (!route.is_resource && page.covers(request.path)) {
      return page.answer(caller, request, response);
    }
  }
  User user = TRY(impersonate(parts_.authoriser, std::move(caller), request, route));
  Attributes asked = attributes_of(user, route);
  audit.acts_as(user);
  if (before != nullptr) {
    response.hold(std::move(before->held));
  } else if (parts_.flows.admit(request, response, asked) != FlowControl::Verdict::kRun) {
    return {};
  }
  std::string reason;
  Result<void> allowed = parts_.authoriser.check(asked, audit.is_audited() ? &reason : nullptr);
  audit.decided(allowed.ok(), std::move(reason));
  TRY(std::move(allowed));
  if (!route.is_resource) return answer_path(request, response, route);
  if (route.unknown) {
    if (parts_.discovery.serves_group(route.group)) return api::no_such_resource();
    write_text(response, 404, "404 page not found\n");
    return {};
  }
  // What a proxy passes on is the business of whom it goes to.
  bool proxied = route.target.subresource == "proxy" && route.verb == "connect";
  if (route.wrong_method || (!proxied && !known_method(request.method))) {
    return Error(Code::kMethodNotAllowed,
                 "the server does not allow this method on the requested resource");
  }
  Call call{request, response, route, {}};
  call.context.notes = audit.notes();
  if (std::string text = deprecation(*route.target.resource); !text.empty()) {
    call.context.warnings.emplace_back(text);
    if (AuditNotes* notes = audit.notes()) notes->add("k8s.io/deprecated", "true");
  }
  call.context.user = std::move(user);
  call.context.user_agent = request.headers.get("User-Agent");
  call.may_wait = before == nullptr && response.may_wait() && !audit.is_audited();
  Result<void> done = answer_resource(call);
  pending = std::move(call.pending);
  std::set<std::string_view> told;
  for (const std::string& warning : call.context.warnings) {
    if (told.insert(warning).second) response.headers.add("Warning", "299 - " + quote(warning));
  }
  return done;
}

Result<void> Handler::answer_path(http::Request& request, http::Response& response,
                                  const Route& route) {
  bool page = TRY(parts_.pages.handle(request, response, metrics_));
  if (page) return {};
  const TokenIssuer* tokens = parts_.machinery.tokens();
  if (tokens != nullptr &&
      answer_issuer_page(request, response, *tokens, parts_.discovery.address())) {
    return {};
  }
  bool reads = request.method == "GET" || request.method == "HEAD";
  if (route.path == "/" && reads) {
    response.set_body("application/json", parts_.discovery.paths());
    return {};
  }
  bool answered = TRY(parts_.discovery.handle(request, response));
  if (answered) return {};
  write_text(response, 404, "404 page not found\n");
  return {};
}

Result<void> Handler::connect(Call& call) {
  const Route& route = call.route;
  if (route.target.subresource == "proxy") {
    return parts_.proxy.pass(call.request, route, call.response);
  }
  // A stream does what it does whichever method opened it: who may only read may not open one.
  Attributes asked = attributes_of(call.context.user, route);
  asked.verb = "create";
  if (!parts_.authoriser.allows(asked)) {
    std::string reason;
    static_cast<void>(parts_.authoriser.allows(asked, &reason));
    return api::forbidden(route.target.resource->group_resource(), route.target.name, reason);
  }
  return parts_.streams.connect(call.request, route, call.response);
}

Result<void> Handler::answer_resource(Call& call) {
  const std::string& verb = call.route.verb;
  if (verb == "connect") return connect(call);
  if (verb == "get") return get(call);
  if (verb == "list") return list(call);
  if (verb == "watch") return watch(call);
  if (verb == "create") {
    return call.route.target.subresource.empty() ? create(call) : create_subresource(call);
  }
  if (verb == "update") return update(call);
  if (verb == "patch") return patch(call);
  if (verb == "delete") return remove(call);
  if (verb == "deletecollection") return remove_collection(call);
  return Error(Code::kMethodNotAllowed,
               "the server does not allow this method on the requested resource");
}

}  // namespace wherry::apiserver
