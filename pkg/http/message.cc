#include "http/message.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/strings.h"
#include "http/stream_pool.h"

namespace wherry::http {

std::string_view Headers::get(std::string_view name) const {
  for (const Field& field : fields_) {
    if (equals_ignore_case(field.first, name)) return field.second;
  }
  return {};
}

bool Headers::has(std::string_view name) const {
  return std::any_of(fields_.begin(), fields_.end(),
                     [&](const Field& field) { return equals_ignore_case(field.first, name); });
}

std::vector<std::string_view> Headers::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const Field& field : fields_) {
    if (equals_ignore_case(field.first, name)) values.emplace_back(field.second);
  }
  return values;
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
  for (std::string_view value : all(name)) {
    for (std::string_view item : split(value, ',')) {
      if (equals_ignore_case(trim(item), token)) return true;
    }
  }
  return false;
}

void Headers::set(std::string name, std::string value) {
  remove(name);
  add(std::move(name), std::move(value));
}

void Headers::remove(std::string_view name) {
  std::erase_if(fields_, [&](const Field& field) { return equals_ignore_case(field.first, name); });
}

Result<Query> Query::parse(std::string_view text) {
  Query query;
  if (text.empty()) return query;
  for (std::string_view part : split(text, '&')) {
    if (part.empty()) continue;
    size_t equals = part.find('=');
    std::optional<std::string> name = percent_decode(part.substr(0, equals), true);
    std::optional<std::string> value = equals == std::string_view::npos
                                           ? std::string()
                                           : percent_decode(part.substr(equals + 1), true);
    if (!name || !value) return Error::bad_request("invalid URL escape in the query");
    query.parameters_.emplace_back(std::move(*name), std::move(*value));
  }
  return query;
}

std::string_view Query::get(std::string_view name) const {
  for (const Parameter& parameter : parameters_) {
    if (parameter.first == name) return parameter.second;
  }
  return {};
}

bool Query::has(std::string_view name) const {
  return std::any_of(parameters_.begin(), parameters_.end(),
                     [&](const Parameter& parameter) { return parameter.first == name; });
}

std::vector<std::string_view> Query::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const Parameter& parameter : parameters_) {
    if (parameter.first == name) values.emplace_back(parameter.second);
  }
  return values;
}

Response::~Response() {
  clear_body();
  if (holds_slot_) gate_->release();
}

std::function<void(Stream&)> Response::take_upgrade() {
  if (upgrade_ != nullptr) holds_slot_ = false;
  return std::exchange(upgrade_, nullptr);
}

std::function<void(BodyWriter&)> Response::take_stream() {
  if (stream_ != nullptr) holds_slot_ = false;
  return std::exchange(stream_, nullptr);
}

void Response::clear_body() {
  pieces_.clear();
  producer_ = nullptr;
  if (hub_ != nullptr) hub_owner_->discard(std::exchange(hub_, nullptr));
  upgrade_ = nullptr;
  stream_ = nullptr;
  turn_ = nullptr;
}

void Response::wait_for(std::shared_ptr<Turn> turn) {
  clear_body();
  turn_ = std::move(turn);
}

void Response::set_body(std::string content_type, std::string body) {
  set_body(std::move(content_type), std::make_shared<const std::string>(std::move(body)));
}

void Response::set_body(std::string content_type, SharedBytes body) {
  clear_body();
  headers.set("Content-Type", std::move(content_type));
  append(std::move(body));
}

void Response::append(Piece piece) {
  if (!piece.bytes.empty()) pieces_.push_back(std::move(piece));
}

void Response::append(SharedBytes piece) {
  if (piece == nullptr) return;
  std::string_view bytes = *piece;
  append(Piece{std::move(piece), bytes});
}

void Response::append(std::string piece) {
  append(std::make_shared<const std::string>(std::move(piece)));
}

size_t Response::body_size() const {
  size_t size = 0;
  for (const Piece& piece : pieces_) size += piece.bytes.size();
  return size;
}

void Response::set_chunked(std::string content_type, Producer producer) {
  clear_body();
  headers.set("Content-Type", std::move(content_type));
  producer_ = std::move(producer);
}

std::shared_ptr<HubConnection> Response::hijack_to_hub(std::string content_type,
                                                       std::shared_ptr<EventSource> source,
                                                       HubOptions options) {
  CHECK(hub_owner_ != nullptr);
  clear_body();
  headers.set("Content-Type", std::move(content_type));
  hub_ = hub_owner_->create(std::move(source), options);
  return hub_;
}

Result<void> Response::upgrade(std::function<void(Stream&)> body) {
  CHECK(gate_ != nullptr);
  if (!holds_slot_) TRY(gate_->reserve());
  holds_slot_ = true;
  clear_body();
  if (status == 200) status = 101;
  upgrade_ = std::move(body);
  return {};
}

Result<void> Response::stream(std::string content_type, std::function<void(BodyWriter&)> body) {
  CHECK(gate_ != nullptr);
  if (!holds_slot_) TRY(gate_->reserve());
  holds_slot_ = true;
  clear_body();
  headers.set("Content-Type", std::move(content_type));
  stream_ = std::move(body);
  return {};
}

void Response::keep_to_the_end(std::shared_ptr<const void> what) {
  if (hub_ != nullptr) hub_->keep(what);
  if (upgrade_ != nullptr) {
    upgrade_ = [body = std::move(upgrade_), what](Stream& stream) mutable {
      body(stream);
      what.reset();
    };
  }
  if (stream_ != nullptr) {
    stream_ = [body = std::move(stream_), what](BodyWriter& writer) mutable {
      body(writer);
      what.reset();
    };
  }
}

std::string_view status_text(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 413: return "Request Entity Too Large";
    case 414: return "Request URI Too Long";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Entity";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 507: return "Insufficient Storage";
    default: return "Status";
  }
}

}  // namespace wherry::http
