#pragma once
// Decoding: JSON from a client made into what Go's typed decoding and encoding would make of it.
// Unknown fields go (or are an error), wrong types are BadRequest in upstream's words, null counts
// as absent, times and quantities take their canonical text, map keys are sorted, fields stand in
// declaration order (kind and apiVersion first), zero values of omitempty fields are left out and
// those of others put in.
//
// Pure; any thread.

#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

enum class FieldValidation : uint8_t { kIgnore, kWarn, kStrict };

struct DecodeOptions {
  FieldValidation field_validation = FieldValidation::kIgnore;
  // Named in errors: `Pod in version "v1" cannot be handled as a Pod: ...`. Empty: taken from the
  // object's own kind and apiVersion, else from the struct's name.
  std::string_view kind = {};
  std::string_view version = {};
  // Values of a wrong type are kept as they are instead of being an error. For custom resources,
  // whose own validation reports them.
  bool keep_mismatched = false;
};

// With kStrict unknown and repeated fields are one kBadRequest, `strict decoding error: unknown
// field "spec.foo", duplicate field "metadata.name"`; with kWarn each is a line in `warnings`.
Result<json::Draft> decode(const Struct& type, json::Value in, const DecodeOptions& options,
                           std::vector<std::string>& warnings);
Result<json::Draft> decode(const Struct& type, json::Value in);
// The same, where an empty list is none.
Result<json::Draft> decode_without_empty_lists(const Struct& type, json::Value in);

// The same, from text that may not be JSON at all; a syntax error is kBadRequest with Go's wording.
Result<json::Draft> decode_text(const Struct& type, std::string_view text,
                                const DecodeOptions& options, std::vector<std::string>& warnings);

// What Go's decoder says about text that is not one JSON value: "invalid character 'x' looking for
// beginning of value", "unexpected end of JSON input", ... Empty when the text is JSON.
std::string go_json_error(std::string_view text);

}  // namespace wherry::api
