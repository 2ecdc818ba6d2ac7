#include "apiserver/discovery.h"

#include <algorithm>
#include <vector>

#include "api/conversion.h"
#include "api/openapi.h"
#include "api/resource.h"
#include "api/retired.h"
#include "api/status.h"
#include "apiserver/encode.h"
#include "apiserver/negotiate.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "pki/pki.h"

namespace wherry::apiserver {
namespace {

using api::Resource;
using api::Subresource;

constexpr size_t kZipBytesMin = 4096;
constexpr size_t kPlainBytesMax = 64 << 20;
constexpr std::string_view kStandardVerbs[] = {"create", "delete", "deletecollection", "get",
                                               "list",   "patch",  "update",           "watch"};

struct GroupVersions {
  std::string_view group;
  std::vector<std::string_view> versions;  // Preferred first.
};

// In the order of the rows; core is not in it.
std::vector<GroupVersions> groups() {
  std::vector<GroupVersions> out;
  for (const Resource* row : api::resources()) {
    if (row->group.empty()) continue;
    auto found = std::find_if(out.begin(), out.end(),
                              [row](const GroupVersions& g) { return g.group == row->group; });
    if (found == out.end()) found = out.insert(out.end(), {row->group, {}});
    auto& versions = found->versions;
    if (std::find(versions.begin(), versions.end(), row->version) == versions.end()) {
      versions.push_back(row->version);
    }
  }
  // "v2" is preferred over "v1", and a released version over a beta.
  for (GroupVersions& group : out) {
    std::stable_sort(group.versions.begin(), group.versions.end(),
                     [](std::string_view a, std::string_view b) {
                       bool beta_a = a.find_first_of("ab", 1) != std::string_view::npos;
                       bool beta_b = b.find_first_of("ab", 1) != std::string_view::npos;
                       return beta_a != beta_b ? !beta_a : a > b;
                     });
  }
  return out;
}

std::vector<const Resource*> rows_of(std::string_view group, std::string_view version) {
  std::vector<const Resource*> out;
  for (const Resource* row : api::resources()) {
    if (row->group == group && row->version == version) out.push_back(row);
  }
  std::sort(out.begin(), out.end(),
            [](const Resource* a, const Resource* b) { return a->plural < b->plural; });
  return out;
}

// What programs that look at everything go by is left out for retired versions (retired.h).
constexpr std::string_view kRetiredVerbs[] = {"create", "delete", "get", "patch", "update"};

bool is_stored(const Resource& row) {
  return row.verbs.empty() || std::ranges::find(row.verbs, "watch") != row.verbs.end();
}

std::span<const std::string_view> verbs_of(const Resource& row) {
  if (api::is_retired(row)) return kRetiredVerbs;
  return row.verbs.empty() ? std::span<const std::string_view>(kStandardVerbs) : row.verbs;
}

void push_all(json::Node list, std::span<const std::string_view> texts) {
  for (std::string_view text : texts) list.push(text);
}

std::string with_newline(const json::Draft& draft) { return draft.dump() + "\n"; }

std::string api_versions(std::string_view address) {
  json::Draft draft;
  draft.root().set("kind", "APIVersions");
  draft.root().set_array("versions").push("v1");
  json::Node entry = draft.root().set_array("serverAddressByClientCIDRs").push_object();
  entry.set("clientCIDR", "0.0.0.0/0");
  entry.set("serverAddress", address);
  return with_newline(draft);
}

void put_version(json::Node node, std::string_view group, std::string_view version) {
  node.set("groupVersion", fmt::format("{}/{}", group, version));
  node.set("version", version);
}

void put_group(json::Node node, const GroupVersions& group) {
  node.set("name", group.group);
  json::Node versions = node.set_array("versions");
  for (std::string_view version : group.versions) {
    put_version(versions.push_object(), group.group, version);
  }
  put_version(node.set_object("preferredVersion"), group.group, group.versions.front());
}

std::string group_list() {
  json::Draft draft;
  draft.root().set("kind", "APIGroupList");
  draft.root().set("apiVersion", "v1");
  json::Node list = draft.root().set_array("groups");
  for (const GroupVersions& group : groups()) put_group(list.push_object(), group);
  return with_newline(draft);
}

std::string single_group(const GroupVersions& group) {
  json::Draft draft;
  draft.root().set("kind", "APIGroup");
  draft.root().set("apiVersion", "v1");
  put_group(draft.root(), group);
  return with_newline(draft);
}

std::string resource_list(std::string_view group, std::string_view version) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("kind", "APIResourceList");
  if (!group.empty()) root.set("apiVersion", "v1");
  root.set("groupVersion",
           group.empty() ? std::string(version) : fmt::format("{}/{}", group, version));
  json::Node list = root.set_array("resources");
  for (const Resource* row : rows_of(group, version)) {
    json::Node entry = list.push_object();
    entry.set("name", row->plural);
    entry.set("singularName", row->singular);
    entry.set("namespaced", row->namespaced());
    entry.set("kind", row->kind);
    push_all(entry.set_array("verbs"), verbs_of(*row));
    if (!row->short_names.empty()) push_all(entry.set_array("shortNames"), row->short_names);
    if (!row->categories.empty()) push_all(entry.set_array("categories"), row->categories);
    if (is_stored(*row)) {
      const Resource& stored = api::stored_rules(*row);
      std::string hash =
          pki::sha256(fmt::format("{}/{}/{}", stored.group, stored.version, stored.kind));
      entry.set("storageVersionHash", base64_encode(hash.substr(0, 8)));
    }
    std::vector<const Subresource*> subresources;
    for (const Subresource& sub : row->subresources) subresources.push_back(&sub);
    std::sort(subresources.begin(), subresources.end(),
              [](const Subresource* a, const Subresource* b) { return a->name < b->name; });
    for (const Subresource* sub : subresources) {
      json::Node part = list.push_object();
      part.set("name", fmt::format("{}/{}", row->plural, sub->name));
      part.set("singularName", "");
      part.set("namespaced", row->namespaced());
      if (!sub->group.empty()) part.set("group", sub->group);
      if (!sub->version.empty()) part.set("version", sub->version);
      part.set("kind", sub->kind);
      push_all(part.set_array("verbs"), sub->verbs);
    }
  }
  return with_newline(draft);
}

void put_kind(json::Node node, std::string_view group, std::string_view version,
              std::string_view kind) {
  json::Node out = node.set_object("responseKind");
  out.set("group", group);
  out.set("version", version);
  out.set("kind", kind);
}

void put_aggregated(json::Node version_node, std::string_view group, std::string_view version) {
  version_node.set("version", version);
  json::Node list = version_node.set_array("resources");
  for (const Resource* row : rows_of(group, version)) {
    json::Node entry = list.push_object();
    entry.set("resource", row->plural);
    put_kind(entry, row->group, row->version, row->kind);
    entry.set("scope", row->namespaced() ? "Namespaced" : "Cluster");
    entry.set("singularResource", row->singular);
    push_all(entry.set_array("verbs"), verbs_of(*row));
    if (!row->short_names.empty()) push_all(entry.set_array("shortNames"), row->short_names);
    if (!row->categories.empty()) push_all(entry.set_array("categories"), row->categories);
    if (row->subresources.empty()) continue;
    json::Node parts = entry.set_array("subresources");
    for (const Subresource& sub : row->subresources) {
      json::Node part = parts.push_object();
      part.set("subresource", sub.name);
      // Kinds of the core group that another group lends have a version but no group of their own.
      put_kind(part, sub.version.empty() && sub.group.empty() ? row->group : sub.group,
               sub.version.empty() ? row->version : sub.version, sub.kind);
      push_all(part.set_array("verbs"), sub.verbs);
    }
  }
  version_node.set("freshness", "Current");
}

std::string aggregated(std::string_view api_version, bool core) {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("kind", "APIGroupDiscoveryList");
  root.set("apiVersion", fmt::format("apidiscovery.k8s.io/{}", api_version));
  root.set_object("metadata");
  json::Node items = root.set_array("items");
  if (core) {
    json::Node group = items.push_object();
    group.set_object("metadata").set_null("creationTimestamp");
    put_aggregated(group.set_array("versions").push_object(), "", "v1");
    return with_newline(draft);
  }
  for (const GroupVersions& group : groups()) {
    json::Node entry = items.push_object();
    json::Node meta = entry.set_object("metadata");
    meta.set("name", group.group);
    meta.set_null("creationTimestamp");
    json::Node versions = entry.set_array("versions");
    for (std::string_view version : group.versions) {
      put_aggregated(versions.push_object(), group.group, version);
    }
  }
  return with_newline(draft);
}

Error not_allowed() {
  return Error(Code::kMethodNotAllowed,
               "the server does not allow this method on the requested resource");
}

// The aggregated form's version the client asks for first; empty when it wants the classic one.
std::string wanted_aggregation(const http::Request& request) {
  for (std::string_view header : request.headers.all("Accept")) {
    for (std::string_view item : split(header, ',')) {
      if (item.find("as=APIGroupDiscoveryList") == std::string_view::npos) {
        if (bare_media_type(item) == "application/json") return {};
        continue;
      }
      if (bare_media_type(item) != "application/json") continue;
      if (item.find("v=v2beta1") != std::string_view::npos) return "v2beta1";
      if (item.find("v=v2") != std::string_view::npos) return "v2";
    }
  }
  return {};
}

}  // namespace

