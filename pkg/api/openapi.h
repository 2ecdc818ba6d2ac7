#pragma once
// OpenAPI documents from the schema tables and the resource rows: definitions with the
// x-kubernetes-* extensions, and the paths with their verbs, from which kubectl validates, explains
// and patches. Made anew at every call; the caller caches. Pure; any thread.

#include <span>
#include <string>
#include <string_view>

#include "api/resource.h"
#include "api/schema.h"

namespace wherry::api {

// GET /openapi/v3/api/v1 and /openapi/v3/apis/GROUP/VERSION. With `rows`, these resources (of that
// group and version) in place of the built-in ones; used for custom resources.
std::string openapi_v3(std::string_view group, std::string_view version);
std::string openapi_v3(std::string_view group, std::string_view version,
                       std::span<const Resource* const> rows);

// GET /openapi/v3: the index, from path ("api/v1", "apis/apps/v1") to document URL with its hash.
// `custom` are rows served beside the built-in ones.
std::string openapi_v3_index(std::span<const Resource* const> custom = {});

// GET /openapi/v2 as JSON and as the gnostic openapi.v2 Document that
// application/com.github.proto-openapi.spec.v2@v1.0+protobuf asks for; the answer's type has a '.'
// in place of the '@', which is no character of media types.
std::string openapi_v2(std::span<const Resource* const> custom = {});
std::string openapi_v2_protobuf(std::span<const Resource* const> custom = {});

// The name of a kind's definition: "io.k8s.api.core.v1.Pod", "com.example.v1.Widget".
std::string openapi_definition_name(const Resource& row);

}  // namespace wherry::api
