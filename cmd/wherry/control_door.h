#pragma once
// The control door: what commands of this machine ask of the running server itself. The socket is
// <data-dir>/server/control.sock; what passes is described in door.h:
//
//   {"verb": "secrets-encrypt", "action": "status"}   or "rotate", "enable", "disable"
//       {"encrypt": true, "key": "...", "made": "..."}
//   {"verb": "certificate", "action": "check"}         or "rotate", "rotate-ca"; for each of them
//       {"name": "...", "subject": "...", "from": "...", "until": "...", "renewal": "..."}
//
// Threads: as Door.

#include <memory>
#include <string>

#include "cluster/certificate_keeper.h"
#include "cluster/secrets_encryption.h"
#include "door.h"

namespace wherry::command {

struct ControlParts {
  cluster::SecretsEncryption& secrets;
  cluster::CertificateKeeper& certificates;
};
std::unique_ptr<Door> make_control_door(ControlParts parts, const std::string& data_dir);

inline std::string control_door_path(const std::string& data_dir) {
  return data_dir + "/server/control.sock";
}

}  // namespace wherry::command
