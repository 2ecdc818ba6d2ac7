#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace wherry {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "wherry: check failed: %s at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace wherry
