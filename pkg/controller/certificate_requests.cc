// Approves, signs and clears away CertificateSigningRequests. Spec: Kubernetes documentation,
// "Certificates and Certificate Signing Requests"; reasons and messages as upstream answers.

#include "controller/certificate_requests.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/strings.h"
#include "controller/all.h"

namespace wherry::controller {
namespace {

constexpr std::string_view kClient = "kubernetes.io/kube-apiserver-client";
constexpr std::string_view kKubeletClient = "kubernetes.io/kube-apiserver-client-kubelet";
constexpr std::string_view kKubeletServing = "kubernetes.io/kubelet-serving";
constexpr std::string_view kNodePrefix = "system:node:";
constexpr std::string_view kNodes = "system:nodes";

constexpr std::chrono::seconds kPendingLife = std::chrono::hours(24);
constexpr std::chrono::seconds kDecidedLife = std::chrono::hours(1);
// How soon it is asked again whether a request may be approved: it grows with the request's age.
constexpr Duration kRetryMin = std::chrono::seconds(1);
constexpr Duration kRetryMax = std::chrono::minutes(15);
constexpr std::chrono::seconds kLifetimeMax = std::chrono::hours(365 * 24);
constexpr std::chrono::seconds kLifetimeMin = std::chrono::minutes(10);

// What certificates/v1 calls a usage, and what RFC 5280 does (sections 4.2.1.3 and 4.2.1.12).
struct Usage {
  std::string_view name, key_usage, extended;
};
constexpr Usage kUsages[] = {
    {"signing", "digitalSignature", {}},
    {"digital signature", "digitalSignature", {}},
    {"content commitment", "nonRepudiation", {}},
    {"key encipherment", "keyEncipherment", {}},
    {"key agreement", "keyAgreement", {}},
    {"data encipherment", "dataEncipherment", {}},
    {"cert sign", "keyCertSign", {}},
    {"crl sign", "cRLSign", {}},
    {"encipher only", "encipherOnly", {}},
    {"decipher only", "decipherOnly", {}},
    {"any", {}, "anyExtendedKeyUsage"},
    {"server auth", {}, "serverAuth"},
    {"client auth", {}, "clientAuth"},
    {"code signing", {}, "codeSigning"},
    {"email protection", {}, "emailProtection"},
    {"s/mime", {}, "emailProtection"},
    {"ipsec end system", {}, "ipsecEndSystem"},
    {"ipsec tunnel", {}, "ipsecTunnel"},
    {"ipsec user", {}, "ipsecUser"},
    {"timestamping", {}, "timeStamping"},
    {"ocsp signing", {}, "OCSPSigning"},
    {"microsoft sgc", {}, "msSGC"},
    {"netscape sgc", {}, "nsSGC"},
};

// The usages of a kubelet's certificate, with which an RSA key may also encipher keys.
bool kubelet_usages(std::vector<std::string> usages, std::string_view purpose) {
  std::sort(usages.begin(), usages.end());
  usages.erase(std::unique(usages.begin(), usages.end()), usages.end());
  std::erase(usages, "key encipherment");
  return usages.size() == 2 && contains(usages, "digital signature") && contains(usages, purpose);
}

std::string check_client(const std::vector<std::string>& usages) {
  for (const std::string& usage : usages) {
    if (usage != "digital signature" && usage != "key encipherment" && usage != "client auth") {
      return "invalid usage for client certificate: " + usage;
    }
  }
  if (!contains(usages, "client auth")) {
    return "missing required usage for client certificate: client auth";
  }
  return {};
}

bool is_of_nodes(const pki::SigningRequest& request) {
  return request.subject.organizations == std::vector<std::string>{std::string(kNodes)};
}

std::string check_kubelet_client(const pki::SigningRequest& request,
                                 const std::vector<std::string>& usages) {
  if (!is_of_nodes(request)) return "subject organization is not system:nodes";
  if (!request.dns_names.empty()) return "DNS subjectAltNames are not allowed";
  if (!request.email_addresses.empty()) return "Email subjectAltNames are not allowed";
  if (!request.ip_addresses.empty()) return "IP subjectAltNames are not allowed";
  if (!request.uris.empty()) return "URI subjectAltNames are not allowed";
  if (!request.subject.common_name.starts_with(kNodePrefix)) {
    return "subject common name does not begin with system:node:";
  }
  if (!kubelet_usages(usages, "client auth")) {
    return "usages did not match [client auth digital signature key encipherment]";
  }
  return {};
}

std::string check_kubelet_serving(const pki::SigningRequest& request,
                                  const std::vector<std::string>& usages) {
  if (!is_of_nodes(request)) return "subject organization is not system:nodes";
  if (request.dns_names.empty() && request.ip_addresses.empty()) {
    return "DNS or IP subjectAltName is required";
  }
  if (!request.email_addresses.empty()) return "Email subjectAltNames are not allowed";
  if (!request.uris.empty()) return "URI subjectAltNames are not allowed";
  if (!kubelet_usages(usages, "server auth")) {
    return "usages did not match [digital signature key encipherment server auth]";
  }
  if (!request.subject.common_name.starts_with(kNodePrefix)) {
    return "subject common name does not begin with system:node:";
  }
  return {};
}

json::Value find_condition(json::Value request, std::string_view type) {
  for (json::Value condition : request["status"]["conditions"].items()) {
    if (condition["type"].as_string() == type) return condition;
  }
  return {};
}

std::optional<Time> time_at(json::Value text) { return parse_time(text.as_string()); }

Result<pki::SigningRequest> request_in(json::Value object) {
  return pki::SigningRequest::from_pem(
      base64_decode(object["spec"]["request"].as_string()).value_or(""));
}

}  // namespace

bool is_known_signer(std::string_view signer) {
  return signer == kClient || signer == kKubeletClient || signer == kKubeletServing;
}

std::string refusal(std::string_view signer, const pki::SigningRequest& request,
                    const std::vector<std::string>& usages) {
  if (signer == kClient) return check_client(usages);
  if (signer == kKubeletClient) return check_kubelet_client(request, usages);
  return check_kubelet_serving(request, usages);
}

std::vector<ApprovalRule> approval_rules(json::Value object) {
  json::Value spec = object["spec"];
  if (spec["signerName"].as_string() != kKubeletClient) return {};
  Result<pki::SigningRequest> request = request_in(object);
  if (!request.ok() || !check_kubelet_client(*request, spec["usages"].strings()).empty()) return {};
  std::vector<ApprovalRule> rules;
  if (request->subject.common_name == spec["username"].as_string()) {
    rules.push_back({"selfnodeclient",
                     "Auto approving self kubelet client certificate after SubjectAccessReview."});
  }
  rules.push_back(
      {"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."});
  return rules;
}

Time clear_away_at(json::Value object) {
  json::Value denied = find_condition(object, "Denied");
  json::Value failed = find_condition(object, "Failed");
  json::Value approved = find_condition(object, "Approved");
  Time at = Time::max();
  for (json::Value decision : {denied, failed, approved}) {
    std::optional<Time> made = time_at(decision["lastUpdateTime"]);
    if (decision && made) at = std::min<Time>(at, *made + kDecidedLife);
  }
  if (!denied && !failed && !approved) {
    std::optional<Time> made = time_at(object["metadata"]["creationTimestamp"]);
    if (made) at = std::min<Time>(at, *made + kPendingLife);
  }
  std::string pem = base64_decode(object["status"]["certificate"].as_string()).value_or("");
  if (!pem.empty()) {
    Result<pki::Certificate> issued = pki::Certificate::from_pem(pem);
    if (issued.ok()) at = std::min(at, issued->not_after());
  }
  return at;
}

Result<pki::Certificate> sign_request(const pki::Authority& authority, json::Value object,
                                      const pki::SigningRequest& request, Time now) {
  json::Value spec = object["spec"];
  pki::CertificateSpec wanted;
  wanted.subject_der = request.subject_der;
  wanted.dns_names = request.dns_names;
  wanted.ip_addresses = request.ip_addresses;
  wanted.email_addresses = request.email_addresses;
  wanted.uris = request.uris;
  wanted.now = now;
  wanted.lifetime = kLifetimeMax;
  if (json::Value seconds = spec["expirationSeconds"]) {
    wanted.lifetime = std::clamp<std::chrono::seconds>(std::chrono::seconds(seconds.as_int()),
                                                       kLifetimeMin, kLifetimeMax);
  }
  for (json::Value usage : spec["usages"].items()) {
    const auto* known = std::ranges::find(kUsages, usage.as_string(), &Usage::name);
    if (known == std::end(kUsages)) {
      return Error::invalid("unrecognized usage: {}", quote(usage.as_string()));
    }
    std::vector<std::string>& to =
        known->extended.empty() ? wanted.key_usages : wanted.extended_key_usages;
    std::string name(known->extended.empty() ? known->key_usage : known->extended);
    if (!contains(to, name)) to.push_back(name);
  }
  return authority.issue(request.key, wanted);
}

namespace {

class CertificateRequests final : public Reconciler {
 public:
  explicit CertificateRequests(const Context& context)
      : context_(context),
        resource_(api::resource("certificatesigningrequests.certificates.k8s.io")),
        requests_(context.lister("certificatesigningrequests.certificates.k8s.io")) {}

