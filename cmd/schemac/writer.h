#pragma once
// Writes what the compiler makes of a model, into a folder of its own:
//
//   api/schema_<package>.h, .cc   constant tables, wherry::api::schema::<package>::kPodSpec
//   api/schema_all.cc             wherry::api::all_structs()
//   api/views_<package>.h         typed views, wherry::api::<package>::PodSpecView

#include <string>
#include <vector>

#include "base/result.h"
#include "model.h"

namespace wherry::schemac {

Result<void> write_tables(const Model& model, const std::string& folder);
Result<void> write_views(const Model& model, const std::string& folder);

Result<void> write_file(const std::string& path, const std::string& text);

// A field as it stands in its struct's table: its own, one that came with an inlined struct, or the
// marker.
struct FlatField {
  const Field* field = nullptr;
  bool inlined = false;  // From an inlined struct: protobuf has it in another message.
};
// kind and apiVersion first when the struct is an object; inlined fields in the place of the
// marker.
std::vector<FlatField> flatten(const Struct& made);

// The other packages whose structs the fields of `package` mention, sorted.
std::vector<std::string> uses(const Package& package);

}  // namespace wherry::schemac
