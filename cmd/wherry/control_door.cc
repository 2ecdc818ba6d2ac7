#include "control_door.h"

namespace wherry::command {
namespace {

std::string message_of(const cluster::SecretsState& state) {
  json::Draft draft;
  draft.root().set("encrypt", state.encrypt);
  draft.root().set("key", state.key_id);
  draft.root().set("made", state.key_made);
  return draft.dump();
}

Result<cluster::SecretsState> change_secrets(cluster::SecretsEncryption& secrets,
                                             std::string_view action) {
  if (action == "status") return secrets.state();
  if (action == "rotate") return secrets.rotate();
  if (action == "enable") return secrets.set_encrypt(true);
  if (action == "disable") return secrets.set_encrypt(false);
  return Error::invalid("unknown action \"{}\"", action);
}

std::string message_of(const cluster::CertificateFact& fact) {
  json::Draft draft;
  draft.root().set("name", fact.name);
  draft.root().set("subject", fact.subject);
  draft.root().set("from", format_time(fact.from));
  draft.root().set("until", format_time(fact.until));
  draft.root().set("renewal", format_time(fact.renewal));
  return draft.dump();
}

Result<void> renew(cluster::CertificateKeeper& certificates, std::string_view action) {
  if (action == "check") return {};
  const std::pair<std::string_view, cluster::Renewal> actions[] = {
      {"rotate", cluster::Renewal::kLeaves},
      {"rotate-ca", cluster::Renewal::kAuthorities},
      {"rotate-service-key", cluster::Renewal::kServiceKey},
  };
  for (auto [name, renewal] : actions) {
    if (name != action) continue;
    TRY(certificates.pass(renewal));
    return {};
  }
  return Error::invalid("unknown action \"{}\"", action);
}

}  // namespace

std::unique_ptr<Door> make_control_door(ControlParts parts, const std::string& data_dir) {
  auto answer = [parts](json::Value request, int /*file*/, const Door::Emit& emit) -> Result<void> {
    std::string_view verb = request["verb"].as_string();
    if (verb == "secrets-encrypt") {
      cluster::SecretsState state =
          TRY(change_secrets(parts.secrets, request["action"].as_string()));
      return emit(message_of(state));
    }
    if (verb == "certificate") {
      TRY(renew(parts.certificates, request["action"].as_string()));
      for (const cluster::CertificateFact& fact : parts.certificates.facts()) {
        TRY(emit(message_of(fact)));
      }
      return {};
    }
    return Error::invalid("unknown request \"{}\"", verb);
  };
  return std::make_unique<Door>(control_door_path(data_dir), "control-door", answer);
}

}  // namespace wherry::command
