#pragma once
// When tokens that are kept in Secrets were last used: a label of the Secret says the day, and a
// ConfigMap in kube-system since when that is so. By these an administrator finds tokens that
// nobody needs any more. Any thread.

#include <string>

#include "apiserver/machinery.h"

namespace wherry::apiserver {

// Makes the ConfigMap, unless it is there.
Result<void> begin_legacy_tracking(Machinery& machinery);
// Writes the day ("2026-11-30") on the Secret. What goes wrong is logged: the token is good all the
// same.
void note_legacy_use(Machinery& machinery, const api::Object& secret, const std::string& day);

}  // namespace wherry::apiserver
