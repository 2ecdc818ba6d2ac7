#include <cstdio>

#include "commands.h"

namespace wherry::command {

int run_images(int, const char* const*) {
  std::fputs("wherry images: not part of this build\n", stderr);
  return 1;
}

}  // namespace wherry::command
