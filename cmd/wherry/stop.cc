#include <cstdio>

#include "commands.h"

namespace wherry::command {

int run_stop(int, const char* const*) {
  std::fputs("wherry stop: not part of this build\n", stderr);
  return 1;
}

}  // namespace wherry::command
