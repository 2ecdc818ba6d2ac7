#include "http/spdy_headers.h"

#include <zlib.h>

#include "base/strings.h"

namespace wherry::http {
namespace {

constexpr size_t kBlockBytesMax = 256 << 10;
constexpr size_t kFieldsMax = 1000;

void append_number(std::string& out, size_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

// The words, each with its length before it, then text that is searched as it is.
constexpr std::string_view kWords =
    "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,"
    "accept-language,accept-ranges,age,allow,authorization,cache-control,connection,"
    "content-base,content-encoding,content-language,content-length,content-location,"
    "content-md5,content-range,content-type,date,etag,expect,expires,from,host,if-match,"
    "if-modified-since,if-none-match,if-range,if-unmodified-since,last-modified,location,"
    "max-forwards,pragma,proxy-authenticate,proxy-authorization,range,referer,retry-after,"
    "server,te,trailer,transfer-encoding,upgrade,user-agent,vary,via,warning,"
    "www-authenticate,method,get,status,200 OK,version,HTTP/1.1,url,public,set-cookie,"
    "keep-alive,origin";
constexpr std::string_view kRest =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 "
    "Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service "
    "Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, "
    "Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/"
    "plain,"
    "text/"
    "javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq="
    "0.";

// The dictionary that both sides begin with: SPDY/3 specification, section 2.6.10.1.
std::string make_dictionary() {
  std::string dictionary;
  for (std::string_view word : split(kWords, ',')) {
    append_number(dictionary, word.size());
    dictionary += word;
  }
  dictionary += kRest;
  // Its name in every stream that uses it; proof that not a letter is wrong.
  CHECK(adler32(adler32(0, nullptr, 0), reinterpret_cast<const Bytef*>(dictionary.data()),
                static_cast<uInt>(dictionary.size())) == 0xe3c6a7c2U);
  return dictionary;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  std::optional<size_t> number() {
    if (text_.size() < 4) return std::nullopt;
    size_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(text_[i]);
    text_.remove_prefix(4);
    return value;
  }
  std::optional<std::string_view> text() {
    std::optional<size_t> size = number();
    if (!size || *size > text_.size()) return std::nullopt;
    std::string_view part = text_.substr(0, *size);
    text_.remove_prefix(*size);
    return part;
  }

 private:
  std::string_view text_;
};

}  // namespace

struct SpdyHeaderCodec::State {
  z_stream out{};
  z_stream in{};
  std::string dictionary = make_dictionary();
  Bytef* dictionary_bytes() { return reinterpret_cast<Bytef*>(dictionary.data()); }
};

SpdyHeaderCodec::SpdyHeaderCodec() : state_(std::make_unique<State>()) {
  // A small window holds the dictionary and saves a quarter of a megabyte for each session.
  CHECK(deflateInit2(&state_->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY) ==
        Z_OK);
  CHECK(deflateSetDictionary(&state_->out, state_->dictionary_bytes(),
                             static_cast<uInt>(state_->dictionary.size())) == Z_OK);
  CHECK(inflateInit(&state_->in) == Z_OK);
}

SpdyHeaderCodec::~SpdyHeaderCodec() {
  deflateEnd(&state_->out);
  inflateEnd(&state_->in);
}

std::string SpdyHeaderCodec::encode(const Headers& headers) {
  std::string plain;
  append_number(plain, headers.fields().size());
  for (const Headers::Field& field : headers.fields()) {
    append_number(plain, field.first.size());
    plain += to_lower(field.first);
    append_number(plain, field.second.size());
    plain += field.second;
  }
  std::string block(deflateBound(&state_->out, plain.size()) + 64, '\0');
  state_->out.next_in = reinterpret_cast<Bytef*>(plain.data());
  state_->out.avail_in = static_cast<uInt>(plain.size());
  state_->out.next_out = reinterpret_cast<Bytef*>(block.data());
  state_->out.avail_out = static_cast<uInt>(block.size());
  CHECK(deflate(&state_->out, Z_SYNC_FLUSH) == Z_OK && state_->out.avail_in == 0);
  block.resize(block.size() - state_->out.avail_out);
  return block;
}

Result<Headers> SpdyHeaderCodec::decode(std::string_view block) {
  std::string plain;
  char piece[4096];
  z_stream& in = state_->in;
  in.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
  in.avail_in = static_cast<uInt>(block.size());
  do {
    in.next_out = reinterpret_cast<Bytef*>(piece);
    in.avail_out = sizeof(piece);
    int state = inflate(&in, Z_SYNC_FLUSH);
    if (state == Z_NEED_DICT) {
      if (inflateSetDictionary(&in, state_->dictionary_bytes(),
                               static_cast<uInt>(state_->dictionary.size())) != Z_OK) {
        return Error::bad_request("spdy: the header block uses another dictionary");
      }
      continue;
    }
    if (state != Z_OK && state != Z_BUF_ERROR)
      return Error::bad_request("spdy: the header block does not unpack");
    plain.append(piece, sizeof(piece) - in.avail_out);
    if (plain.size() > kBlockBytesMax)
      return Error::bad_request("spdy: the header block is too long");
  } while (in.avail_in > 0 || in.avail_out == 0);

  Reader reader(plain);
  std::optional<size_t> count = reader.number();
  if (!count || *count > kFieldsMax)
    return Error::bad_request("spdy: the header block is malformed");
  Headers headers;
  for (size_t i = 0; i < *count; ++i) {
    std::optional<std::string_view> name = reader.text();
    std::optional<std::string_view> values = reader.text();
    if (!name || name->empty() || !values)
      return Error::bad_request("spdy: the header block is malformed");
    for (std::string_view value : split(*values, '\0'))
      headers.add(std::string(*name), std::string(value));
  }
  return headers;
}

}  // namespace wherry::http
