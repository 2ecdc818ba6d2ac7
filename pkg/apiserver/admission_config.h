#pragma once
// The file of --admission-control-config-file: an AdmissionConfiguration of apiserver.config.k8s.io
// with the configuration of single plugins, inline or in files of their own beside it. Those of
// PodSecurity and ResourceQuota are read; one for anything else is refused. Pure but for reading
// these files.

#include <string>

#include "apiserver/admission_settings.h"
#include "base/result.h"

namespace wherry::apiserver {

// What the file says goes into `settings`. Errors in upstream's words.
Result<void> read_admission_config(const std::string& path, AdmissionSettings& settings);

}  // namespace wherry::apiserver
