#pragma once
// Table and PartialObjectMetadata: the forms of objects that kubectl and metadata-only clients ask
// for. Columns come from the resource row. Pure.

#include <span>
#include <string>
#include <vector>

#include "api/resource.h"
#include "base/clock.h"
#include "json/json.h"

namespace wherry::api {

enum class IncludeObject { kNone, kMetadata, kObject };

struct TableOptions {
  IncludeObject include_object = IncludeObject::kMetadata;
  bool headers = true;         // columnDefinitions; a watch sends them with its first event only.
  std::string version = "v1";  // Of meta.k8s.io: "v1" or "v1beta1".
};

// `items` are in the stored form, which cells read; the objects of the rows are in that of
// `resource`. `list_meta` (resourceVersion, continue, remainingItemCount) becomes the Table's
// metadata.
json::Draft make_table(const Resource& resource, std::span<const json::Value> items,
                       const TableOptions& options, Time now, json::Value list_meta);

// What a row says of an object beside the object itself: "cells":[...] and the conditions, as
// members of a JSON object, and for how long that stays so (ages grow).
struct RowText {
  std::string members;
  Duration good_for{};
};
RowText row_text(const Resource& resource, json::Value stored, Time now);
// The array of column definitions.
std::string columns_text(const Resource& resource);

json::Draft partial_metadata(json::Value object, std::string_view version = "v1");

// As kubectl shows ages: "5s", "2m3s", "3h", "4d5h", "2y11d"; "<invalid>" for less than -2 s.
std::string human_duration(Duration age);
// Age of a meta/v1 Time text; "<unknown>" when absent.
std::string human_age(std::string_view timestamp, Time now);

}  // namespace wherry::api
