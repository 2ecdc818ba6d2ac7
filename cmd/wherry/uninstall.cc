#include <cstdio>

#include "commands.h"

namespace wherry::command {

int run_uninstall(int, const char* const*) {
  std::fputs("wherry uninstall: not part of this build\n", stderr);
  return 1;
}

}  // namespace wherry::command
