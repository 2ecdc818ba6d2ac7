#include "apiserver/audit.h"

#include "base/check.h"
#include "json/json.h"

namespace wherry::apiserver {
namespace {

void put_reference(json::Node event, const Route& route) {
  if (!route.is_resource) return;
  json::Node reference = event.set_object("objectRef");
  auto set = [&reference](const char* key, std::string_view value) {
    if (!value.empty()) reference.set(key, value);
  };
  set("resource", route.plural);
  set("namespace", route.target.ns);
  set("name", route.target.name);
  set("apiGroup", route.group);
  set("apiVersion", route.version);
  set("subresource", route.target.subresource);
}

// A body as it went by, if it is JSON.
void put_body(json::Node event, const char* key, std::string_view bytes, bool omit_managed_fields) {
  if (!bytes.starts_with('{')) return;
  Result<json::Draft> body = json::Draft::parse(bytes);
  if (!body.ok()) return;
  if (omit_managed_fields) {
    body->root()["metadata"].remove("managedFields");
    for (json::Node item : body->root()["items"].items()) item["metadata"].remove("managedFields");
  }
  event.set(key, body->root());
}

std::string body_of(const http::Response& response) {
  std::string out;
  if (!response.headers.get("Content-Encoding").empty()) return out;
  for (const http::Piece& piece : response.pieces()) out += piece.bytes;
  return out;
}

// The code, and of a failure the words of its Status.
void put_status(json::Node status, const http::Response& response) {
  status.set_object("metadata");
  if (response.status >= 400) {
    Result<json::Document> body = json::Document::parse(body_of(response));
    json::Value said = body.ok() ? body->root() : json::Value();
    for (const char* field : {"status", "message", "reason", "details"}) {
      if (said["kind"].as_string() == "Status" && said[field]) status.set(field, said[field]);
    }
  }
  status.set("code", response.status);
}

// Writes the event of a watch's or stream's end when it is destroyed. It holds the text, as no
// value of the request is there any more by then.
class EndOfRequest {
 public:
  EndOfRequest(const Auditor& auditor, std::string event)
      : auditor_(auditor), event_(std::move(event)) {}
  EndOfRequest(const EndOfRequest&) = delete;
  EndOfRequest& operator=(const EndOfRequest&) = delete;
  ~EndOfRequest() {
    Result<json::Draft> event = json::Draft::parse(event_);
    CHECK(event.ok());
    event->root().set("stageTimestamp", format_micro_time(auditor_.now()));
    auditor_.write(event->dump() + "\n");
  }

 private:
  const Auditor& auditor_;
  const std::string event_;
};

}  // namespace

AuditRecord::AuditRecord(const Auditor* auditor, const http::Request& request, const Route& route,
                         std::string_view id)
    : auditor_(auditor),
      request_(request),
      route_(route),
      id_(auditor == nullptr ? std::string_view() : id),
      comes_again_(request.turn != nullptr),
      received_at_(auditor == nullptr ? Time{} : auditor->time_of(request.received)) {}

void AuditRecord::asked_by(const User& caller) {
  if (auditor_ == nullptr) return;
  known_ = true;
  decision_ = auditor_->decide(caller, route_);
  if (!is_audited()) return;
  caller_ = user_ = caller;
  if (comes_again_ || !decision_.wants(AuditStage::kRequestReceived)) return;
  write(AuditStage::kRequestReceived, nullptr);
}

void AuditRecord::acts_as(const User& user) {
  if (is_audited()) user_ = user;
}

void AuditRecord::decided(bool allowed, std::string reason) {
  if (!is_audited()) return;
  notes_.add("authorization.k8s.io/decision", allowed ? "allow" : "forbid");
  notes_.add("authorization.k8s.io/reason", std::move(reason));
}

void AuditRecord::answered(http::Response& response) {
  if (auditor_ == nullptr) return;
  if (!known_) decision_ = auditor_->decide(caller_, route_);  // Nobody: 401.
  const bool goes_on = response.is_hijacked() || response.is_streamed();
  // Who is not known is answered before anything is worked on.
  if (!goes_on && known_) {
    if (decision_.wants(AuditStage::kResponseComplete)) {
      write(AuditStage::kResponseComplete, &response);
    }
    return;
  }
  if (decision_.wants(AuditStage::kResponseStarted)) {
    write(AuditStage::kResponseStarted, &response);
  }
  if (!goes_on || !decision_.wants(AuditStage::kResponseComplete)) return;
  response.keep_to_the_end(
      std::make_shared<EndOfRequest>(*auditor_, event(AuditStage::kResponseComplete, &response)));
}

void AuditRecord::write(AuditStage stage, const http::Response* response) const {
  auditor_->write(event(stage, response) + "\n");
}

std::string AuditRecord::event(AuditStage stage, const http::Response* response) const {
  json::Draft draft;
  json::Node event = draft.root();
  event.set("kind", "Event");
  event.set("apiVersion", "audit.k8s.io/v1");
  event.set("level", name_of(decision_.level));
  event.set("auditID", id_);
  event.set("stage", name_of(stage));
  event.set("requestURI", request_.target);
  event.set("verb", route_.asked_verb);
  put_user(event.set_object("user"), caller_);
  if (user_.name != caller_.name) put_user(event.set_object("impersonatedUser"), user_);
  event.set_array("sourceIPs").push(request_.peer_address);
  event.set("userAgent", request_.headers.get("User-Agent"));
  put_reference(event, route_);
  if (response != nullptr) {
    put_status(event.set_object("responseStatus"), *response);
  }
  if (decision_.level >= AuditLevel::kRequest && stage != AuditStage::kRequestReceived) {
    put_body(event, "requestObject", request_.body, decision_.omit_managed_fields);
  }
  if (decision_.level == AuditLevel::kRequestResponse && response != nullptr) {
    put_body(event, "responseObject", body_of(*response), decision_.omit_managed_fields);
  }
  event.set("requestReceivedTimestamp", format_micro_time(received_at_));
  event.set("stageTimestamp", format_micro_time(auditor_->now()));
  if (response != nullptr && !notes_.all().empty()) {
    json::Node notes = event.set_object("annotations");
    for (const auto& [about, text] : notes_.all()) notes.set(about, text);
  }
  return draft.dump();
}

}  // namespace wherry::apiserver
