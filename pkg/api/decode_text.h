#pragma once
// What Go's decoders say about scalars they do not take, in their words, since clients match on
// them; and the text forms of Go's durations. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace wherry::api {

// Empty when Go's time.Parse takes the text: RFC 3339, with exactly six fractional digits for
// `micro`.
std::string go_time_error(std::string_view text, bool micro);

// Empty when the text is padded base64; line breaks do not count.
std::string go_base64_error(std::string_view text);

// "1h2m3.5s" in nanoseconds; empty when it is no duration of Go's.
std::optional<int64_t> parse_go_duration(std::string_view text);
std::string format_go_duration(int64_t nanoseconds);

}  // namespace wherry::api
