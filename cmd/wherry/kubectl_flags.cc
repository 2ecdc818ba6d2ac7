#include "kubectl_flags.h"

#include <cmath>
#include <cstdlib>

#include "base/strings.h"

namespace wherry::command::kubectl {

const FlagRow* Flags::find(std::string_view name) const {
  for (const FlagRow& row : rows_) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

const FlagRow* Flags::find(char shorthand) const {
  for (const FlagRow& row : rows_) {
    if (row.shorthand == shorthand) return &row;
  }
  return nullptr;
}

Result<void> Flags::set(const FlagRow& row, std::string value) {
  bool is_switch = row.bare != nullptr && std::string_view(row.bare) == "true";
  if (is_switch && value != "true" && value != "false") {
    return Error::invalid("invalid argument {} for \"--{}\" flag: it is true or false",
                          quote(value), row.name);
  }
  values_[row.name].push_back(std::move(value));
  return {};
}

Result<size_t> Flags::read_long(std::span<const char* const> words, size_t at) {
  std::string_view word = words[at];
  std::string_view name = word.substr(2);
  std::optional<std::string> value;
  if (auto parts = split_once(name, "=")) {
    name = parts->first;
    value = std::string(parts->second);
  }
  const FlagRow* row = find(name);
  if (row == nullptr) return Error::invalid("unknown flag: --{}", name);
  if (value) {
    TRY(set(*row, *value));
    return at + 1;
  }
  if (row->bare != nullptr) {
    TRY(set(*row, row->bare));
    return at + 1;
  }
  if (at + 1 >= words.size()) return Error::invalid("flag needs an argument: --{}", name);
  TRY(set(*row, words[at + 1]));
  return at + 2;
}

Result<size_t> Flags::read_short(std::span<const char* const> words, size_t at) {
  std::string_view word = words[at];
  for (size_t i = 1; i < word.size(); ++i) {
    const FlagRow* row = find(word[i]);
    if (row == nullptr) {
      return Error::invalid("unknown shorthand flag: '{}' in {}", word[i], word);
    }
    std::string_view rest = word.substr(i + 1);
    if (rest.starts_with('=')) {
      TRY(set(*row, std::string(rest.substr(1))));
      return at + 1;
    }
    if (row->bare != nullptr) {
      TRY(set(*row, row->bare));
      continue;
    }
    if (!rest.empty()) {
      TRY(set(*row, std::string(rest)));
      return at + 1;
    }
    if (at + 1 >= words.size()) {
      return Error::invalid("flag needs an argument: '{}' in {}", word[i], word);
    }
    TRY(set(*row, words[at + 1]));
    return at + 2;
  }
  return at + 1;
}

Result<Flags> Flags::parse(std::span<const FlagRow> rows, std::span<const char* const> words) {
  Flags flags;
  flags.rows_.assign(rows.begin(), rows.end());
  size_t at = 0;
  while (at < words.size()) {
    std::string_view word = words[at];
    if (word == "--") {
      flags.before_dashes_ = flags.arguments_.size();
      for (++at; at < words.size(); ++at) flags.arguments_.emplace_back(words[at]);
    } else if (word.starts_with("--")) {
      at = TRY(flags.read_long(words, at));
    } else if (word.size() > 1 && word.starts_with('-')) {
      at = TRY(flags.read_short(words, at));
    } else {
      flags.arguments_.emplace_back(word);
      ++at;
    }
  }
  return flags;
}

std::string_view Flags::text(std::string_view name) const {
  if (auto found = values_.find(name); found != values_.end()) return found->second.back();
  const FlagRow* row = find(name);
  return row == nullptr ? std::string_view() : row->fallback;
}

std::vector<std::string> Flags::all(std::string_view name) const {
  auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

std::vector<std::string> Flags::all_split(std::string_view name) const {
  std::vector<std::string> out;
  for (const std::string& value : all(name)) {
    for (std::string_view part : split(value, ',')) {
      if (!part.empty()) out.emplace_back(part);
    }
  }
  return out;
}

bool Flags::on(std::string_view name) const { return text(name) == "true"; }

Result<int64_t> Flags::number(std::string_view name) const {
  std::optional<int64_t> value = parse_int(text(name));
  if (!value) {
    return Error::invalid("invalid argument {} for \"--{}\" flag: it is a number",
                          quote(text(name)), name);
  }
  return *value;
}

std::string describe_flags(std::span<const FlagRow> rows) {
  std::string out;
  for (const FlagRow& row : rows) {
    std::string left = row.shorthand != 0 ? fmt::format("  -{}, --{}", row.shorthand, row.name)
                                          : fmt::format("      --{}", row.name);
    std::string_view fallback = row.fallback;
    std::string note = fallback.empty() ? "" : fmt::format(" ({})", fallback);
    out += fmt::format("{:<32} {}{}\n", left, row.help, note);
  }
  return out;
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  Error wrong = Error::invalid("invalid duration {}: it looks like 30s, 5m or 1h30m", quote(text));
  std::string_view rest = text;
  bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.empty()) return wrong;
  double total_ms = 0;
  while (!rest.empty()) {
    size_t digits = rest.find_first_not_of("0123456789.");
    if (digits == 0) return wrong;
    std::string number(rest.substr(0, digits));
    char* end = nullptr;
    double value = std::strtod(number.c_str(), &end);
    if (*end != 0) return wrong;
    rest.remove_prefix(number.size());
    size_t letters = rest.find_first_of("0123456789.");
    std::string_view unit = rest.substr(0, letters);
    rest.remove_prefix(unit.size());
    if (unit == "ms") {
      total_ms += value;
    } else if (unit == "s" || unit.empty()) {
      total_ms += value * 1e3;
    } else if (unit == "m") {
      total_ms += value * 60e3;
    } else if (unit == "h") {
      total_ms += value * 3600e3;
    } else {
      return wrong;
    }
  }
  if (total_ms > 1e14) return wrong;
  return std::chrono::milliseconds(static_cast<int64_t>(negative ? -total_ms : total_ms));
}

}  // namespace wherry::command::kubectl
