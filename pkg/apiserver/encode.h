#pragma once
// Answers: objects, lists, Tables, metadata-only forms and errors, in the media type that was
// agreed on. An object in plain JSON is the bytes the store holds; a list is those bytes one after
// the other. Any thread.

#include <optional>
#include <string>
#include <vector>

#include "apiserver/forms.h"
#include "apiserver/negotiate.h"
#include "apiserver/request.h"
#include "base/clock.h"
#include "http/message.h"

namespace wherry::apiserver {

// Shorter answers are not worth the client's time to unpack.
inline constexpr size_t kCompressedBytesMin = 128 << 10;

void write_object(http::Response& response, int status, const Resource& resource,
                  const ObjectPtr& object, const Wanted& wanted, std::string_view include_object,
                  Time now);
// `forms` (may be null) keeps what is made for items.
void write_list(http::Response& response, const Resource& resource, const ListResult& list,
                const Wanted& wanted, std::string_view include_object, Time now,
                Forms* forms = nullptr);
// Anything that is not stored: a Status, a review. `schema` may be null, then it is JSON at all
// events.
void write_document(http::Response& response, int status, json::Value document,
                    const api::Struct* schema, const Wanted& wanted);
void write_error(http::Response& response, const Error& error, const Wanted& wanted);
void write_text(http::Response& response, int status, std::string text);

// One event of a watch stream, framed. For a Table the columns come with the first event only.
std::shared_ptr<const std::string> encode_event(std::string_view type, const Resource& resource,
                                                const ObjectPtr& object, const Wanted& wanted,
                                                std::string_view include_object, bool headers,
                                                Time now);
// BOOKMARK: only kind and resourceVersion, and the mark that ends the initial events.
std::shared_ptr<const std::string> encode_bookmark(const Resource& resource, Revision revision,
                                                   bool initial_events_end, const Wanted& wanted,
                                                   std::string_view include_object);
std::shared_ptr<const std::string> encode_error_event(const Error& error, const Wanted& wanted);
std::string watch_content_type(const Wanted& wanted);

// The bytes in the form `media` asks for; pretty JSON is indented by two.
std::string render(json::Value document, const api::Struct* schema, MediaType media, bool pretty);

}  // namespace wherry::apiserver
