// Requests from a client: no crash, and the same requests however the bytes are cut.

#include <cstdint>

#include "base/check.h"
#include "http/request_reader.h"

namespace wherry::http {
namespace {

std::string read(std::string_view bytes, size_t step) {
  RequestReader reader(RequestLimits{2000, 500});
  std::string seen;
  for (size_t at = 0; at < bytes.size(); at += step) {
    if (!reader.feed(bytes.substr(at, step)).ok()) return seen + "refused";
    while (reader.state() == RequestReader::State::kReady) {
      std::unique_ptr<Request> request = reader.take();
      CHECK(request->body.size() <= 500);
      seen += request->method + " " + request->target + "\n" + request->body + "\n";
      if (!reader.resume().ok()) return seen + "refused";
    }
  }
  return seen;
}

}  // namespace
}  // namespace wherry::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.empty()) return 0;
  std::string whole = wherry::http::read(bytes, bytes.size());
  CHECK(wherry::http::read(bytes, 7) == whole);
  return 0;
}
