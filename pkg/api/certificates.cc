// CertificateSigningRequest, certificates.k8s.io/v1. Rules from the Kubernetes API reference and
// from what upstream answers.

#include <algorithm>
#include <set>

#include "api/cells.h"
#include "api/names.h"
#include "api/pod_rules.h"
#include "api/rows.h"
#include "api/schema_certificates_v1.h"
#include "api/table.h"
#include "api/workload_rules.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "pki/pki.h"

namespace wherry::api {
namespace {

constexpr std::string_view kApproved = "Approved";
constexpr std::string_view kDenied = "Denied";
constexpr std::string_view kFailed = "Failed";

bool has_condition(json::Value request, std::string_view type) {
  for (json::Value condition : request["status"]["conditions"].items()) {
    if (condition["type"].as_string() == type) return true;
  }
  return false;
}

void validate_conditions(json::Value request, FieldErrors& errors) {
  Path path = Path("status").child("conditions");
  std::set<std::string_view> seen;
  size_t at = 0;
  for (json::Value condition : request["status"]["conditions"].items()) {
    Path here = path.index(at++);
    std::string_view type = condition["type"].as_string();
    std::string_view status = condition["status"].as_string();
    bool decision = type == kApproved || type == kDenied || type == kFailed;
    static constexpr std::string_view kTrue[] = {"True"};
    static constexpr std::string_view kAny[] = {"False", "True", "Unknown"};
    if (type.empty()) errors.required(here.child("type"), "");
    if (status.empty()) {
      errors.required(here.child("status"), "");
    } else if (decision && status != "True") {
      errors.not_supported(here.child("status"), status, kTrue);
    } else if (std::find(std::begin(kAny), std::end(kAny), status) == std::end(kAny)) {
      errors.not_supported(here.child("status"), status, kAny);
    }
    if ((type == kApproved && seen.contains(kDenied)) ||
        (type == kDenied && seen.contains(kApproved))) {
      errors.invalid(path, type, "Approved and Denied conditions are mutually exclusive");
    }
    if (!seen.insert(type).second) errors.duplicate(here.child("type"), type);
  }
}

// A decision stands; and only who may approve can make it.
void validate_decisions(json::Value before, json::Value after, bool approving,
                        FieldErrors& errors) {
  Path path = Path("status").child("conditions");
  for (std::string_view type : {kApproved, kDenied, kFailed}) {
    bool was = has_condition(before, type);
    bool is = has_condition(after, type);
    if (was && !is) {
      errors.forbidden(path,
                       fmt::format("updates may not remove a condition of type \"{}\"", type));
    }
    if (!was && is && !approving && type != kFailed) {
      errors.forbidden(path, fmt::format("updates may not add a condition of type \"{}\"", type));
    }
  }
}

void validate_approval(json::Value before, json::Value after, FieldErrors& errors) {
  validate_conditions(after, errors);
  validate_decisions(before, after, true, errors);
}

void validate_certificate(json::Value before, json::Value after, FieldErrors& errors) {
  Path path = Path("status").child("certificate");
  std::string_view was = before["status"]["certificate"].as_string();
  std::string_view is = after["status"]["certificate"].as_string();
  if (was == is) return;
  constexpr std::string_view kShown = "<certificate data>";  // Certificates are long.
  if (!was.empty()) return errors.invalid(path, kShown, "field is immutable");
  std::string pem = base64_decode(is).value_or("");
  if (pem.find("-----BEGIN CERTIFICATE-----") == std::string::npos) {
    return errors.invalid(path, kShown, "must contain at least one CERTIFICATE PEM block");
  }
  Result<std::vector<pki::Certificate>> parsed = pki::Certificate::all_from_pem(pem);
  if (!parsed.ok()) errors.invalid(path, kShown, parsed.error().message());
}

void validate_request_status(json::Value before, json::Value after, FieldErrors& errors) {
  validate_conditions(after, errors);
  validate_decisions(before, after, false, errors);
  validate_certificate(before, after, errors);
}

// Who approves decides the conditions, and nothing else of the status.
void narrow_to_conditions(json::Value before, json::Node after, Time now) {
  json::Draft sent(after["status"]);
  after.set("status", before["status"]);
  after.ensure_object("status").set("conditions", sent.root()["conditions"]);
  // Times that were not sent: of the change of its status, and of this update.
  for (json::Node condition : after["status"]["conditions"].items()) {
    json::Value was;
    for (json::Value old : before["status"]["conditions"].items()) {
      if (old["type"].as_string() == condition["type"].as_string()) was = old;
    }
    if (condition["lastUpdateTime"].as_string().empty()) {
      condition.set("lastUpdateTime", format_time(now));
    }
    if (!condition["lastTransitionTime"].as_string().empty()) continue;
    bool steady = was["status"].as_string() == condition["status"].as_string() &&
                  !was["lastTransitionTime"].as_string().empty();
    condition.set("lastTransitionTime",
                  steady ? std::string(was["lastTransitionTime"].as_string()) : format_time(now));
  }
}

constexpr std::string_view kRequestShortNames[] = {"csr"};
constexpr std::string_view kRequestReset[] = {"spec", "status"};
constexpr std::string_view kStatusReset[] = {"spec", "status.conditions"};
constexpr Subresource kRequestSubresources[] = {
    {.name = "approval",
     .kind = "CertificateSigningRequest",
     .verbs = kReadWriteVerbs,
     .in_status = true,
     .narrow = &narrow_to_conditions,
     .validate_update = &validate_approval},
    {.name = "status",
     .kind = "CertificateSigningRequest",
     .verbs = kReadWriteVerbs,
     .in_status = true,
     .reset_fields = kStatusReset},
};
constexpr SelectableField kRequestFields[] = {{.path = "spec.signerName"}};

void signer_cell(json::Value request, Time, json::Node cells) {
  cells.push(text_or(request["spec"]["signerName"], "<none>"));
}
void requestor_cell(json::Value request, Time, json::Node cells) {
  cells.push(request["spec"]["username"].as_string());
}
void duration_cell(json::Value request, Time, json::Node cells) {
  json::Value seconds = request["spec"]["expirationSeconds"];
  cells.push(seconds ? human_duration(std::chrono::seconds(seconds.as_int()))
                     : std::string("<none>"));
}
void condition_cell(json::Value request, Time, json::Node cells) {
  std::string text;
  bool denied = false;
  bool approved = false;
  bool failed = false;
  for (json::Value condition : request["status"]["conditions"].items()) {
    std::string_view type = condition["type"].as_string();
    denied = denied || type == "Denied";
    approved = approved || type == "Approved";
    failed = failed || type == "Failed";
  }
  text = denied ? "Denied" : approved ? "Approved" : "Pending";
  if (failed) text += ",Failed";
  if (!request["status"]["certificate"].as_string().empty()) text += ",Issued";
  cells.push(text);
}

constexpr Column kRequestColumns[] = {
    kNameColumn,
    kAgeColumn,
    {.name = "SignerName", .description = "Who is to sign.", .cell = &signer_cell},
    {.name = "Requestor", .description = "Who asks.", .cell = &requestor_cell},
    {.name = "RequestedDuration",
     .description = "How long it is to be good.",
     .cell = &duration_cell},
    {.name = "Condition",
     .description = "Whether it was approved and issued.",
     .cell = &condition_cell},
};

constexpr std::string_view kUsages[] = {"any",
                                        "cert sign",
                                        "client auth",
                                        "code signing",
                                        "content commitment",
                                        "crl sign",
                                        "data encipherment",
                                        "decipher only",
                                        "digital signature",
                                        "email protection",
                                        "encipher only",
                                        "ipsec end system",
                                        "ipsec tunnel",
                                        "ipsec user",
                                        "key agreement",
                                        "key encipherment",
                                        "microsoft sgc",
                                        "netscape sgc",
                                        "ocsp signing",
                                        "s/mime",
                                        "server auth",
                                        "signing",
                                        "timestamping"};

// The names of requests are not looked at here; what holds for all names still does.
bool any_name(std::string_view, std::string*) { return true; }

void validate_request_text(json::Value request, const Path& path, FieldErrors& errors) {
  constexpr std::string_view kBlock = "-----BEGIN CERTIFICATE REQUEST-----";
  std::string text = base64_decode(request.as_string()).value_or("");
  if (text.find(kBlock) == std::string::npos) {
    errors.invalid(path, request, "PEM block type must be CERTIFICATE REQUEST");
  } else if (auto parsed = pki::SigningRequest::from_pem(text); !parsed.ok()) {
    errors.invalid(path, request, parsed.error().message());
  }
}

// A domain of labels, and a path of one step: "example.com/signer-name".
void validate_signer(std::string_view signer, const Path& path, FieldErrors& errors) {
  if (signer.empty()) {
    errors.required(path, "");
    return;
  }
  std::vector<std::string_view> parts = split(signer, '/');
  if (parts.size() != 2) {
    errors.invalid(
        path, signer,
        "must be a fully qualified domain and path of the form 'example.com/signer-name'");
    return;
  }
  auto check = [&](std::string_view part, Problems (*problems)(std::string_view)) {
    for (std::string_view label : split(part, '.')) {
      for (const std::string& problem : problems(label))
        errors.invalid(path, part, fmt::format("validating label {}: {}", quote(label), problem));
    }
  };
  check(parts[0], &dns_label_problems);
  if (parts[0].find('.') == std::string_view::npos) {
    errors.invalid(path, parts[0],
                   "should be a domain with at least two segments separated by dots");
  }
  check(parts[1], &dns_subdomain_problems);
  if (signer == "kubernetes.io/legacy-unknown")
    errors.invalid(path, signer, "the legacy signerName is not allowed via this API version");
}

void validate_request(json::Value request, FieldErrors& errors) {
  json::Value spec = request["spec"];
  Path path("spec");
  validate_request_text(spec["request"], path.child("request"), errors);
  Path usages = path.child("usages");
  if (spec["usages"].empty()) errors.required(usages, "");
  size_t at = 0;
  for (json::Value usage : spec["usages"].items())
    check_enum(usage.as_string(), kUsages, usages.index(at++), errors);
  std::set<std::string_view> seen;
  at = 0;
  for (json::Value usage : spec["usages"].items()) {
    Path here = usages.index(at++);
    if (!seen.insert(usage.as_string()).second) errors.duplicate(here, usage.as_string());
  }
  validate_signer(spec["signerName"].as_string(), path.child("signerName"), errors);
  if (json::Value seconds = spec["expirationSeconds"]; seconds && seconds.as_int() < 600) {
    errors.invalid(path.child("expirationSeconds"), seconds.as_int(),
                   "may not specify a duration less than 600 seconds (10 minutes)");
  }
}

// What is asked for never changes; an attempt is ignored.
void keep_request(json::Value before, json::Node after, Time) { after.set("spec", before["spec"]); }

}  // namespace

constinit const Resource kCertificateSigningRequests = {
    .group = "certificates.k8s.io",
    .version = "v1",
    .kind = "CertificateSigningRequest",
    .plural = "certificatesigningrequests",
    .singular = "certificatesigningrequest",
    .short_names = kRequestShortNames,
    .scope = Scope::kCluster,
    .schema = &schema::certificates_v1::kCertificateSigningRequest,
    .columns = kRequestColumns,
    .subresources = kRequestSubresources,
    .selectable_fields = kRequestFields,
    .status_subresource = true,
    .prepare_update = &keep_request,
    .validate = &validate_request,
    .validate_status_update = &validate_request_status,
    .valid_name = &any_name,
    .reset_fields = kRequestReset,
};

}  // namespace wherry::api
