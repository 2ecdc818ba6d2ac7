#include "apiserver/routes.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kConnectable[] = {"exec", "attach", "portforward", "proxy"};

bool connects(std::string_view subresource) {
  return std::find(std::begin(kConnectable), std::end(kConnectable), subresource) !=
         std::end(kConnectable);
}

bool asks_watch(const http::Request& request) {
  return request.query.has("watch") && is_true(request.query.get("watch"));
}

std::string verb_of(const http::Request& request, const Route& route) {
  const std::string& method = request.method;
  bool named = !route.target.name.empty();
  if (connects(route.target.subresource)) return "connect";
  if (method == "POST") return "create";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return named ? "delete" : "deletecollection";
  if (method == "GET" || method == "HEAD") {
    if (route.verb == "watch") return "watch";  // The old /watch/ prefix.
    if (!route.target.subresource.empty()) return "get";
    if (named) return "get";
    return asks_watch(request) ? "watch" : "list";
  }
  return to_lower(method);
}

// By the method, but for what reads: watch and list differ only in their parameters. As upstream
// has it, ?watch on one object is a get.
std::string asked_verb(const http::Request& request, const Route& route) {
  const std::string& method = request.method;
  bool named = !route.target.name.empty();
  if (method == "POST") return "create";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return named ? "delete" : "deletecollection";
  if (method != "GET" && method != "HEAD") return {};
  if (route.verb == "watch" && (!named || !asks_watch(request))) return "watch";
  return named ? "get" : "list";
}

// A list or watch of one name may be granted by rules on that name.
void read_selector(const http::Request& request, Route& route) {
  bool reads = route.asked_verb == "list" || route.asked_verb == "watch";
  if (!reads || !route.target.name.empty()) return;
  route.fields = request.query.get("fieldSelector");
  if (route.fields.empty()) return;
  Result<std::vector<api::FieldRequirement>> fields = api::parse_field_selector(route.fields);
  if (!fields.ok()) return;
  for (const api::FieldRequirement& field : *fields) {
    if (field.path != "metadata.name" || !field.equals) continue;
    route.selected_name = field.value;
    return;
  }
}

bool allows(const Route& route, const http::Request& request) {
  const Target& target = route.target;
  std::string_view verb = route.verb;
  if (route.subresource != nullptr) {
    if (verb == "connect") {
      // Streams are opened by GET and POST; a proxy passes every method.
      return target.subresource == "proxy" || request.method == "GET" || request.method == "POST";
    }
    auto verbs = route.subresource->verbs;
    return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
  }
  bool named = !target.name.empty();
  if (named && (verb == "create" || verb == "deletecollection")) return false;
  if (!named && (verb == "update" || verb == "patch" || verb == "delete")) return false;
  if (verb == "create" && target.resource->namespaced() && target.ns.empty()) return false;
  if (verb == "deletecollection" && target.resource->namespaced() && target.ns.empty())
    return false;
  auto verbs = target.resource->verbs;
  if (verbs.empty()) {
    static constexpr std::string_view kAll[] = {"create", "delete", "deletecollection", "get",
                                                "list",   "patch",  "update",           "watch"};
    return std::find(std::begin(kAll), std::end(kAll), verb) != std::end(kAll);
  }
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

// Takes the segments after the version apart:
// [watch/][namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE...]].
void parse_resource(const std::vector<std::string>& segments, size_t at, Route& route) {
  if (at < segments.size() && segments[at] == "watch") {
    route.verb = "watch";
    ++at;
  }
  size_t left = segments.size() - at;
  bool scoped = left > 2 && segments[at] == "namespaces" && segments[at + 2] != "status" &&
                segments[at + 2] != "finalize";
  if (scoped) {
    route.target.ns = segments[at + 1];
    at += 2;
  }
  if (at < segments.size()) route.plural = segments[at++];
  if (at < segments.size()) route.target.name = segments[at++];
  if (at < segments.size()) route.target.subresource = segments[at++];
  route.tail.assign(segments.begin() + static_cast<ptrdiff_t>(at), segments.end());
  // In the API's eyes a namespace is inside itself.
  if (!scoped && route.plural == "namespaces" && route.group.empty()) route.target.ns.clear();

  const Resource* resource = api::find_resource(route.group, route.version, route.plural);
  route.target.resource = resource;
  if (resource == nullptr) {
    route.unknown = true;
    return;
  }
  if (resource->namespaced() ? (!scoped && !route.target.name.empty()) : scoped)
    route.unknown = true;
  if (!route.target.subresource.empty()) {
    route.subresource = resource->subresource(route.target.subresource);
    if (route.subresource == nullptr) route.unknown = true;
  }
  if (!route.tail.empty() && route.target.subresource != "proxy") route.unknown = true;
}

}  // namespace

bool is_true(std::string_view text) { return !equals_ignore_case(text, "false") && text != "0"; }

Route find_route(const http::Request& request) {
  Route route;
  const std::vector<std::string>& segments = request.segments;
  for (const std::string& segment : segments) route.path += "/" + segment;
  if (request.trailing_slash || segments.empty()) route.path += "/";
  size_t at = 0;
  if (segments.size() > 2 && segments[0] == "api") {
    route.version = segments[1];
    at = 2;
  } else if (segments.size() > 3 && segments[0] == "apis") {
    route.group = segments[1];
    route.version = segments[2];
    at = 3;
  } else {
    route.verb = to_lower(request.method);
    route.asked_verb = route.verb;
    return route;
  }
  route.is_resource = true;
  parse_resource(segments, at, route);
  route.verb = verb_of(request, route);
  route.asked_verb = asked_verb(request, route);
  read_selector(request, route);
  if (!route.unknown) route.wrong_method = !allows(route, request);
  return route;
}

}  // namespace wherry::apiserver
