#pragma once
// TableView: the server's Tables (meta.k8s.io/v1) as kubectl shows them. Columns of a lower
// priority are for -o wide; namespace, kind, event and labels are added around them as asked.

#include <string>
#include <vector>

#include "json/json.h"
#include "kubectl_output.h"
#include "kubectl_resources.h"

namespace wherry::command::kubectl {

inline constexpr char kAcceptTable[] =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/"
    "json;as=Table;v=v1beta1;g=meta.k8s.io,"
    "application/json";

struct TableOptions {
  bool wide = false;
  bool headers = true;
  bool show_namespace = false;
  bool show_labels = false;
  bool show_event = false;
  std::vector<std::string> label_columns;
  std::string kind;     // Before each name ("pod/"); empty: not shown.
  std::string sort_by;  // JSONPath, or empty.
};

class TableView {
 public:
  explicit TableView(TableOptions options) : options_(std::move(options)) {}

  // Takes the rows in; the columns come with the first table that has some.
  Result<void> add(json::Value table, std::string_view event = {});
  bool empty() const { return rows_.empty(); }
  // Prints what was added since the last time, the header first.
  void print();

 private:
  struct Row {
    std::vector<std::string> cells;
    std::string key;  // Of sort_by.
    double number = 0;
    bool is_number = false;
  };
  struct Column {
    std::string name;
    bool shown = true;
    bool is_name = false;
  };
  std::vector<std::string> header() const;

  const TableOptions options_;
  std::vector<Column> columns_;
  std::vector<Row> rows_;
  bool headers_printed_ = false;
  Columns aligned_;
};

}  // namespace wherry::command::kubectl