template <typename Make>
Discovery::Document Discovery::document(const std::string& key, Make make) {
  {
    MutexLock lock(mutex_);
    auto found = documents_.find(key);
    if (found != documents_.end()) return found->second;
  }
  Document made;
  made.body = std::make_shared<const std::string>(make());
  made.etag = to_upper(pki::sha512_hex(*made.body));
  if (made.body->size() >= kZipBytesMin) {
    made.zipped = std::make_shared<const std::string>(http::gzip(*made.body));
    made.body.reset();
  }
  MutexLock lock(mutex_);
  return documents_.emplace(key, std::move(made)).first->second;
}

void Discovery::send(const http::Request& request, http::Response& response,
                     const Document& document, std::string content_type) {
  std::string etag = "\"" + document.etag + "\"";
  response.headers.set("ETag", etag);
  response.headers.add("Vary", "Accept");
  if (request.headers.has_token("If-None-Match", etag)) {
    response.status = 304;
    return;
  }
  response.status = 200;
  if (document.zipped != nullptr && http::accepts_gzip(request.headers)) {
    response.headers.set("Content-Encoding", "gzip");
    response.set_body(std::move(content_type), document.zipped);
    return;
  }
  if (document.zipped == nullptr) {
    response.set_body(std::move(content_type), document.body);
    return;
  }
  // Nearly every client takes gzip; for the others it is worth unpacking, not keeping it twice.
  Result<std::string> plain = http::gunzip(*document.zipped, kPlainBytesMax);
  CHECK(plain.ok());
  response.set_body(std::move(content_type), std::move(plain).value());
}