  Result<Requeue> reconcile(const ObjectKey& key) override {
    ObjectPtr object = requests_.find("", key.name);
    if (object == nullptr || object->deleting()) return Requeue::never();
    json::Document document = object->document();
    json::Value root = document.root();
    Time now = context_.clock.now();
    Time end = clear_away_at(root);
    if (now >= end) {
      client::DeleteOptions options{.uid = std::string(object->uid())};
      TRY(ignore_not_found(context_.client.remove(resource_, "", key.name, options)));
      return Requeue::never();
    }
    bool approved = static_cast<bool>(find_condition(root, "Approved"));
    bool over = find_condition(root, "Denied") || find_condition(root, "Failed") ||
                !root["status"]["certificate"].as_string().empty();
    Requeue again = Requeue::never();
    if (!approved && !over) again = TRY(approve(key.name, root, now));
    if (approved && !over) TRY(sign(key.name, root, now));
    if (again.delay() || end == Time::max()) return again;
    return Requeue::after(end - now);
  }

 private:
  static void add_condition(json::Node object, std::string_view type, std::string_view reason,
                            std::string_view message, Time now) {
    json::Node made = object.ensure_object("status").ensure_array("conditions").push_object();
    made.set("type", type);
    made.set("status", "True");
    made.set("reason", reason);
    made.set("message", message);
    made.set("lastUpdateTime", format_time(now));
    made.set("lastTransitionTime", format_time(now));
  }

