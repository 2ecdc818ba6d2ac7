#include "apiserver/proxy_links.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace wherry::apiserver {
namespace {

// Attributes whose value is a URL (HTML standard, index of attributes; those of HTML 4 with it).
constexpr std::array<std::string_view, 15> kUrlAttributes = {
    "action", "background", "cite",     "classid", "codebase", "data", "formaction", "href",
    "icon",   "longdesc",   "manifest", "poster",  "profile",  "src",  "usemap"};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

bool holds_url(std::string_view name) {
  std::string lower = to_lower(name);
  return std::find(kUrlAttributes.begin(), kUrlAttributes.end(), lower) != kUrlAttributes.end();
}

// Reads one tag's attributes from `at`, behind its name, and writes them with their links moved.
// Returns the position of its '>' (or the end).
size_t copy_attributes(const LinkBase& base, std::string_view html, size_t at, std::string& out) {
  while (at < html.size() && html[at] != '>') {
    if (is_space(html[at]) || html[at] == '/') {
      out += html[at++];
      continue;
    }
    size_t name = at;
    ++at;
    while (at < html.size() && html[at] != '=' && html[at] != '>' && html[at] != '/' &&
           !is_space(html[at])) {
      ++at;
    }
    std::string_view attribute = html.substr(name, at - name);
    out += attribute;
    size_t look = at;
    while (look < html.size() && is_space(html[look])) ++look;
    if (look >= html.size() || html[look] != '=') continue;
    ++look;
    while (look < html.size() && is_space(html[look])) ++look;
    out += html.substr(at, look - at);
    at = look;
    if (at >= html.size()) break;
    char quote_mark = html[at] == '"' || html[at] == '\'' ? html[at] : '\0';
    size_t begin = quote_mark != '\0' ? at + 1 : at;
    size_t end = begin;
    while (end < html.size() && (quote_mark != '\0' ? html[end] != quote_mark
                                                    : !is_space(html[end]) && html[end] != '>')) {
      ++end;
    }
    std::string_view value = html.substr(begin, end - begin);
    out += html.substr(at, begin - at);
    out += holds_url(attribute) ? rewrite_link(base, value) : std::string(value);
    at = end;
    if (quote_mark != '\0' && at < html.size()) out += html[at++];
  }
  return at;
}

// Where the text of an element ends that holds no tags, from behind its start tag.
size_t end_of_raw_text(std::string_view html, size_t at, const std::string& element) {
  for (size_t close = html.find("</", at); close != std::string_view::npos;
       close = html.find("</", close + 2)) {
    if (equals_ignore_case(html.substr(close + 2, element.size()), element)) return close;
  }
  return html.size();
}

}  // namespace

std::string rewrite_link(const LinkBase& base, std::string_view url) {
  std::string_view path = url;
  size_t scheme = path.find("://");
  bool named = scheme != std::string_view::npos && path.find_first_of("/?#") == scheme + 1;
  if (named || path.starts_with("//")) {
    std::string_view rest = path.substr(named ? scheme + 3 : 2);
    size_t slash = std::min(rest.find_first_of("/?#"), rest.size());
    if (rest.substr(0, slash) != base.host) return std::string(url);
    path = rest.substr(slash);
  }
  if (!path.starts_with('/')) return std::string(url);
  if (path.starts_with(base.prefix)) return std::string(path);
  return base.prefix + std::string(path);
}

std::string rewrite_html(const LinkBase& base, std::string_view html) {
  std::string out;
  out.reserve(html.size() + 256);
  size_t at = 0;
  while (at < html.size()) {
    size_t open = std::min(html.find('<', at), html.size());
    out += html.substr(at, open - at);
    at = open;
    if (at >= html.size()) break;
    if (html.substr(at).starts_with("<!--")) {
      size_t end = html.find("-->", at);
      end = end == std::string_view::npos ? html.size() : end + 3;
      out += html.substr(at, end - at);
      at = end;
      continue;
    }
    size_t name = ++at;
    out += '<';
    while (at < html.size() && !is_space(html[at]) && html[at] != '>' && html[at] != '/') ++at;
    if (at == name) continue;  // An end tag, or a lone bracket: nothing in it is a link.
    std::string element = to_lower(html.substr(name, at - name));
    out += html.substr(name, at - name);
    at = copy_attributes(base, html, at, out);
    if (element != "script" && element != "style") continue;
    size_t end = end_of_raw_text(html, at, element);
    out += html.substr(at, end - at);
    at = end;
  }
  return out;
}

}  // namespace wherry::apiserver
