#include "http/request_reader.h"

#include <algorithm>

#include "base/check.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace wherry::http {
namespace {

constexpr size_t kFieldsMax = 1000;  // A proxy may name some hundred groups.
constexpr size_t kChunkLineBytesMax = 4096;
constexpr size_t kTrailerBytesMax = 16 << 10;

bool is_token_char(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool is_field_value(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  });
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

Result<void> parse_target(Request& request) {
  std::string_view rest = request.target;
  // Absolute form, as sent to proxies: the authority adds nothing here.
  for (std::string_view scheme : {"http://", "https://"}) {
    if (rest.size() > scheme.size() && equals_ignore_case(rest.substr(0, scheme.size()), scheme)) {
      rest.remove_prefix(scheme.size());
      size_t slash = rest.find_first_of("/?");
      rest = slash == std::string_view::npos ? std::string_view("/") : rest.substr(slash);
    }
  }
  if (size_t hash = rest.find('#'); hash != std::string_view::npos) rest = rest.substr(0, hash);
  std::string_view query;
  if (size_t mark = rest.find('?'); mark != std::string_view::npos) {
    query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  request.path = rest.empty() ? std::string("/") : std::string(rest);
  request.query = TRY(Query::parse(query));
  if (request.path == "*") return {};
  if (request.path.front() != '/') return Error::bad_request("the request target is malformed");

  std::string_view path = std::string_view(request.path).substr(1);
  request.trailing_slash = path.empty() || path.back() == '/';
  if (!path.empty() && path.back() == '/') path.remove_suffix(1);
  if (path.empty()) return {};
  for (std::string_view part : split(path, '/')) {
    std::optional<std::string> decoded = percent_decode(part, false);
    if (!decoded) return Error::bad_request("invalid URL escape in the path");
    request.segments.push_back(std::move(*decoded));
  }
  return {};
}

Result<void> parse_request_line(std::string_view line, Request& request) {
  size_t first = line.find(' ');
  size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return Error::bad_request("the request line is malformed");
  }
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  std::string_view version = line.substr(last + 1);
  if (!is_token(request.method) || request.target.empty() || !is_field_value(request.target) ||
      request.target.find(' ') != std::string::npos) {
    return Error::bad_request("the request line is malformed");
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return Error::bad_request("HTTP/1.1 is spoken here, not {}", quote(version.substr(0, 20)));
  }
  request.minor_version = version.back() - '0';
  if (equals_ignore_case(request.method, "CONNECT")) {
    return Error::bad_request("this server is no proxy");
  }
  return parse_target(request);
}

// Of a head whose end has not come: a client that ends lines with line feeds alone would wait for
// an answer, and another server might have seen a request already.
Result<void> check_line_ends(std::string_view head, size_t from) {
  for (size_t at = head.find('\n', from); at != std::string::npos; at = head.find('\n', at + 1)) {
    if (at == 0 || head[at - 1] != '\r') {
      return Error::bad_request("a line of the request head ends without a carriage return");
    }
  }
  return {};
}

}  // namespace

Result<void> parse_request_head(std::string_view head, Request& request) {
  size_t end = head.find("\r\n");
  TRY(parse_request_line(head.substr(0, end), request));
  while (end != std::string_view::npos) {
    head.remove_prefix(end + 2);
    end = head.find("\r\n");
    std::string_view line = head.substr(0, end);
    size_t colon = line.find(':');
    // A name that ends in a blank, and a line that begins with one, are how requests are smuggled.
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      return Error::bad_request("a header field is malformed");
    }
    std::string_view value = trim_blanks(line.substr(colon + 1));
    if (!is_field_value(value)) return Error::bad_request("a header field is malformed");
    if (request.headers.fields().size() == kFieldsMax) {
      return Error::make(Code::kRequestEntityTooLarge, "there are more than {} header fields",
                         kFieldsMax);
    }
    request.headers.add(std::string(line.substr(0, colon)), std::string(value));
  }
  request.keep_alive = request.minor_version == 1
                           ? !request.headers.has_token("Connection", "close")
                           : request.headers.has_token("Connection", "keep-alive");
  return {};
}

Result<ChunkedDecoder::State> ChunkedDecoder::feed(std::string_view& input, std::string& body,
                                                   size_t body_bytes_max) {
  while (!input.empty()) {
    if (phase_ == Phase::kData) {
      size_t taken = std::min(left_, input.size());
      body.append(input.substr(0, taken));
      input.remove_prefix(taken);
      left_ -= taken;
      if (left_ == 0) phase_ = Phase::kDataEnd;
      continue;
    }
    size_t newline = input.find('\n');
    line_.append(input.substr(0, newline == std::string_view::npos ? newline : newline + 1));
    input.remove_prefix(newline == std::string_view::npos ? input.size() : newline + 1);
    if (line_.size() > kChunkLineBytesMax) return Error::bad_request("a chunk header is too long");
    if (newline == std::string_view::npos) break;
    if (!line_.ends_with("\r\n")) return Error::bad_request("a chunk does not end in CRLF");
    std::string line = line_.substr(0, line_.size() - 2);
    line_.clear();

    if (phase_ == Phase::kDataEnd) {
      if (!line.empty()) return Error::bad_request("a chunk is longer than it says");
      phase_ = Phase::kSize;
    } else if (phase_ == Phase::kTrailer) {
      if (line.empty()) return State::kDone;
      trailer_bytes_ += line.size();
      if (trailer_bytes_ > kTrailerBytesMax) return Error::bad_request("the trailers are too long");
    } else {
      std::string_view digits = trim_blanks(std::string_view(line).substr(0, line.find(';')));
      if (digits.empty() || digits.size() > 8 || digits.front() != line.front())
        return Error::bad_request("a chunk size is malformed");
      left_ = 0;
      for (char c : digits) {
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return Error::bad_request("a chunk size is malformed");
        left_ = left_ * 16 + static_cast<size_t>(digit);
      }
      if (left_ > body_bytes_max || body.size() + left_ > body_bytes_max) {
        return Error::make(Code::kRequestEntityTooLarge, "Request entity too large: limit is {}",
                           body_bytes_max);
      }
      phase_ = left_ == 0 ? Phase::kTrailer : Phase::kData;
    }
  }
  return State::kMore;
}

