#pragma once
// Pages beside the API that another part of the server answers: how machines join. They decide
// themselves who may ask; who asks has been worked out (system:anonymous when nobody proved
// anything).

#include <functional>
#include <string>

#include "apiserver/request.h"
#include "http/message.h"

namespace wherry::apiserver {

struct ExtraPage {
  std::string path;  // "/v1-wherry/join", as it is or with more behind a slash.
  std::function<Result<void>(const User& user, http::Request& request, http::Response& response)>
      answer;  // Any thread.

  bool covers(std::string_view asked) const {
    return asked.starts_with(path) && (asked.size() == path.size() || asked[path.size()] == '/');
  }
};

}  // namespace wherry::apiserver
