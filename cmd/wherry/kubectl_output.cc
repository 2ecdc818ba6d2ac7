#include "kubectl_output.h"

#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "json/yaml.h"

namespace wherry::command::kubectl {

const std::vector<FlagRow> kOutputFlags = {
    {.name = "output",
     .shorthand = 'o',
     .help = "json, yaml, wide, name, jsonpath=TEMPLATE, custom-columns=NAME:PATH,..."},
    {.name = "show-managed-fields", .bare = "true", .help = "Keep managedFields in JSON and YAML"},
    {.name = "no-headers", .bare = "true", .help = "Tables without their header"},
};

namespace {

constexpr size_t kWidthMin = 6;
constexpr size_t kPadding = 3;

// Characters, not bytes: continuation bytes of UTF-8 have no width.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void copy_sorted(json::Value from, json::Node to);

void put_sorted(json::Value from, json::Node parent, std::string_view key) {
  if (from.is_object()) {
    copy_sorted(from, parent.add_object(key));
  } else if (from.is_array()) {
    copy_sorted(from, parent.add_array(key));
  } else {
    parent.add(key, from);
  }
}

void copy_sorted(json::Value from, json::Node to) {
  std::vector<json::Member> members;
  for (json::Member member : from.members()) members.push_back(member);
  std::sort(members.begin(), members.end(),
            [](const json::Member& a, const json::Member& b) { return a.key < b.key; });
  for (const json::Member& member : members) put_sorted(member.value, to, member.key);
  for (json::Value item : from.items()) {
    if (item.is_object()) {
      copy_sorted(item, to.push_object());
    } else if (item.is_array()) {
      copy_sorted(item, to.push_array());
    } else {
      to.push(item);
    }
  }
}

}  // namespace

void print_text(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void Columns::print(const std::vector<std::vector<std::string>>& rows) {
  for (const std::vector<std::string>& row : rows) {
    if (widths_.size() < row.size()) widths_.resize(row.size(), kWidthMin);
    for (size_t i = 0; i < row.size(); ++i) {
      widths_[i] = std::max(widths_[i], width_of(row[i]) + kPadding);
    }
  }
  std::string out;
  for (const std::vector<std::string>& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths_[i] - width_of(row[i]), ' ');
    }
    out += '\n';
  }
  print_text(out);
}

json::Document tidy(json::Value object, bool managed_fields) {
  json::Draft draft;
  copy_sorted(object, draft.root());
  if (!managed_fields) {
    draft.root()["metadata"].remove("managedFields");
    for (json::Node item : draft.root()["items"].items()) item["metadata"].remove("managedFields");
  }
  return draft.freeze();
}

Result<Output> Output::of(const Flags& flags) {
  Output out;
  out.managed_fields_ = flags.on("show-managed-fields");
  out.headers_ = !flags.on("no-headers");
  std::string_view text = flags.text("output");
  std::string_view argument;
  if (auto parts = split_once(text, "=")) {
    text = parts->first;
    argument = parts->second;
  }
  if (text.empty()) return out;
  if (text == "wide") {
    out.format_ = Format::kWide;
  } else if (text == "json") {
    out.format_ = Format::kJson;
  } else if (text == "yaml") {
    out.format_ = Format::kYaml;
  } else if (text == "name") {
    out.format_ = Format::kName;
  } else if (text == "jsonpath" || text == "jsonpath-as-json") {
    out.format_ = Format::kJsonPath;
    out.path_ = TRY(JsonPath::parse(argument));
  } else if (text == "custom-columns") {
    out.format_ = Format::kColumns;
    for (std::string_view column : split(argument, ',')) {
      auto parts = split_once(column, ":");
      if (!parts) {
        return Error::invalid(
            "unexpected custom-columns spec: {}, expected <header>:<json-path-expr>", column);
      }
      JsonPath path = TRY(JsonPath::parse(parts->second, true));
      out.columns_.emplace_back(std::string(parts->first), std::move(path));
    }
  } else {
    return Error::invalid(
        "wherry kubectl has no output format \"{}\" (it has json, yaml, name, wide, "
        "jsonpath, custom-columns): use kubectl",
        text);
  }
  return out;
}

void Output::print_columns(json::Value object) {
  std::vector<std::vector<std::string>> rows;
  if (std::exchange(headers_, false)) {
    rows.emplace_back();
    for (const auto& [name, path] : columns_) rows.back().push_back(name);
  }
  std::vector<json::Value> items;
  if (object["items"].is_array()) {
    for (json::Value item : object["items"].items()) items.push_back(item);
  } else {
    items.push_back(object);
  }
  for (json::Value item : items) {
    rows.emplace_back();
    for (const auto& [name, path] : columns_) {
      std::vector<std::string> texts;
      for (json::Value value : path.find(item)) texts.push_back(plain_text(value));
      rows.back().push_back(texts.empty() ? "<none>" : join(texts, ","));
    }
  }
  aligned_.print(rows);
}

void Output::print(json::Value object, const std::string& label) {
  switch (format_) {
    case Format::kJson:
      return print_text(tidy(object, managed_fields_).root().dump_pretty() + "\n");
    case Format::kYaml: {
      std::string text = json::to_yaml(tidy(object, managed_fields_).root());
      return print_text(text.ends_with('\n') ? text : text + "\n");
    }
    case Format::kName: return print_text(label + "\n");
    case Format::kJsonPath: return print_text(path_->print(object));
    case Format::kColumns: return print_columns(object);
    case Format::kTable:
    case Format::kWide: return;
  }
}

}  // namespace wherry::command::kubectl
