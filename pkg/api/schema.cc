#include "api/schema.h"

#include <algorithm>

namespace wherry::api {

const Field* Struct::find(std::string_view json_name) const {
  auto at = std::lower_bound(
      by_name.begin(), by_name.end(), json_name,
      [this](uint16_t index, std::string_view wanted) { return fields[index].name < wanted; });
  if (at == by_name.end() || fields[*at].name != json_name) return nullptr;
  return &fields[*at];
}

const Field* Struct::find(uint32_t number) const {
  auto at = std::lower_bound(
      by_number.begin(), by_number.end(), number,
      [this](uint16_t index, uint32_t wanted) { return fields[index].number < wanted; });
  if (at == by_number.end() || fields[*at].number != number) return nullptr;
  return &fields[*at];
}

const Struct* find_struct(std::string_view definition) {
  std::span<const Struct* const> all = all_structs();
  auto at = std::lower_bound(
      all.begin(), all.end(), definition,
      [](const Struct* made, std::string_view wanted) { return made->definition < wanted; });
  return at != all.end() && (*at)->definition == definition ? *at : nullptr;
}

}  // namespace wherry::api
