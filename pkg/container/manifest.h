#pragma once
// The documents of an image: index, manifest and config, in Docker's (schema 2) and OCI's forms.
// Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "container/image.h"

namespace wherry::container {

// Every media type a registry may answer with, for the Accept header.
std::string manifest_accept();

struct Descriptor {
  std::string media_type;
  std::string digest;
  uint64_t size = 0;
};

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // Lowest first.
};

struct ConfigDocument {
  ImageConfig config;
  std::vector<std::string> diff_ids;  // Lowest layer first.
  std::string created;
};

// "amd64", "arm64", ... and the ARM variant of this machine, as images name them.
struct Platform {
  std::string architecture;
  std::string variant;
};
Platform native_platform();

bool is_index(std::string_view text, std::string_view media_type);
// The manifest for this platform. kNotFound: "no match for platform in manifest".
Result<Descriptor> choose_manifest(std::string_view index_text, const Platform& platform);
Result<Manifest> parse_manifest(std::string_view text);
Result<ConfigDocument> parse_config(std::string_view text);
// An OCI config for an image made here.
std::string write_config(const ImageConfig& config, const std::vector<std::string>& diff_ids);
std::string write_manifest(const Descriptor& config, const std::vector<Descriptor>& layers);

}  // namespace wherry::container
