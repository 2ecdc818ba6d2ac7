#pragma once
// Content negotiation: in which of the forms we speak the answer is wanted, and in which the body
// came. Pure; any thread.

#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace wherry::apiserver {

enum class MediaType { kJson, kYaml, kProtobuf };
enum class Form { kObject, kTable, kPartial };  // kPartial: PartialObjectMetadata(List).

struct Wanted {
  MediaType media = MediaType::kJson;
  Form form = Form::kObject;
  std::string form_version = "v1";  // Of meta.k8s.io.
  bool pretty = false;
  bool gzip = false;  // The client takes it.

  bool operator==(const Wanted&) const = default;
};

// What a request may be answered with.
struct Offers {
  bool table = true;
  bool partial = true;
  bool streams = false;    // A list, which may be watched.
  bool watch = false;      // A watch of it: of one object and of a list alike.
  bool json_only = false;  // No other encoding.
  std::string kind = {};   // Upstream's name of the type: "core.ConfigMap".
};

// kNotAcceptable when nothing that the client takes is on offer.
Result<Wanted> negotiate(const http::Request& request, const Offers& offers);
// The same, but never fails: for error answers.
Wanted negotiate_error(const http::Request& request);

// Of the request's body. kUnsupportedMediaType names what we take.
Result<MediaType> body_type(const http::Request& request);

std::string_view media_type_name(MediaType media);

// "application/json; a=b;c" as "application/json", without case and parameters.
std::string bare_media_type(std::string_view header);

}  // namespace wherry::apiserver
