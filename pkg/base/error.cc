#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace wherry {

Error Error::from_errno(int number, std::string_view what) {
  Code code = Code::kInternal;
  if (number == ENOSPC || number == EDQUOT) code = Code::kStorageFull;
  if (number == ENOENT) code = Code::kNotFound;
  char buffer[128];
  const char* text = strerror_r(number, buffer, sizeof buffer);
  return Error(code, fmt::format("{}: {}", what, text));
}

}  // namespace wherry
