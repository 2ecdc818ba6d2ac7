#pragma once
// Audit: one event of audit.k8s.io/v1 for each stage of a request that the policy asks for, as a
// line of JSON. Auditor lives as long as the server and may be used by any thread; AuditRecord
// belongs to the thread that serves the request.

#include <memory>
#include <string>

#include "apiserver/audit_log.h"
#include "apiserver/audit_policy.h"
#include "http/message.h"

namespace wherry::apiserver {

class Auditor {
 public:
  // Both outlive the auditor.
  Auditor(AuditPolicy policy, AuditLog& log, const Clock& clock)
      : policy_(std::move(policy)), log_(log), clock_(clock) {}

  AuditDecision decide(const User& user, const Route& route) const {
    return policy_.decide(user, route);
  }
  void write(std::string line) const { log_.write(std::move(line)); }
  Time now() const { return clock_.now(); }
  Time time_of(MonotonicTime moment) const {
    return std::chrono::floor<Time::duration>(now() - (clock_.monotonic() - moment));
  }

 private:
  const AuditPolicy policy_;
  AuditLog& log_;
  const Clock& clock_;
};

class AuditRecord {
 public:
  // `auditor` is null when nothing is audited; then nothing of this costs anything. `id` is the
  // Audit-Id of the answer. A request that has waited for its turn is received once all the same.
  AuditRecord(const Auditor* auditor, const http::Request& request, const Route& route,
              std::string_view id);

  // Who asks; the first stage.
  void asked_by(const User& caller);
  void acts_as(const User& user);  // After impersonation.
  bool is_audited() const { return decision_.level != AuditLevel::kNone; }
  void decided(bool allowed, std::string reason);
  // Where others add to what is said of the request; null when it is not audited.
  AuditNotes* notes() { return is_audited() ? &notes_ : nullptr; }
  // The last stage. Of a watch or a stream it is the one of its start; the last follows at its end.
  void answered(http::Response& response);

 private:
  std::string event(AuditStage stage, const http::Response* response) const;
  void write(AuditStage stage, const http::Response* response) const;

  const Auditor* const auditor_;
  const http::Request& request_;
  const Route& route_;
  const std::string id_;
  const bool comes_again_;
  const Time received_at_;
  AuditDecision decision_;
  bool known_ = false;  // asked_by() was called.
  AuditNotes notes_;
  User caller_, user_;
};

}  // namespace wherry::apiserver