Result<void> Discovery::send_kind(const http::Request& request, http::Response& response,
                                  const Document& document) {
  Result<Wanted> agreed = negotiate(request, Offers{.table = false, .partial = false});
  // The lists of groups have another way of saying what there is.
  constexpr std::string_view kMark = "Available representations: ";
  bool groups = request.segments[0] == "apis" && request.segments.size() <= 2;
  if (!agreed.ok() && groups && agreed.error().message().find(kMark) != std::string::npos) {
    const std::string& text = agreed.error().message();
    return Error::make(Code::kNotAcceptable, "only the following media types are accepted: {}",
                       text.substr(text.find(kMark) + kMark.size()));
  }
  Wanted wanted = TRY(std::move(agreed));
  if (wanted.media == MediaType::kJson) {
    send(request, response, document, "application/json");
    return {};
  }
  std::string plain = document.body != nullptr
                          ? *document.body
                          : TRY(http::gunzip(*document.zipped, kPlainBytesMax));
  json::Document parsed = TRY(json::Document::parse(plain));
  const api::Struct* schema = api::find_struct("io.k8s.apimachinery.pkg.apis.meta.v1." +
                                               std::string(parsed.root()["kind"].as_string()));
  response.headers.add("Vary", "Accept");
  write_document(response, 200, parsed.root(), schema, wanted);
  return {};
}

Result<void> Discovery::handle_root(const http::Request& request, http::Response& response) {
  bool core = request.segments[0] == "api";
  std::string version = wanted_aggregation(request);
  if (!version.empty()) {
    send(request, response,
         document("aggregated/" + version + request.segments[0],
                  [&] { return aggregated(version, core); }),
         fmt::format("application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList",
                     version));
    return {};
  }
  return send_kind(request, response, document(request.segments[0], [&] {
                     return core ? api_versions(address_) : group_list();
                   }));
}

