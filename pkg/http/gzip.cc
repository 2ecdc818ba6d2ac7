// gzip of response bodies (RFC 1952), whole bodies at a time.

#include <zlib.h>

#include "base/strings.h"
#include "http/message.h"

namespace wherry::http {
namespace {

constexpr int kGzipWindow = 15 + 16;  // zlib's way to say gzip framing.

}  // namespace

std::string gzip(std::string_view bytes) {
  z_stream stream{};
  CHECK(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) ==
        Z_OK);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Result<std::string> gunzip(std::string_view bytes, size_t bytes_max) {
  z_stream stream{};
  CHECK(inflateInit2(&stream, kGzipWindow) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  char piece[16 << 10];
  int state = Z_OK;
  while (state == Z_OK && out.size() <= bytes_max) {
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof(piece);
    state = inflate(&stream, Z_NO_FLUSH);
    out.append(piece, sizeof(piece) - stream.avail_out);
  }
  inflateEnd(&stream);
  if (out.size() > bytes_max)
    return Error::bad_request("the gzip body is longer than {} bytes", bytes_max);
  if (state != Z_STREAM_END) return Error::bad_request("the gzip body is malformed");
  return out;
}

bool accepts_gzip(const Headers& headers) {
  for (std::string_view value : headers.all("Accept-Encoding")) {
    for (std::string_view item : split(value, ',')) {
      std::vector<std::string_view> parts = split(item, ';');
      if (!equals_ignore_case(trim(parts[0]), "gzip")) continue;
      for (size_t i = 1; i < parts.size(); ++i) {
        std::string_view weight = trim(parts[i]);
        if (weight == "q=0" || weight == "q=0.0" || weight == "q=0.00" || weight == "q=0.000")
          return false;
      }
      return true;
    }
  }
  return false;
}

}  // namespace wherry::http
