#pragma once
// Query parameters and bodies of requests, as values the machinery takes. Errors are upstream's.
// Pure; any thread.

#include <string>

#include "apiserver/request.h"
#include "apiserver/routes.h"
#include "apiserver/watch.h"
#include "http/message.h"

namespace wherry::apiserver {

Result<ListOptions> list_options(const http::Request& request, const Target& target);
Result<WatchOptions> watch_options(const http::Request& request, const Target& target);
// `kind` names the options in errors: "CreateOptions", "UpdateOptions", "PatchOptions".
Result<WriteOptions> write_options(const http::Request& request, std::string_view kind);
// From the body when there is one, else from the query.
Result<DeleteOptions> delete_options(const http::Request& request);

// The request's body as JSON, whichever way it came; `schema` (may be null: no protobuf) and `kind`
// say what is expected. `repeated` takes what is to be said of keys that stand twice in YAML.
Result<json::Document> read_body(const http::Request& request, const api::Struct* schema,
                                 std::string_view kind, std::vector<std::string>& repeated);
struct PatchBody {
  PatchType type;
  json::Document document;
  std::vector<std::string> repeated = {};
};
Result<PatchBody> read_patch(const http::Request& request);

}  // namespace wherry::apiserver
