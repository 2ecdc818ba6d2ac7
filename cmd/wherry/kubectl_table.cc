#include "kubectl_table.h"

#include <algorithm>

#include "base/strings.h"

namespace wherry::command::kubectl {
namespace {

std::string labels_text(json::Value labels) {
  std::vector<std::string> parts;
  for (json::Member label : labels.members()) {
    parts.push_back(std::string(label.key) + "=" + std::string(label.value.as_string()));
  }
  std::sort(parts.begin(), parts.end());
  return parts.empty() ? "<none>" : join(parts, ",");
}

std::string cell_text(json::Value cell) {
  if (cell.is_null()) return "<none>";
  std::string text = plain_text(cell);
  // A line break would tear the table.
  return text.substr(0, text.find('\n'));
}

}  // namespace

Result<void> TableView::add(json::Value table, std::string_view event) {
  if (table["kind"].as_string() != "Table") {
    return Error::unsupported("the server does not print this kind as a table: use -o yaml");
  }
  if (columns_.empty()) {
    for (json::Value column : table["columnDefinitions"].items()) {
      columns_.push_back({.name = to_upper(column["name"].as_string()),
                          .shown = options_.wide || column["priority"].as_int() == 0,
                          .is_name = column["format"].as_string() == "name"});
    }
  }
  std::optional<JsonPath> sort;
  if (!options_.sort_by.empty()) sort = TRY(JsonPath::parse(options_.sort_by, true));
  for (json::Value item : table["rows"].items()) {
    Row row;
    json::Value metadata = item["object"]["metadata"];
    if (options_.show_event) row.cells.emplace_back(event);
    if (options_.show_namespace) row.cells.emplace_back(metadata["namespace"].as_string());
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (!columns_[i].shown) continue;
      std::string text = cell_text(item["cells"].at(i));
      bool prefixed = columns_[i].is_name && !options_.kind.empty();
      row.cells.push_back(prefixed ? options_.kind + "/" + text : text);
    }
    for (const std::string& label : options_.label_columns) {
      row.cells.emplace_back(metadata["labels"][label].as_string());
    }
    if (options_.show_labels) row.cells.push_back(labels_text(metadata["labels"]));
    if (sort) {
      std::vector<json::Value> found = sort->find(item["object"]);
      if (!found.empty()) {
        row.key = plain_text(found[0]);
        row.is_number = found[0].is_number();
        row.number = found[0].as_double();
      }
    }
    rows_.push_back(std::move(row));
  }
  return {};
}

std::vector<std::string> TableView::header() const {
  std::vector<std::string> out;
  if (options_.show_event) out.emplace_back("EVENT");
  if (options_.show_namespace) out.emplace_back("NAMESPACE");
  for (const Column& column : columns_) {
    if (column.shown) out.push_back(column.name);
  }
  for (const std::string& label : options_.label_columns) {
    out.push_back(to_upper(label.substr(label.rfind('/') + 1)));
  }
  if (options_.show_labels) out.emplace_back("LABELS");
  return out;
}

void TableView::print() {
  if (rows_.empty()) return;
  if (!options_.sort_by.empty()) {
    std::stable_sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
      return a.is_number && b.is_number ? a.number < b.number : a.key < b.key;
    });
  }
  std::vector<std::vector<std::string>> lines;
  if (options_.headers && !std::exchange(headers_printed_, true)) lines.push_back(header());
  for (Row& row : rows_) lines.push_back(std::move(row.cells));
  rows_.clear();
  aligned_.print(lines);
}

}  // namespace wherry::command::kubectl
