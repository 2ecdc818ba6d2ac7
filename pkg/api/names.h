#pragma once
// Rules on names, label and annotation keys and values, with upstream's wording. Each answers with
// what is wrong, one text per broken rule; empty when all is well. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "api/field_error.h"
#include "json/json.h"

namespace wherry::api {

using Problems = std::vector<std::string>;

Problems dns_label_problems(std::string_view text);       // RFC 1123 label, 63 bytes.
Problems dns_1035_label_problems(std::string_view text);  // Starts with a letter: Services.
Problems dns_subdomain_problems(std::string_view text);   // RFC 1123 subdomain, 253 bytes.
Problems wildcard_subdomain_problems(std::string_view text);
Problems qualified_name_problems(std::string_view text);  // Label key: [prefix/]name.
Problems label_value_problems(std::string_view text);
Problems path_segment_problems(std::string_view text);  // RBAC names: no "/", "%", ".", "..".
Problems config_key_problems(std::string_view text);    // ConfigMap and Secret data keys.
Problems env_name_problems(std::string_view text);
Problems http_header_problems(std::string_view text);
Problems port_name_problems(std::string_view text);  // IANA service name.
Problems ip_problems(std::string_view text);
Problems cidr_problems(std::string_view text);
// Of a sound address: loopback, link-local, multicast, unspecified.
Problems special_ip_problems(std::string_view text);
Problems domain_prefixed_path_problems(std::string_view text);
bool is_dns_label(std::string_view text);
bool is_dns_subdomain(std::string_view text);
bool is_ipv4(std::string_view text);
bool is_ipv6(std::string_view text);

// As Resource::valid_name wants it.
bool valid_dns_label_name(std::string_view name, std::string* why);
bool valid_dns_1035_name(std::string_view name, std::string* why);
bool valid_subdomain_name(std::string_view name, std::string* why);
bool valid_path_segment_name(std::string_view name, std::string* why);

void validate_labels(json::Value labels, const Path& path, FieldErrors& errors);
void validate_annotations(json::Value annotations, const Path& path, FieldErrors& errors);
// A meta/v1 LabelSelector.
void validate_label_selector(json::Value selector, const Path& path, FieldErrors& errors);

}  // namespace wherry::api
