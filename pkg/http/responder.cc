#include "http/responder.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>

namespace wherry::http {
namespace {

constexpr size_t kRecordBytes = 16 << 10;  // One TLS record; also enough per system call.

// RFC 9110 §5.6.7, made once a second.
const std::string& date_now() {
  thread_local std::time_t made = 0;
  thread_local std::string text;
  std::time_t now = std::time(nullptr);
  if (now != made) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    char buffer[40];
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::strftime(buffer, sizeof(buffer), "%Y %H:%M:%S GMT", &parts);
    text = fmt::format("{}, {:02} {} {}", kDays[parts.tm_wday], parts.tm_mday,
                       kMonths[parts.tm_mon], buffer);
    made = now;
  }
  return text;
}

// Eight bytes at a time: an answer has a few hundred of them, and nearly all are clean.
bool may_have_controls(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHighs = 0x8080808080808080;
  uint64_t found = 0;
  while (text.size() >= sizeof(uint64_t)) {
    uint64_t bytes;
    std::memcpy(&bytes, text.data(), sizeof(bytes));
    uint64_t deletes = bytes ^ (kOnes * 0x7f);
    found |= (bytes - kOnes * 0x20) & ~bytes;
    found |= (deletes - kOnes) & ~deletes;
    text.remove_prefix(sizeof(bytes));
  }
  if ((found & kHighs) != 0) return true;
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

void append_clean(std::string& out, std::string_view value) {
  size_t at = out.size();
  out += value;
  if (!may_have_controls(value)) return;
  for (; at < out.size(); ++at) {
    char& c = out[at];
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) c = ' ';
  }
}

void append_number(std::string& out, size_t number) {
  char text[20];
  out.append(text, std::to_chars(text, text + sizeof(text), number).ptr);
}

}  // namespace

std::string make_head(const Response& response, BodyFraming framing, size_t length,
                      bool keep_alive) {
  std::string head;
  head.reserve(384);
  head += "HTTP/1.1 ";
  append_number(head, static_cast<size_t>(response.status));
  head += ' ';
  head += status_text(response.status);
  head += "\r\nDate: ";
  head += date_now();
  head += "\r\n";
  for (const Headers::Field& field : response.headers.fields()) {
    append_clean(head, field.first);
    head += ": ";
    append_clean(head, field.second);
    head += "\r\n";
  }
  if (framing == BodyFraming::kLength) {
    head += "Content-Length: ";
    append_number(head, length);
    head += "\r\n";
  } else if (framing == BodyFraming::kChunked) {
    head += "Transfer-Encoding: chunked\r\n";
  }
  if (response.status == 101) {
    head += "Connection: Upgrade\r\n";
  } else if (!keep_alive) {
    head += "Connection: close\r\n";
  }
  head += "\r\n";
  return head;
}

bool produce(Connection& connection, const Response::Producer& producer, bool chunked,
             std::chrono::milliseconds patience) {
  std::string buffer;
  bool alive = true;
  auto flush = [&] {
    if (!alive || buffer.empty()) return;
    if (chunked) {
      buffer.insert(0, fmt::format("{:x}\r\n", buffer.size()));
      buffer += "\r\n";
    }
    alive = write_fully(connection, buffer, patience);
    buffer.clear();
  };
  producer([&](std::string_view bytes) {
    buffer.append(bytes);
    if (buffer.size() >= kRecordBytes) flush();
    return alive;
  });
  flush();
  if (alive && chunked) alive = write_fully(connection, "0\r\n\r\n", patience);
  return alive;
}

}  // namespace wherry::http
