#include "apiserver/local_client.h"

#include "apiserver/bookkeeping.h"

namespace wherry::apiserver {
namespace {

PatchType patch_type(client::PatchType type) {
  switch (type) {
    case client::PatchType::kJson: return PatchType::kJson;
    case client::PatchType::kMerge: return PatchType::kMerge;
    case client::PatchType::kStrategic: return PatchType::kStrategic;
    case client::PatchType::kApply: return PatchType::kApply;
  }
  return PatchType::kMerge;
}

Target target_of(const Resource& resource, std::string_view ns, std::string_view name,
                 std::string_view subresource = {}) {
  return {&resource, resource.namespaced() ? std::string(ns) : std::string(), std::string(name),
          std::string(subresource)};
}

class LocalClient final : public client::Client {
 public:
  LocalClient(Machinery& machinery, Reviewers reviewers, User user)
      : machinery_(machinery), reviewers_(std::move(reviewers)), user_(std::move(user)) {}

  Result<ObjectPtr> get(const Resource& resource, std::string_view ns,
                        std::string_view name) override {
    return machinery_.get(target_of(resource, ns, name));
  }

  Result<client::List> list(const Resource& resource, std::string_view ns,
                            const api::Selector& labels) override {
    ListOptions options;
    options.filter.labels = labels;
    ListResult found = TRY(machinery_.list(target_of(resource, ns, {}), options));
    return client::List{found.revision, std::move(found.items)};
  }

  Result<ObjectPtr> create(const Resource& resource, std::string_view ns,
                           json::Value object) override {
    Target target = target_of(resource, ns, {});
    std::optional<Result<json::Draft>> review =
        answer_review(user_, target, object, reviewers_, machinery_.clock().now());
    if (review) {
      json::Draft answer = TRY(std::move(*review));
      return loose_object(answer, 0);
    }
    Context context = begin();
    Written written = TRY(machinery_.create(context, target, object, options()));
    return written.object;
  }

  Result<ObjectPtr> create_subresource(const Resource& resource, std::string_view ns,
                                       std::string_view name, std::string_view subresource,
                                       json::Value body) override {
    Context context = begin();
    return machinery_.create_subresource(context, target_of(resource, ns, name, subresource), body,
                                         options());
  }

  Result<ObjectPtr> update(const Resource& resource, std::string_view ns, std::string_view name,
                           json::Value object, std::string_view subresource) override {
    Context context = begin();
    Written written = TRY(
        machinery_.update(context, target_of(resource, ns, name, subresource), object, options()));
    return written.object;
  }

  Result<ObjectPtr> patch(const Resource& resource, std::string_view ns, std::string_view name,
                          client::PatchType type, json::Value patch,
                          const client::PatchOptions& wish) override {
    Context context = begin();
    WriteOptions how = options();
    if (!wish.field_manager.empty()) how.field_manager = wish.field_manager;
    how.force = wish.force;
    Written written = TRY(machinery_.patch(context, target_of(resource, ns, name, wish.subresource),
                                           patch_type(type), patch, how));
    return written.object;
  }

  Result<void> remove(const Resource& resource, std::string_view ns, std::string_view name,
                      const client::DeleteOptions& wish) override {
    Context context = begin();
    DeleteOptions how;
    how.uid = wish.uid;
    if (wish.resource_version) how.resource_version = std::to_string(*wish.resource_version);
    how.grace_period_seconds = wish.grace_period_seconds;
    how.propagation_policy = wish.propagation_policy;
    TRY(machinery_.remove(context, target_of(resource, ns, name), how));
    return {};
  }

 private:
  Context begin() const { return {.user = user_, .user_agent = "wherry", .warnings = {}}; }
  // What we write ourselves is known to be well formed; unknown fields are nobody's business here.
  WriteOptions options() const {
    WriteOptions out;
    out.field_validation = FieldValidation::kIgnore;
    out.field_manager = "wherry";
    return out;
  }

  Machinery& machinery_;
  const Reviewers reviewers_;
  const User user_;
};

}  // namespace

std::unique_ptr<client::Client> make_local_client(Machinery& machinery, Reviewers reviewers,
                                                  User user) {
  return std::make_unique<LocalClient>(machinery, std::move(reviewers), std::move(user));
}

}  // namespace wherry::apiserver
