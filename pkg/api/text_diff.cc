#include "api/text_diff.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/strings.h"

namespace wherry::api {
namespace {

constexpr size_t kLinesMax = 2000;  // Of what lies between the common start and end.
constexpr size_t kContext = 3;

using Lines = std::vector<std::string_view>;

struct Edit {
  char sign;  // ' ', '-' or '+'.
  std::string_view line;
};

// By the longest common subsequence of the lines between the common start and end.
std::vector<Edit> edits_of(const Lines& before, const Lines& after) {
  size_t head = 0;
  while (head < std::min(before.size(), after.size()) && before[head] == after[head]) ++head;
  size_t tail = 0;
  while (tail < std::min(before.size(), after.size()) - head &&
         before[before.size() - 1 - tail] == after[after.size() - 1 - tail])
    ++tail;
  size_t rows = before.size() - head - tail;
  size_t columns = after.size() - head - tail;
  if (rows > kLinesMax || columns > kLinesMax) return {};
  std::vector<uint16_t> common((rows + 1) * (columns + 1));
  auto cell = [&](size_t i, size_t j) -> uint16_t& { return common[i * (columns + 1) + j]; };
  for (size_t i = rows; i-- > 0;) {
    for (size_t j = columns; j-- > 0;) {
      bool same = before[head + i] == after[head + j];
      cell(i, j) = same ? static_cast<uint16_t>(cell(i + 1, j + 1) + 1)
                        : std::max(cell(i + 1, j), cell(i, j + 1));
    }
  }
  std::vector<Edit> out;
  for (size_t i = 0; i < head; ++i) out.push_back({' ', before[i]});
  size_t i = 0, j = 0;
  while (i < rows || j < columns) {
    if (i < rows && j < columns && before[head + i] == after[head + j]) {
      out.push_back({' ', before[head + i++]});
      ++j;
    } else if (i < rows && (j == columns || cell(i + 1, j) >= cell(i, j + 1))) {
      out.push_back({'-', before[head + i++]});
    } else {
      out.push_back({'+', after[head + j++]});
    }
  }
  for (size_t k = before.size() - tail; k < before.size(); ++k) out.push_back({' ', before[k]});
  return out;
}

}  // namespace

std::string unified_diff(std::string_view before, std::string_view after) {
  std::vector<Edit> edits = edits_of(split(before, '\n'), split(after, '\n'));
  std::string out;
  size_t old_line = 1, new_line = 1;  // Of edits[at].
  for (size_t at = 0; at < edits.size();) {
    auto changed = [](const Edit& edit) { return edit.sign != ' '; };
    auto first = std::find_if(edits.begin() + static_cast<ptrdiff_t>(at), edits.end(), changed);
    if (first == edits.end()) break;
    auto next = static_cast<size_t>(first - edits.begin());
    size_t start = next - std::min(next - at, kContext);
    old_line += start - at;
    new_line += start - at;
    size_t end = next;  // Behind the last change that is near enough to the one before it.
    for (size_t i = next; i < edits.size() && i <= end + 2 * kContext; ++i) {
      if (changed(edits[i])) end = i + 1;
    }
    size_t stop = std::min(edits.size(), end + kContext);
    std::string body;
    size_t old_count = 0, new_count = 0;
    for (size_t i = start; i < stop; ++i) {
      old_count += edits[i].sign != '+';
      new_count += edits[i].sign != '-';
      body.append(1, edits[i].sign).append(edits[i].line).append("\n");
    }
    out += fmt::format("@@ -{},{} +{},{} @@\n{}", old_line, old_count, new_line, new_count, body);
    old_line += old_count;
    new_line += new_count;
    at = stop;
  }
  return out;
}

}  // namespace wherry::api
