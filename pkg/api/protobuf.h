#pragma once
// Protobuf as Kubernetes speaks it, driven by the schema tables.
//
// A body is an envelope around the message of the kind:
//
//   "k8s\0"  runtime.Unknown { 1: TypeMeta { 1: apiVersion, 2: kind }, 2: raw, 3: contentEncoding,
//                              4: contentType }
//
// Encoding is deterministic and does what gogo-proto's generated code does: plain scalars are
// written even when zero, pointers when present, embedded structs always, map entries in key order.
// Decoding bounds depth and size, so that hostile bytes are an error. Pure; any thread.

#include <string>
#include <string_view>

#include "api/schema.h"
#include "base/result.h"
#include "json/json.h"

namespace wherry::api {

inline constexpr std::string_view kProtobufMediaType = "application/vnd.kubernetes.protobuf";

struct ProtobufEnvelope {
  std::string api_version;
  std::string kind;
  std::string content_encoding;
  std::string content_type;
  std::string_view raw;  // Into the bytes that were unwrapped.
};

// kBadRequest when the magic or the envelope is not what it should be.
Result<ProtobufEnvelope> protobuf_unwrap(std::string_view body);
std::string protobuf_wrap(std::string_view api_version, std::string_view kind, std::string_view raw,
                          std::string_view content_type = {});

// One message of `type`, without envelope. The result is as decode() makes it, but has no kind and
// apiVersion, which the envelope carries.
Result<json::Draft> protobuf_decode(const Struct& type, std::string_view bytes);
std::string protobuf_encode(const Struct& type, json::Value object);

// A whole body: unwrapped, with kind and apiVersion set from the envelope; `type` is the kind's
// struct.
Result<json::Draft> protobuf_decode_body(const Struct& type, std::string_view body);
// A whole body: the envelope takes kind and apiVersion from `object`.
std::string protobuf_encode_body(const Struct& type, json::Value object);

// A list body ({metadata: ListMeta = 1, items = 2}) in parts, which are sent one after the other:
// `before`, the items (`items_size` bytes in all) and `after`, so that an object's bytes are made
// once and shared.
struct ProtobufListFrame {
  std::string before;
  std::string after;
};
ProtobufListFrame protobuf_list_frame(std::string_view api_version, std::string_view list_kind,
                                      json::Value list_metadata, size_t items_size);
// An item with its tag and length.
std::string protobuf_list_item(const Struct& type, json::Value object);

// One frame of application/vnd.kubernetes.protobuf;stream=watch: four bytes of big-endian length,
// then WatchEvent { 1: type, 2: RawExtension { 1: body } } where `body` has its own envelope.
std::string protobuf_watch_frame(std::string_view event_type, std::string_view body);

}  // namespace wherry::api
