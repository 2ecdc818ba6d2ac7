#pragma once
// Reading kubeconfig files. Pure but for the files it reads.

#include <string>

#include "base/result.h"
#include "http/client.h"
#include "kubectl_flags.h"

namespace wherry::command::kubectl {

struct Connection {
  std::string server;  // "https://127.0.0.1:6443", without a slash at its end.
  std::string token;
  std::string namespace_name;  // Of the context; may be empty.
  http::ClientOptions options;
};

Result<Connection> read_connection(const Flags& flags);

}  // namespace wherry::command::kubectl
