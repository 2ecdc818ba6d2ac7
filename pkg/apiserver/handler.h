#pragma once
// Handler: from an HTTP request to an answer. In this order: who asks, what for, whether it is
// allowed, then the verb. Everything it knows about kinds it reads from the resource rows. Any
// thread.

#include <string>

#include "apiserver/audit.h"
#include "apiserver/authenticate.h"
#include "apiserver/authorise.h"
#include "apiserver/discovery.h"
#include "apiserver/extra_page.h"
#include "apiserver/flow_control.h"
#include "apiserver/forms.h"
#include "apiserver/machinery.h"
#include "apiserver/negotiate.h"
#include "apiserver/pending_write.h"
#include "apiserver/proxy.h"
#include "apiserver/routes.h"
#include "apiserver/status_pages.h"
#include "apiserver/streams.h"
#include "apiserver/watch.h"
#include "http/message.h"

namespace wherry::apiserver {

class Handler {
 public:
  // All outlive the handler.
  struct Parts {
    Machinery& machinery;
    const Authenticator& authenticator;
    const Authoriser& authoriser;
    Discovery& discovery;
    StatusPages& pages;
    Watches& watches;
    Streams& streams;
    Proxy& proxy;
    const std::vector<ExtraPage>& extra_pages;
    FlowControl& flows;
    const Auditor* auditor = nullptr;  // Null: nothing is audited.
  };
  explicit Handler(Parts parts) : parts_(parts) {}

  void handle(http::Request& request, http::Response& response);
  // For answers that the HTTP layer makes itself.
  static void render_error(const Error& error, http::Response& response);

 private:
  struct Call {
    http::Request& request;
    http::Response& response;
    const Route& route;
    Context context;
    bool may_wait = false;  // Writes may be answered when they come back.
    std::shared_ptr<PendingWrite> pending = nullptr;
  };

  // `before` is the write that came back and has to be tried again; null at first. `pending` is set
  // to one that has yet to come back.
  Result<void> answer(http::Request& request, http::Response& response, const Route& route,
                      AuditRecord& audit, PendingWrite* before,
                      std::shared_ptr<PendingWrite>& pending);
  void finish(http::Request& request, http::Response& response, PendingWrite& write);
  void conclude(const http::Request& request, http::Response& response, const Route& route,
                const Result<void>& done);
  Result<void> answer_path(http::Request& request, http::Response& response, const Route& route);
  Result<void> answer_resource(Call& call);
  Result<void> connect(Call& call);

  Result<void> get(Call& call);
  Result<void> list(Call& call);
  Result<void> watch(Call& call);
  Result<void> create(Call& call);
  Result<void> create_subresource(Call& call);
  Result<void> update(Call& call);
  Result<void> check_create(const Call& call);
  Result<void> patch(Call& call);
  Result<void> remove(Call& call);
  Result<void> remove_collection(Call& call);

  // Runs a verb that writes, and answers it or puts that off.
  Result<void> store(Call& call, const Wanted& wanted,
                     const std::function<Result<Written>()>& verb);
  // The answer to a write, with its warnings.
  Result<void> write(Call& call, int status, const ObjectPtr& object, const Wanted& wanted);
  Time now() const { return parts_.machinery.clock().now(); }

  const Parts parts_;
  RequestMetrics metrics_;  // Self-synchronised.
  Forms forms_;             // Too.
};

}  // namespace wherry::apiserver
