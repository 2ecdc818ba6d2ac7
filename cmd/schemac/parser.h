#pragma once
// Reads schema sources. The format, a line at a time; '#' starts a comment line, words are
// separated by spaces, a description is a quoted JSON string at the end:
//
//   package core_v1                      names the tables' namespace and file
//   group "" v1                          API group and version
//   definitions io.k8s.api.core.v1       prefix of OpenAPI definition names
//
//   enum Protocol "TCP" "UDP" "SCTP"
//
//   struct ContainerPort "A port."       words before the description: object (has kind and
//   apiVersion),
//     protocol  string  4  enum=Protocol   atomic, choice (one field, told by the JSON type of the
//     value)
//     ...       Inlined  2               the fields of another struct, which is a message in
//     protobuf
//
// A field is JSON name, type, protobuf number (0: not in protobuf), then any of
//
//   required     always     omitempty     omitzero     in OpenAPI's list; Go tags that differ from
//   the usual atomic  set  key=a,b    granular      list type and map keys; map or struct type
//   merge  merge=key  retainkeys  replace  strategic merge patch
//   default=JSON            enum=Name     discriminator
//   min=N  max=N
//
// Types: string bool int32 int64 double bytes Time MicroTime Duration Quantity IntOrString any
// FieldsV1 verbs (a list of strings in a message of its own), a struct's name, package.Name for one
// of another file,
// []T, map[T], and *T for a Go pointer, whose zero value differs from absence.

#include <string>
#include <vector>

#include "base/result.h"
#include "model.h"

namespace wherry::schemac {

// Reads all sources and links their references; errors name file and line.
Result<Model> parse(const std::vector<std::string>& paths);

}  // namespace wherry::schemac
