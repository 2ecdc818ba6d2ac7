#pragma once
// The three patch types that are not apply. Each gives the patched object and leaves its inputs
// alone; the caller decodes, defaults and validates the result like any write. Pure. Hostile input
// is bounded: at most kPatchOperationsMax operations, and copies that would grow the document
// without end are refused.

#include "api/schema.h"
#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

inline constexpr size_t kPatchOperationsMax = 10000;     // 413 beyond, as upstream.
inline constexpr size_t kPatchGrowthBytesMax = 3 << 20;  // Bytes that "copy" may add in all.

// RFC 6902. A malformed patch is kBadRequest; one that cannot be applied (missing path, failed
// test) is kInvalid with upstream's generic text, the cause in details.
Result<json::Draft> json_patch(json::Value original, json::Value patch);

// RFC 7396.
Result<json::Draft> merge_patch(json::Value original, json::Value patch);

// Strategic merge as upstream's built-in kinds define it: $patch, $deleteFromPrimitiveList,
// $setElementOrder, $retainKeys, merge keys from `schema`. kBadRequest or kInvalid when it cannot
// be done.
Result<json::Draft> strategic_merge_patch(const Struct& schema, json::Value original,
                                          json::Value patch);

}  // namespace wherry::api
