#pragma once
// Subjects and alternative names, from and to OpenSSL's forms. For this folder's files only.

#include <string>
#include <vector>

#include "pki/openssl.h"
#include "pki/pki.h"

namespace wherry::pki {

struct AlternativeNames {
  std::vector<std::string> dns;
  std::vector<std::string> ip;
  std::vector<std::string> email;
  std::vector<std::string> uri;
};

Subject read_name(const X509_NAME* name);
void write_name(X509_NAME* name, const Subject& subject);
AlternativeNames read_alternative_names(const GENERAL_NAMES* names);  // Null is allowed.
// kInvalid when an address does not parse.
Result<NamesPtr> make_alternative_names(const AlternativeNames& wanted);

}  // namespace wherry::pki