bool Discovery::serves_group(std::string_view group) const {
  std::span<const Resource* const> rows = api::resources();
  return std::ranges::any_of(rows, [&](const Resource* row) { return row->group == group; });
}

Result<bool> Discovery::handle(const http::Request& request, http::Response& response) {
  const std::vector<std::string>& segments = request.segments;
  if (segments.empty()) return false;
  if (segments[0] == "openapi") return handle_openapi(request, response);
  if (segments[0] != "api" && segments[0] != "apis") return false;
  // Upstream looks at the method for those that a version's own server answers, not for the lists
  // of groups.
  bool reads = request.method == "GET" || request.method == "HEAD";
  bool any_method = segments[0] == "apis" && segments.size() <= 2;
  if (segments.size() == 1) {
    if (!reads && !any_method) return not_allowed();
    TRY(handle_root(request, response));
    return true;
  }
  bool core = segments[0] == "api";
  if (segments.size() != (core ? 2U : 3U) && !(segments.size() == 2 && !core)) return false;
  std::string key = join(segments, "/");
  if (!core && segments.size() == 2) {
    for (const GroupVersions& group : groups()) {
      if (group.group != segments[1]) continue;
      TRY(send_kind(request, response, document(key, [&] { return single_group(group); })));
      return true;
    }
    return false;
  }
  std::string group = core ? std::string() : segments[1];
  const std::string& version = segments.back();
  if (rows_of(group, version).empty()) {
    if (serves_group(group)) return api::no_such_resource();
    return false;
  }
  if (!reads) return not_allowed();
  TRY(send_kind(request, response, document(key, [&] { return resource_list(group, version); })));
  return true;
}

std::string Discovery::paths() const {
  std::vector<std::string> all = {"/api",          "/api/v1",      "/apis",       "/apis/",
                                  "/healthz",      "/livez",       "/metrics",    "/openapi/v2",
                                  "/openapi/v3",   "/openapi/v3/", "/readyz",     "/version",
                                  "/healthz/ping", "/livez/ping",  "/readyz/ping"};
  for (const GroupVersions& group : groups()) {
    all.push_back(fmt::format("/apis/{}", group.group));
    for (std::string_view version : group.versions) {
      all.push_back(fmt::format("/apis/{}/{}", group.group, version));
    }
  }
  std::sort(all.begin(), all.end());
  json::Draft draft;
  json::Node list = draft.root().set_array("paths");
  for (const std::string& path : all) list.push(path);
  return with_newline(draft);
}

bool Discovery::serves(std::string_view group, std::string_view version) const {
  return !rows_of(group, version).empty();
}

bool Discovery::handle_openapi(const http::Request& request, http::Response& response) {
  const std::vector<std::string>& segments = request.segments;
  if (segments.size() == 2 && segments[1] == "v2") {
    bool protobuf = request.headers.get("Accept").find("openapi.spec.v2@v1.0+protobuf") !=
                    std::string_view::npos;
    send(request, response,
         document(protobuf ? "openapi/v2.pb" : "openapi/v2.json",
                  [&] { return protobuf ? api::openapi_v2_protobuf() : api::openapi_v2(); }),
         protobuf ? "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
                  : "application/json");
    return true;
  }
  if (segments.size() < 2 || segments[1] != "v3") return false;
  if (segments.size() == 2) {
    send(request, response, document("openapi/v3", [] { return api::openapi_v3_index(); }),
         "application/json");
    return true;
  }
  bool core = segments.size() == 4 && segments[2] == "api";
  bool grouped = segments.size() == 5 && segments[2] == "apis";
  if (!core && !grouped) return false;
  std::string group = core ? std::string() : segments[3];
  const std::string& version = segments.back();
  std::vector<const Resource*> rows = rows_of(group, version);
  if (std::ranges::all_of(rows, [](const Resource* row) { return api::is_retired(*row); })) {
    response.status = 404;
    return true;
  }
  // The index names a document with its hash, so a client may keep it for as long as it likes.
  if (request.query.has("hash")) response.headers.set("Cache-Control", "public, immutable");
  send(request, response,
       document(join(segments, "/"), [&] { return api::openapi_v3(group, version); }),
       "application/json");
  return true;
}

}  // namespace wherry::apiserver
