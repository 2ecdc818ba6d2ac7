#pragma once
// Transcripts as files: a sequence of exchanges, each a request and the answer that is due.
//
//   # What this is about
//   >>> POST /api/v1/namespaces/default/configmaps?fieldValidation=Strict
//   Content-Type: application/yaml
//
//   the body, up to the answer
//   <<< 201
//   ! a warning
//   the body: JSON indented, with what varies replaced (<uid>, <time>, <version>, ...)

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"  // fmt
#include "base/result.h"
#include "base/strings.h"

namespace wherry {

struct Exchange {
  std::vector<std::string> comments;  // Comments and empty lines, as they stand.
  std::string method, path;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string answer;  // From "<<<" on, without that.
};

inline Result<std::vector<Exchange>> parse(const std::string& text) {
  std::vector<Exchange> out;
  enum class At { kBefore, kHeaders, kBody, kAnswer } at = At::kBefore;
  std::vector<std::string> comments;
  for (std::string_view line : split(text, '\n')) {
    if (line.starts_with(">>> ")) {
      Exchange exchange;
      exchange.comments = std::move(comments);
      comments.clear();
      auto request = split_once(line.substr(4), " ");
      if (!request) return Error::invalid("not a request: {}", line);
      exchange.method = request->first;
      exchange.path = request->second;
      out.push_back(std::move(exchange));
      at = At::kHeaders;
    } else if (line.starts_with("<<<")) {
      out.back().answer = std::string(trim(line.substr(3))) + "\n";
      at = At::kAnswer;
    } else if (at == At::kHeaders && line.empty()) {
      at = At::kBody;
    } else if (at == At::kHeaders) {
      auto header = split_once(line, ": ");
      if (!header) return Error::invalid("not a header: {}", line);
      out.back().headers.emplace_back(header->first, header->second);
    } else if (at == At::kBody) {
      out.back().body += std::string(line) + "\n";
    } else if (line.starts_with("#")) {
      comments.emplace_back(line);
      at = At::kBefore;
    } else if (at == At::kAnswer && !line.empty()) {
      out.back().answer += std::string(line) + "\n";
    }
  }
  return out;
}

inline std::string print(const std::vector<Exchange>& exchanges) {
  std::string out;
  for (const Exchange& exchange : exchanges) {
    if (!out.empty()) out += "\n";
    for (const std::string& line : exchange.comments) out += line + "\n";
    out += fmt::format(">>> {} {}\n", exchange.method, exchange.path);
    for (const auto& [name, value] : exchange.headers) out += fmt::format("{}: {}\n", name, value);
    if (!exchange.body.empty()) out += "\n" + exchange.body;
    out += "<<< " + exchange.answer;
  }
  return out;
}

}  // namespace wherry
