#include <cstdio>

#include "commands.h"

namespace wherry::command {

int run_hello(int, const char* const*) {
  std::fputs("wherry hello: not part of this build\n", stderr);
  return 1;
}

}  // namespace wherry::command