  Result<void> write(std::string_view name, const json::Draft& draft, std::string_view part) {
    json::Document frozen = draft.freeze();
    TRY(context_.client.update(resource_, "", name, frozen.root(), part));
    return {};
  }

  // Whether who asked for the certificate may create the subresource of these requests.
  Result<bool> may(json::Value asked, std::string_view right) {
    json::Draft review;
    json::Node spec = review.root().set_object("spec");
    spec.set("user", asked["username"]);
    for (const char* field : {"uid", "groups", "extra"}) {
      if (asked[field]) spec.set(field, asked[field]);
    }
    json::Node wanted = spec.set_object("resourceAttributes");
    wanted.set("group", "certificates.k8s.io");
    wanted.set("version", "*");
    wanted.set("resource", "certificatesigningrequests");
    wanted.set("subresource", right);
    wanted.set("verb", "create");
    json::Document body = review.freeze();
    ObjectPtr answer = TRY(context_.client.create(
        api::resource("subjectaccessreviews.authorization.k8s.io"), "", body.root()));
    return answer->document().root()["status"]["allowed"].as_bool();
  }

  Result<Requeue> approve(std::string_view name, json::Value root, Time now) {
    std::vector<ApprovalRule> rules = approval_rules(root);
    for (const ApprovalRule& rule : rules) {
      if (!TRY(may(root["spec"], rule.right))) continue;
      json::Draft draft(root);
      add_condition(draft.root(), "Approved", "AutoApproved", rule.message, now);
      TRY(write(name, draft, "approval"));
      return Requeue::never();
    }
    if (rules.empty()) return Requeue::never();
    // The right may be given later.
    std::optional<Time> made = time_at(root["metadata"]["creationTimestamp"]);
    Duration age = made ? now - *made : Duration::zero();
    return Requeue::after(std::clamp<Duration>(age, kRetryMin, kRetryMax));
  }

  Result<void> sign(std::string_view name, json::Value root, Time now) {
    std::string_view signer = root["spec"]["signerName"].as_string();
    const ClusterFacts& facts = context_.facts;
    if (!is_known_signer(signer) || facts.client_authority == nullptr) return {};
    pki::SigningRequest request = TRY(request_in(root));
    std::string why = refusal(signer, request, root["spec"]["usages"].strings());
    json::Draft draft(root);
    if (!why.empty()) {
      add_condition(draft.root(), "Failed", "SignerValidationFailure", why, now);
      return write(name, draft, "status");
    }
    pki::Authority authority =
        signer == kKubeletServing ? facts.serving_authority() : facts.client_authority();
    pki::Certificate issued = TRY(sign_request(authority, root, request, now));
    draft.root().ensure_object("status").set("certificate", base64_encode(issued.pem()));
    return write(name, draft, "status");
  }

  const Context& context_;
  const api::Resource& resource_;
  const Lister& requests_;
};

constexpr Watch kWatches[] = {{.resource = "certificatesigningrequests.certificates.k8s.io"}};

}  // namespace

constinit const ControllerSpec kCertificateRequests = {
    .name = "certificate-controller",
    .watches = kWatches,
    .make = &make<CertificateRequests>,
};

}  // namespace wherry::controller