Result<void> RequestReader::feed(std::string_view bytes) {
  // A long body goes straight to its place.
  if (state_ == State::kBody && chunked_ == nullptr && input_.empty()) {
    size_t taken = std::min(body_left_, bytes.size());
    request_->body.append(bytes.substr(0, taken));
    body_left_ -= taken;
    bytes.remove_prefix(taken);
  }
  input_.append(bytes);
  return advance();
}

Result<void> RequestReader::framing() {
  const Headers& headers = request_->headers;
  std::vector<std::string_view> lengths = headers.all("Content-Length");
  std::vector<std::string_view> codings = headers.all("Transfer-Encoding");
  if (request_->minor_version == 1 && headers.all("Host").size() != 1) {
    return Error::bad_request("a request needs exactly one Host header");
  }
  if (!codings.empty()) {
    if (!lengths.empty() || codings.size() > 1 || !equals_ignore_case(codings[0], "chunked") ||
        request_->minor_version == 0) {
      return Error::bad_request("unsupported transfer encoding");
    }
    chunked_ = std::make_unique<ChunkedDecoder>();
  } else if (!lengths.empty()) {
    std::optional<uint64_t> length = parse_uint(lengths[0]);
    bool same =
        std::all_of(lengths.begin(), lengths.end(), [&](auto l) { return l == lengths[0]; });
    if (!length || !same || lengths[0].front() == '+') {
      return Error::bad_request("bad Content-Length {}", quote(lengths[0].substr(0, 40)));
    }
    if (*length > limits_.body_bytes_max) {
      return Error::make(Code::kRequestEntityTooLarge, "Request entity too large: limit is {}",
                         limits_.body_bytes_max);
    }
    body_left_ = *length;
    // Not all at once: the client has yet to send what it announced.
    request_->body.reserve(std::min<size_t>(body_left_, 64 << 10));
  }
  std::string_view expect = headers.get("Expect");
  if (!expect.empty() && !equals_ignore_case(expect, "100-continue")) {
    return Error::bad_request("unknown expectation {}", quote(expect.substr(0, 40)));
  }
  wants_continue_ = !expect.empty() && (body_left_ > 0 || chunked_ != nullptr);
  return {};
}

Result<void> RequestReader::head_done(std::string_view head) {
  request_ = std::make_unique<Request>();
  Result<void> parsed = parse_request_head(head, *request_);
  head_too_large_ = !parsed.ok() && parsed.error().is(Code::kRequestEntityTooLarge);
  TRY(std::move(parsed));
  TRY(framing());
  state_ = State::kBody;
  return {};
}

Result<void> RequestReader::advance() {
  if (state_ == State::kIdle || state_ == State::kHead) {
    // RFC 9112 §2.2: an empty line before a request is ignored.
    while (searched_ == 0 && input_.starts_with("\r\n")) input_.erase(0, 2);
    state_ = input_.empty() ? State::kIdle : State::kHead;
    size_t end = input_.find("\r\n\r\n", searched_);
    size_t head_bytes = end == std::string::npos ? input_.size() : end;
    if (head_bytes > limits_.head_bytes_max) {
      head_too_large_ = true;
      return Error::make(Code::kRequestEntityTooLarge, "the request head is longer than {} bytes",
                         limits_.head_bytes_max);
    }
    if (end == std::string::npos) {
      TRY(check_line_ends(std::string_view(input_), searched_));
      searched_ = input_.size() < 3 ? 0 : input_.size() - 3;
      if (state_ == State::kIdle) input_ = {};
      return {};
    }
    TRY(head_done(std::string_view(input_).substr(0, end)));
    searched_ = 0;
    input_.erase(0, end + 4);
  }
  if (state_ != State::kBody) return {};
  if (chunked_ != nullptr) {
    std::string_view rest = input_;
    ChunkedDecoder::State done = TRY(chunked_->feed(rest, request_->body, limits_.body_bytes_max));
    input_.erase(0, input_.size() - rest.size());
    if (done == ChunkedDecoder::State::kMore) return {};
    chunked_.reset();
  } else {
    size_t taken = std::min(body_left_, input_.size());
    request_->body.append(input_, 0, taken);
    input_.erase(0, taken);
    body_left_ -= taken;
    if (body_left_ > 0) return {};
  }
  if (input_.empty()) input_ = {};  // Idle connections keep no buffer.
  wants_continue_ = false;
  state_ = State::kReady;
  return {};
}

bool RequestReader::take_continue() { return std::exchange(wants_continue_, false); }

std::unique_ptr<Request> RequestReader::take() {
  CHECK(state_ == State::kReady);
  state_ = State::kIdle;
  return std::move(request_);
}

std::string RequestReader::take_rest() { return std::exchange(input_, {}); }

}  // namespace wherry::http
