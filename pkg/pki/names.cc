#include "pki/names.h"

#include <arpa/inet.h>

#include "base/strings.h"

namespace wherry::pki {
namespace {

std::string utf8(const ASN1_STRING* text) {
  unsigned char* bytes = nullptr;
  int size = ASN1_STRING_to_UTF8(&bytes, text);
  if (size < 0) return {};
  std::string out(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return out;
}

std::vector<std::string> parts_of(const X509_NAME* name, int nid) {
  std::vector<std::string> parts;
  int at = -1;
  while ((at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0) {
    parts.push_back(utf8(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))));
  }
  return parts;
}

void add_part(X509_NAME* name, int nid, const std::string& text) {
  CHECK(X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, bytes_of(text),
                                   static_cast<int>(text.size()), -1, 0) == 1);
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  char text[INET6_ADDRSTRLEN] = "";
  int size = ASN1_STRING_length(address);
  if (size != 4 && size != 16) return {};
  inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text, sizeof(text));
  return text;
}

}  // namespace

Subject read_name(const X509_NAME* name) {
  std::vector<std::string> common = parts_of(name, NID_commonName);
  // The last one counts, as Go reads it.
  return {common.empty() ? std::string() : common.back(), parts_of(name, NID_organizationName)};
}

void write_name(X509_NAME* name, const Subject& subject) {
  for (const std::string& organization : subject.organizations) {
    add_part(name, NID_organizationName, organization);
  }
  if (!subject.common_name.empty()) add_part(name, NID_commonName, subject.common_name);
}

AlternativeNames read_alternative_names(const GENERAL_NAMES* names) {
  AlternativeNames out;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    switch (name->type) {
      case GEN_DNS: out.dns.push_back(utf8(name->d.dNSName)); break;
      case GEN_EMAIL: out.email.push_back(utf8(name->d.rfc822Name)); break;
      case GEN_URI: out.uri.push_back(utf8(name->d.uniformResourceIdentifier)); break;
      case GEN_IPADD: out.ip.push_back(address_text(name->d.iPAddress)); break;
      default: break;
    }
  }
  return out;
}

namespace {

void add_text_name(GENERAL_NAMES* names, int type, const std::string& text) {
  ASN1_IA5STRING* value = ASN1_IA5STRING_new();
  CHECK(value != nullptr &&
        ASN1_STRING_set(value, text.data(), static_cast<int>(text.size())) == 1);
  GENERAL_NAME* name = GENERAL_NAME_new();
  GENERAL_NAME_set0_value(name, type, value);
  sk_GENERAL_NAME_push(names, name);
}

}  // namespace

Result<NamesPtr> make_alternative_names(const AlternativeNames& wanted) {
  NamesPtr names(sk_GENERAL_NAME_new_null());
  CHECK(names != nullptr);
  for (const std::string& text : wanted.dns) add_text_name(names.get(), GEN_DNS, text);
  for (const std::string& text : wanted.email) add_text_name(names.get(), GEN_EMAIL, text);
  for (const std::string& text : wanted.uri) add_text_name(names.get(), GEN_URI, text);
  for (const std::string& text : wanted.ip) {
    unsigned char bytes[16];
    int size = inet_pton(AF_INET, text.c_str(), bytes) == 1    ? 4
               : inet_pton(AF_INET6, text.c_str(), bytes) == 1 ? 16
                                                               : 0;
    if (size == 0) return Error::invalid("{} is not an IP address", quote(text));
    ASN1_OCTET_STRING* value = ASN1_OCTET_STRING_new();
    CHECK(value != nullptr && ASN1_OCTET_STRING_set(value, bytes, size) == 1);
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, GEN_IPADD, value);
    sk_GENERAL_NAME_push(names.get(), name);
  }
  return names;
}

}  // namespace wherry::pki
