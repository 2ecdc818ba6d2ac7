#include "apiserver/audit.h"

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
  allowed_ = allowed;
  reason_ = std::move(reason);
}

void AuditRecord::answered(const http::Response& response) {
  if (auditor_ == nullptr) return;
  if (!known_) decision_ = auditor_->decide(caller_, route_);  // Nobody: 401.
  // Who is not known is answered before anything is worked on.
  bool goes_on = !known_ || response.is_hijacked() || response.is_streamed();
  AuditStage stage = goes_on ? AuditStage::kResponseStarted : AuditStage::kResponseComplete;
  if (decision_.wants(stage)) write(stage, &response);
}

void AuditRecord::write(AuditStage stage, const http::Response* response) const {
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
  if (allowed_) {
    json::Node notes = event.set_object("annotations");
    notes.set("authorization.k8s.io/decision", *allowed_ ? "allow" : "forbid");
    notes.set("authorization.k8s.io/reason", reason_);
  }
  auditor_->write(draft.dump() + "\n");
}

}  // namespace wherry::apiserver
