#include <cstdio>

#include "commands.h"

namespace wherry::command {

int run_kubectl(int, const char* const*) {
  std::fputs("wherry kubectl: not part of this build\n", stderr);
  return 1;
}

}  // namespace wherry::command
