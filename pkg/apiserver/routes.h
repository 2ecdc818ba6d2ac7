#pragma once
// Routes: what a path and method ask for, worked out from the resource rows. Pure; any thread.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/request.h"
#include "http/message.h"

namespace wherry::apiserver {

// A request as authorisation and the handlers see it.
struct Route {
  std::string verb;  // get, list, watch, create, update, patch, delete, deletecollection, connect.
  std::string path;  // Decoded, for rules on paths.
  // What authorisation asks for: a stream and a proxied request count as what their method does.
  std::string asked_verb;
  std::string selected_name;  // The name that the field selector of a list or watch demands.
  std::string fields;         // That selector.
  std::string group;
  std::string version;
  std::string plural;
  Target target;  // resource is null for a path that is no resource's.
  const api::Subresource* subresource = nullptr;
  std::vector<std::string> tail;  // What follows pods/NAME/proxy.
  bool is_resource = false;  // Below /api/VERSION or /apis/GROUP/VERSION, whether it exists or not.
  bool unknown = false;      // It does not exist: 404.
  bool wrong_method = false;  // It exists, but not with this method: 405.
};

Route find_route(const http::Request& request);

// "true", "1" and an empty value are true, as Go's query decoding has it.
bool is_true(std::string_view text);

}  // namespace wherry::apiserver
