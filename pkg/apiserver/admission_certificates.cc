// Who asks for a certificate, who approves the request and who signs it. Wording: Kubernetes,
// CertificateSubjectRestriction, CertificateApproval and CertificateSigning admission.

#include "api/status.h"
#include "apiserver/admission.h"
#include "apiserver/authorise.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "pki/pki.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kResource = "certificatesigningrequests";
constexpr std::string_view kGroup = "certificates.k8s.io";
constexpr std::string_view kClientSigner = "kubernetes.io/kube-apiserver-client";

void set_list(json::Node in, std::string_view key, const std::vector<std::string>& items) {
  in.remove(key);
  if (items.empty()) return;
  json::Node list = in.set_array(key);
  for (const std::string& item : items) list.push(item);
}

// Whether the update is one that only a signer makes.
bool signs(const AdmissionRequest& request) {
  json::Value before = request.before["status"], after = request.after["status"];
  return request.target.subresource == "status" &&
         (before["certificate"].as_string() != after["certificate"].as_string() ||
          !same_part(before["conditions"], after["conditions"]));
}

bool approves(const AdmissionRequest& request) { return request.target.subresource == "approval"; }

bool is_ours(const AdmissionRequest& request) {
  const Resource& resource = *request.target.resource;
  return resource.plural == kResource && resource.group == kGroup;
}

Error refused(const AdmissionRequest& request, std::string_view why) {
  return api::forbidden(request.target.resource->group_resource(), name_of(request), why);
}

// Who asks is who the request says asks, whatever was sent.
class CertificateRequester final : public Admission {
 public:
  Result<void> mutate(const AdmissionRequest& request) const override {
    if (!is_ours(request) || request.operation != Operation::kCreate) return {};
    json::Node spec = request.object.ensure_object("spec");
    const User& user = request.user;
    for (const char* field : {"username", "uid", "extra"}) spec.remove(field);
    spec.set("username", user.name);
    if (!user.uid.empty()) spec.set("uid", user.uid);
    set_list(spec, "groups", user.groups);
    for (const auto& [key, values] : user.extra) {
      set_list(spec.ensure_object("extra"), key, values);
    }
    return {};
  }
};

// A certificate cannot make an administrator: there would be no taking it back.
class CertificateSubject final : public Admission {
 public:
  Result<void> validate(const AdmissionRequest& request, Companions&) const override {
    if (!is_ours(request) || request.operation != Operation::kCreate) return {};
    json::Value spec = request.after["spec"];
    if (spec["signerName"].as_string() != kClientSigner) return {};
    Result<pki::SigningRequest> asked = pki::SigningRequest::from_pem(
        base64_decode(spec["request"].as_string()).value_or(std::string()));
    if (!asked.ok()) return refused(request, asked.error().message());
    for (const std::string& group : asked->subject.organizations) {
      if (group != kMasters) continue;
      return refused(request, fmt::format("use of {} signer with {} group is not allowed",
                                          kClientSigner, kMasters));
    }
    return {};
  }
};

// The right to do something with requests to a signer: of the signer itself, or of all of its
// domain.
Result<void> check_right(const Authoriser* authoriser, const AdmissionRequest& request,
                         std::string_view verb) {
  std::string signer(request.before["spec"]["signerName"].as_string());
  Attributes asked{.user = request.user, .verb = verb};
  asked.is_resource = true;
  asked.group = kGroup;
  asked.resource = "signers";
  asked.name = signer;
  if (authoriser == nullptr || authoriser->allows(asked)) return {};
  auto parts = split_once(signer, "/");
  std::string domain = parts ? fmt::format("{}/*", parts->first) : signer;
  asked.name = domain;
  if (authoriser->allows(asked)) return {};
  return refused(request, fmt::format("user not permitted to {} requests with signerName {}", verb,
                                      quote(signer)));
}

// What is done with a request by an update that `does` says yes to takes the right to.
class SignerRight final : public Admission {
 public:
  SignerRight(const Authoriser* authoriser, bool (*does)(const AdmissionRequest&),
              std::string_view verb)
      : authoriser_(authoriser), does_(does), verb_(verb) {}

  Result<void> validate(const AdmissionRequest& request, Companions&) const override {
    bool ours = is_ours(request) && request.operation == Operation::kUpdate;
    return ours && does_(request) ? check_right(authoriser_, request, verb_) : Result<void>();
  }

 private:
  const Authoriser* const authoriser_;
  bool (*const does_)(const AdmissionRequest&);
  const std::string_view verb_;
};

}  // namespace

std::unique_ptr<Admission> certificate_requester() {
  return std::make_unique<CertificateRequester>();
}
std::unique_ptr<Admission> certificate_subject() { return std::make_unique<CertificateSubject>(); }
std::unique_ptr<Admission> certificate_approval(const Authoriser* authoriser) {
  return std::make_unique<SignerRight>(authoriser, &approves, "approve");
}
std::unique_ptr<Admission> certificate_signing(const Authoriser* authoriser) {
  return std::make_unique<SignerRight>(authoriser, &signs, "sign");
}

}  // namespace wherry::apiserver
