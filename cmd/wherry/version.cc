#include "version.h"

#include <cstdio>

#include "commands.h"

namespace wherry::command {

std::string_view version() { return WHERRY_VERSION; }
std::string_view commit() { return WHERRY_COMMIT; }

int run_version(int, const char* const*) {
  std::printf("wherry %s (%.12s), Kubernetes v1.36.3\n", WHERRY_VERSION, WHERRY_COMMIT);
  return 0;
}

}  // namespace wherry::command
