#pragma once
// Makes the answers of two servers comparable: what must vary (uids, times, versions, addresses,
// ports, random suffixes) is replaced, and so are descriptions, which are everybody's own words.

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "json/json.h"

namespace wherry {

inline bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

inline bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return true;
}

// A time of about now: one that a request gave stands as it is.
inline bool is_recent(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[10] != 'T') return false;
  std::optional<Time> time = parse_time(text);
  if (!time) return false;
  Duration age = SystemClock().now() - *time;
  return age < std::chrono::hours(24) && age > -std::chrono::hours(24);
}

inline size_t digits_from(std::string_view text, size_t start) {
  if (start >= text.size()) return start;
  return std::min(text.find_first_not_of("0123456789", start), text.size());
}

constexpr std::string_view kTokenVolume = "kube-api-access-";

// What varies inside a longer text, such as the object that a message quotes. The dump of Go
// structures that upstream adds to the refusal of a pod's change is cut off.
inline std::string steady_message(std::string_view text) {
  text = text.substr(0, text.find("\n@@ "));
  constexpr std::string_view kVersions[] = {"resourceVersion", "in object meta: ", "in record (",
                                            ", current: "};
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text.substr(i).starts_with(kTokenVolume)) {
      out.append(kTokenVolume).append("<suffix>");
      i += kTokenVolume.size() + 5;
    } else if (is_uuid(text.substr(i, 36))) {
      out += "<uid>";
      i += 36;
    } else if (is_recent(text.substr(i, 20))) {
      out += "<time>";
      i += 20;
    } else {
      for (std::string_view version : kVersions) {
        if (!text.substr(i).starts_with(version)) continue;
        size_t start = text.find_first_not_of("\\\":", i + version.size());
        size_t end = digits_from(text, start);
        if (start >= end || is_uuid(text.substr(start, 36))) continue;
        out += std::string(version) + "<version>";
        i = end;
      }
      if (i < text.size()) out += text[i++];
    }
  }
  return out;
}

// The entries of managedFields in an object that a message quotes, in order of their texts: that of
// their times is chance, as with sort_managers().
inline std::string sort_quoted_managers(std::string text) {
  constexpr std::string_view kMark = "managedFields\\\":[";
  size_t begin = text.find(kMark);
  if (begin == std::string::npos) return text;
  begin += kMark.size();
  std::vector<std::string> entries;
  size_t start = begin, end = begin;
  for (int depth = 0; end < text.size(); ++end) {
    char c = text[end];
    if (c == '{') ++depth;
    if (c == '}') --depth;
    if (depth != 0 || (c != ',' && c != ']')) continue;
    entries.push_back(text.substr(start, end - start));
    start = end + 1;
    if (c == ']') break;
  }
  std::sort(entries.begin(), entries.end());
  return text.replace(begin, end - begin, join(entries, ","));
}

// "80:31234/TCP" without the port that was given at random.
inline std::string ports_cell(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] != ':') continue;
    out += "<port>";
    i = digits_from(text, i + 1) - 1;
  }
  return out;
}

// "12s", "3m4s", "6y326d": how long ago something was, in a cell.
inline bool is_age(std::string_view text) {
  if (text.empty()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    size_t unit = digits_from(text, i);
    if (unit == i || unit == text.size()) return false;
    if (std::string_view("ydhms").find(text[unit]) == std::string_view::npos) return false;
    i = unit;
  }
  return true;
}

// Replaces "kube-api-access-x1y2z" and the like, and the names that generateName made.
inline std::string steady_text(std::string_view key, std::string_view text) {
  if (is_uuid(text)) return "<uid>";
  if (is_recent(text)) return text.size() == 20 ? "<time>" : "<microtime>";
  if (key == "resourceVersion" && !text.empty()) return "<version>";
  if (key == "continue" && !text.empty()) return "<continue>";
  if (key == "token") return "<token>";
  // Service addresses are random, but for the first, which the cluster gives itself.
  if (text.starts_with("10.43.") && text != "10.43.0.1") return "<address>";
  if (key == "cells" && is_age(text)) return "<age>";
  if (key == "cells" && (text.ends_with("/TCP") || text.ends_with("/UDP"))) return ports_cell(text);
  // What somebody's program was built from and with.
  for (std::string_view build :
       {"gitVersion", "gitCommit", "gitTreeState", "goVersion", "compiler"}) {
    if (key == build) return "<build>";
  }
  return sort_quoted_managers(steady_message(text));
}

// Entries of one kind stand in the order of their times, which are whole seconds: whether two
// writes fell into the same one is chance.
inline void sort_managers(json::Node entries) {
  std::vector<std::string> texts;
  for (json::Node entry : entries.items()) texts.push_back(entry.dump());
  std::sort(texts.begin(), texts.end());
  size_t at = 0;
  for (json::Node entry : entries.items()) {
    Result<json::Draft> draft = json::Draft::parse(texts[at++]);
    if (draft.ok()) entry.assign(draft->root());
  }
}

inline void steady(std::string_view key, json::Node node) {
  if (node.is_string()) {
    std::string text = steady_text(key, node.as_string());
    if (text != node.as_string()) node.assign(std::string_view(text));
    return;
  }
  if (node.is_int() && (key == "nodePort" || key == "healthCheckNodePort")) {
    node.assign(std::string_view("<port>"));
    return;
  }
  if (node.is_object()) {
    for (auto [name, value] : node.members()) steady(name, value);
    sort_managers(node["managedFields"]);
    // Descriptions of columns are everybody's own words.
    if (node["description"] && node["priority"] && node["format"])
      node.set("description", "<text>");
    std::string base(node["generateName"].as_string());
    std::string name(node["name"].as_string());
    if (!base.empty() && name.size() == base.size() + 5) {
      node.set("name", base + "<suffix>");
      // Namespaces carry their name in a label too.
      json::Node label = node["labels"]["kubernetes.io/metadata.name"];
      if (label) label.assign(std::string_view(base + "<suffix>"));
    }
  }
  for (json::Node item : node.items()) steady(key, item);
}

// As a transcript keeps a text: an empty line there ends the answer.
inline std::string without_empty_lines(std::string_view text) {
  std::string out;
  for (std::string_view line : split(text, '\n')) {
    if (!line.empty()) out += std::string(line) + "\n";
  }
  return out;
}

inline std::string steady_body(const std::string& body) {
  std::string out;
  // A watch is many documents, one a line.
  for (std::string_view line : split(body, '\n')) {
    if (line.empty()) continue;
    Result<json::Draft> draft = json::Draft::parse(line);
    if (!draft.ok()) {
      Result<json::Draft> whole = json::Draft::parse(body);
      if (!whole.ok()) return without_empty_lines(body);
      steady({}, whole->root());
      return whole->dump_pretty() + "\n";
    }
    steady({}, draft->root());
    out += draft->dump_pretty() + "\n";
  }
  return out;
}

}  // namespace wherry
