#include "apiserver/token_file.h"

#include "base/strings.h"

namespace wherry::apiserver {
namespace {

// The fields of one line; empty when a quote is not closed.
std::vector<std::string> fields_of(std::string_view line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      out.back() += line[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  if (quoted) out.clear();
  return out;
}

}  // namespace

Result<std::vector<StaticToken>> parse_token_file(std::string_view text) {
  std::vector<StaticToken> out;
  int number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    line = trim(line);
    if (line.empty() || line.starts_with('#')) continue;
    std::vector<std::string> fields = fields_of(line);
    if (fields.size() < 3) {
      return Error::invalid("line {}: a line is token,user,uid and perhaps \"group1,group2\"",
                            number);
    }
    StaticToken made{.token = std::string(trim(fields[0])), .user = {}};
    if (made.token.empty()) return Error::invalid("line {}: the token is empty", number);
    made.user.name = trim(fields[1]);
    made.user.uid = trim(fields[2]);
    if (fields.size() > 3 && !trim(fields[3]).empty()) {
      for (std::string_view group : split(fields[3], ',')) {
        made.user.groups.emplace_back(trim(group));
      }
    }
    out.push_back(std::move(made));
  }
  return out;
}

}  // namespace wherry::apiserver
