#pragma once
// Command lines as kubectl reads them: flags and arguments in any order, "--name value",
// "--name=value", "-n value", "-nvalue", "-it", and everything after "--" as it is. Pure.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::command::kubectl {

struct FlagRow {
  const char* name;
  char shorthand = 0;
  // What the flag means without a value; nullptr: it needs one. "true" makes it a switch.
  const char* bare = nullptr;
  const char* fallback = "";
  const char* help = "";
};

class Flags {
 public:
  // kInvalid in kubectl's words: "unknown flag: --x", "flag needs an argument: --x".
  static Result<Flags> parse(std::span<const FlagRow> rows, std::span<const char* const> words);

  bool given(std::string_view name) const { return values_.contains(name); }
  // The last value given, else the row's fallback; empty for a flag the command does not have.
  std::string_view text(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;        // Every value given.
  std::vector<std::string> all_split(std::string_view name) const;  // The same, split at commas.
  bool on(std::string_view name) const;
  Result<int64_t> number(std::string_view name) const;

  const std::vector<std::string>& arguments() const { return arguments_; }
  // How many arguments stood before "--"; absent when there was none.
  std::optional<size_t> before_dashes() const { return before_dashes_; }

 private:
  const FlagRow* find(std::string_view name) const;
  const FlagRow* find(char shorthand) const;
  Result<void> set(const FlagRow& row, std::string value);
  Result<size_t> read_long(std::span<const char* const> words, size_t at);
  Result<size_t> read_short(std::span<const char* const> words, size_t at);

  std::vector<FlagRow> rows_;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> arguments_;
  std::optional<size_t> before_dashes_;
};

std::string describe_flags(std::span<const FlagRow> rows);

// As Go reads durations: "30s", "1m30s", "500ms", "-1s"; "0" too. Also plain seconds.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace wherry::command::kubectl
