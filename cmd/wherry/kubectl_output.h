#pragma once
// What kubectl prints: tables as the server makes them, JSON and YAML with sorted keys, names,
// JSONPath and custom columns.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "json/json.h"
#include "kubectl_flags.h"
#include "kubectl_jsonpath.h"

namespace wherry::command::kubectl {

// Columns as Go's text/tabwriter aligns them for kubectl: at least 6 wide, 3 spaces between. Widths
// are remembered, so that the rows of a watch stay under their header.
class Columns {
 public:
  void print(const std::vector<std::vector<std::string>>& rows);

 private:
  std::vector<size_t> widths_;
};

extern const std::vector<FlagRow> kOutputFlags;

enum class Format { kTable, kWide, kJson, kYaml, kName, kJsonPath, kColumns };

// -o: what to print objects as.
class Output {
 public:
  static Result<Output> of(const Flags& flags);

  Format format() const { return format_; }
  bool is_table() const { return format_ == Format::kTable || format_ == Format::kWide; }
  // An object (or a list) in any format but the tables. `label` is what kName prints.
  void print(json::Value object, const std::string& label);

 private:
  void print_columns(json::Value object);

  Format format_ = Format::kTable;
  bool managed_fields_ = false;
  bool headers_ = true;
  std::optional<JsonPath> path_;
  std::vector<std::pair<std::string, JsonPath>> columns_;
  Columns aligned_;
};

// Members in alphabetical order, as kubectl prints objects; without metadata.managedFields of the
// object and its items unless asked for.
json::Document tidy(json::Value object, bool managed_fields);

void print_text(std::string_view text);  // To standard output, at once.

}  // namespace wherry::command::kubectl
