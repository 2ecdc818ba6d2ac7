#pragma once
// The control door: what commands of this machine ask of the running server itself. The socket is
// <data-dir>/server/control.sock; what passes is described in door.h:
//
//   {"verb": "secrets-encrypt", "action": "status"}     or "rotate", "enable", "disable"; answered
//   by
//                                                       {"encrypt": true, "key": "...", "made":
//                                                       "..."}
//
// Threads: as Door.

#include <memory>
#include <string>

#include "cluster/secrets_encryption.h"
#include "door.h"

namespace wherry::command {

struct ControlParts {
  cluster::SecretsEncryption& secrets;
};
std::unique_ptr<Door> make_control_door(ControlParts parts, const std::string& data_dir);

inline std::string control_door_path(const std::string& data_dir) {
  return data_dir + "/server/control.sock";
}

}  // namespace wherry::command
