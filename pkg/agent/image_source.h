#pragma once
// ImageSource: what pods need of images, as a seam over container::ImageStore; and the credentials
// that imagePullSecrets give. Any thread.

#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/result.h"
#include "container/image.h"

namespace wherry::agent {

class ImageSource {
 public:
  virtual ~ImageSource() = default;
  virtual Result<container::Image> find(const std::string& reference) = 0;  // kNotFound: not here.
  virtual Result<container::Image> pull(const std::string& reference,
                                        const std::vector<container::Credentials>& credentials,
                                        const std::stop_token& stop) = 0;
  virtual Result<container::ImageUser> user(const container::Image& image,
                                            const std::string& user) = 0;
  virtual std::vector<container::Image> list() = 0;
};

class StoredImages final : public ImageSource {
 public:
  explicit StoredImages(container::ImageStore& store) : store_(store) {}
  Result<container::Image> find(const std::string& reference) override {
    return store_.find(reference);
  }
  Result<container::Image> pull(const std::string& reference,
                                const std::vector<container::Credentials>& credentials,
                                const std::stop_token& stop) override {
    return store_.pull(reference, credentials, stop);
  }
  Result<container::ImageUser> user(const container::Image& image,
                                    const std::string& user) override {
    return container::resolve_user(image, user);
  }
  std::vector<container::Image> list() override { return store_.list(); }

 private:
  container::ImageStore& store_;
};

// Those of a kubernetes.io/dockerconfigjson or dockercfg Secret that fit the registry of `image`,
// the most specific first.
std::vector<container::Credentials> credentials_for(std::string_view image,
                                                    const std::vector<api::ObjectPtr>& secrets);

}  // namespace wherry::agent
