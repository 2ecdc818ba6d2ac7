#pragma once
// The pure part of certificate_requests.cc: what a signer accepts, what is approved by rule, when a
// request is cleared away, and the certificate itself. Any thread.

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "json/json.h"
#include "pki/pki.h"

namespace wherry::controller {

// Signers of ours; requests for others wait for somebody else.
bool is_known_signer(std::string_view signer);
// Why a known signer does not sign this; empty when it does.
std::string refusal(std::string_view signer, const pki::SigningRequest& request,
                    const std::vector<std::string>& usages);
// What who asks for a kubelet's client certificate must be allowed, so that nobody has to look at
// it: to create the subresource `right` of certificatesigningrequests.
struct ApprovalRule {
  std::string_view right;
  std::string_view message;
};
// In the order in which they are tried.
std::vector<ApprovalRule> approval_rules(json::Value request);
// An hour after the decision, a day without one, and when the certificate expires.
Time clear_away_at(json::Value request);
Result<pki::Certificate> sign_request(const pki::Authority& authority, json::Value object,
                                      const pki::SigningRequest& request, Time now);

}  // namespace wherry::controller
