#include "apiserver/negotiate.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <vector>

#include "apiserver/routes.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kYaml = "application/yaml";
constexpr std::string_view kProtobuf = "application/vnd.kubernetes.protobuf";
constexpr std::string_view kAll =
    "application/json, application/yaml, application/vnd.kubernetes.protobuf";
constexpr std::string_view kStreams =
    ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

// One item of an Accept header (RFC 9110 section 12.5.1).
struct Clause {
  std::string media;
  std::string as, version, group;
  double quality = 1;
};

std::vector<Clause> parse_accept(const http::Headers& headers) {
  std::vector<Clause> out;
  for (std::string_view header : headers.all("Accept")) {
    for (std::string_view item : split(header, ',')) {
      std::vector<std::string_view> parts = split(item, ';');
      Clause clause;
      clause.media = to_lower(trim(parts[0]));
      if (clause.media.empty()) continue;
      for (size_t i = 1; i < parts.size(); ++i) {
        auto pair = split_once(parts[i], "=");
        if (!pair) continue;
        std::string_view key = trim(pair->first);
        std::string value(trim(pair->second));
        if (key == "q") clause.quality = std::strtod(value.c_str(), nullptr);
        if (key == "as") clause.as = value;
        if (key == "v") clause.version = value;
        if (key == "g") clause.group = value;
      }
      if (clause.quality > 0) out.push_back(std::move(clause));
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Clause& a, const Clause& b) { return a.quality > b.quality; });
  return out;
}

std::optional<MediaType> known_media(std::string_view media) {
  if (media == kJson || media == "*/*") return MediaType::kJson;
  if (media == kYaml) return MediaType::kYaml;
  if (media == kProtobuf) return MediaType::kProtobuf;
  return std::nullopt;
}

bool wants_pretty(const http::Request& request) {
  if (request.query.has("pretty")) return is_true(request.query.get("pretty"));
  std::string_view agent = request.headers.get("User-Agent");
  return agent.starts_with("curl/") || agent.starts_with("Wget") ||
         agent.starts_with("Mozilla/5.0");
}

// Whether the clause's wish for another form can be met; sets it.
bool take_form(const Clause& clause, const Offers& offers, Wanted& wanted) {
  if (clause.as.empty()) return true;
  if (clause.group != "meta.k8s.io") return false;
  if (clause.version != "v1" && clause.version != "v1beta1") return false;
  wanted.form_version = clause.version;
  if (clause.as == "Table") {
    wanted.form = Form::kTable;
    return offers.table && wanted.media != MediaType::kProtobuf;
  }
  if (clause.as == "PartialObjectMetadata" || clause.as == "PartialObjectMetadataList") {
    wanted.form = Form::kPartial;
    return offers.partial;
  }
  return false;
}

}  // namespace

namespace {

// Whether the encoding is on offer at all.
std::optional<MediaType> offered_media(const Clause& clause, const Offers& offers) {
  std::optional<MediaType> media = known_media(clause.media);
  if (media && offers.json_only && *media != MediaType::kJson) return std::nullopt;
  return media;
}

// A list is asked for as PartialObjectMetadataList, an object without the List.
Result<void> check_number(const Clause& clause, const Offers& offers) {
  if (offers.watch || offers.kind.empty()) return {};
  if (clause.as == "PartialObjectMetadata" && offers.streams) {
    return Error::make(Code::kNotAcceptable,
                       "you requested PartialObjectMetadata, but the requested object is a list "
                       "(*{}List)",
                       offers.kind);
  }
  if (clause.as == "PartialObjectMetadataList" && !offers.streams) {
    return Error::make(Code::kNotAcceptable,
                       "you requested PartialObjectMetadataList, but the requested object is not a "
                       "list (*{})",
                       offers.kind);
  }
  return {};
}

}  // namespace

Result<Wanted> negotiate(const http::Request& request, const Offers& offers) {
  std::vector<Clause> clauses = parse_accept(request.headers);
  for (const Clause& clause : clauses) {
    std::optional<MediaType> media = offered_media(clause, offers);
    if (!media) continue;
    if (offers.watch && *media == MediaType::kYaml) {
      return Error::make(Code::kNotAcceptable,
                         "only the following media types are accepted: "
                         "application/json;stream=watch, "
                         "application/vnd.kubernetes.protobuf;stream=watch");
    }
    Wanted wanted;
    wanted.media = *media;
    wanted.pretty = wants_pretty(request);
    wanted.gzip = http::accepts_gzip(request.headers);
    if (!take_form(clause, offers, wanted)) continue;
    TRY(check_number(clause, offers));
    return wanted;
  }
  if (clauses.empty()) {
    Wanted wanted;
    wanted.pretty = wants_pretty(request);
    wanted.gzip = http::accepts_gzip(request.headers);
    return wanted;
  }
  bool some = std::any_of(clauses.begin(), clauses.end(), [&](const Clause& clause) {
    return offered_media(clause, offers).has_value();
  });
  if (!some) {
    return Error::make(
        Code::kNotAcceptable, "406: Not Acceptable\n\nAvailable representations: {}{}",
        offers.json_only ? kJson : kAll, offers.streams ? kStreams : std::string_view());
  }
  return Error::make(Code::kNotAcceptable, "only the following media types are accepted: {}", kAll);
}

Wanted negotiate_error(const http::Request& request) {
  Wanted wanted;
  wanted.pretty = wants_pretty(request);
  for (const Clause& clause : parse_accept(request.headers)) {
    if (!clause.as.empty()) continue;  // A Status has no other form.
    if (std::optional<MediaType> media = known_media(clause.media)) {
      wanted.media = *media;
      break;
    }
  }
  return wanted;
}

std::string bare_media_type(std::string_view header) {
  return to_lower(trim(split(header, ';').front()));
}

Result<MediaType> body_type(const http::Request& request) {
  std::string media = bare_media_type(request.headers.get("Content-Type"));
  if (media.empty() || media == kJson) return MediaType::kJson;
  if (media == kYaml) return MediaType::kYaml;
  if (media == kProtobuf) return MediaType::kProtobuf;
  return Error::make(Code::kUnsupportedMediaType,
                     "the body of the request was in an unknown format - accepted media types "
                     "include: {}",
                     kAll);
}

std::string_view media_type_name(MediaType media) {
  switch (media) {
    case MediaType::kJson: return kJson;
    case MediaType::kYaml: return kYaml;
    case MediaType::kProtobuf: return kProtobuf;
  }
  return kJson;
}

}  // namespace wherry::apiserver
