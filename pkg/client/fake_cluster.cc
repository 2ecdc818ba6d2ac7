#include "client/fake_cluster.h"

#include "api/patch.h"
#include "json/yaml.h"

namespace wherry::client {
namespace {

Error missing(const Resource& resource, std::string_view name) {
  return Error::not_found("{} \"{}\" not found", resource.group_resource(), name);
}

}  // namespace

class FakeCluster::MapLister final : public Lister {
 public:
  MapLister(const Objects& objects, const Revision& revision)
      : objects_(objects), revision_(revision) {}
  ObjectPtr find(std::string_view ns, std::string_view name) const override {
    auto found = objects_.find({std::string(ns), std::string(name)});
    return found == objects_.end() ? nullptr : found->second;
  }
  std::vector<ObjectPtr> list(std::string_view ns) const override {
    std::vector<ObjectPtr> out;
    for (const auto& [key, object] : objects_) {
      if (ns.empty() || key.first == ns) out.push_back(object);
    }
    return out;
  }
  std::vector<ObjectPtr> list_owned(std::string_view ns, std::string_view uid) const override {
    std::vector<ObjectPtr> out;
    for (const ObjectPtr& object : list(ns)) {
      json::Document document = object->document();
      for (json::Value owner : document.root()["metadata"]["ownerReferences"].items()) {
        if (owner["uid"].as_string() == uid) {
          out.push_back(object);
          break;
        }
      }
    }
    return out;
  }
  Revision revision() const override { return revision_; }

 private:
  const Objects& objects_;
  const Revision& revision_;
};

FakeCluster::FakeCluster(const Clock& clock) : clock_(clock) {}
FakeCluster::~FakeCluster() = default;

void FakeCluster::note(std::string_view verb, const Resource& resource, std::string_view ns,
                       std::string_view name, std::string_view subresource) {
  calls.push_back(fmt::format("{} {} {}{}{}{}{}", verb, resource.group_resource(), ns,
                              ns.empty() ? "" : "/", name, subresource.empty() ? "" : " ",
                              subresource));
}

void FakeCluster::deliver(const Resource& resource, ObjectPtr before, ObjectPtr after) {
  auto found = handlers_.find(resource.group_resource());
  if (found == handlers_.end()) return;
  for (const Handler& handler : found->second) handler({&resource, before, after, revision_});
}

ObjectPtr FakeCluster::store(const Resource& resource, json::Draft object) {
  json::Node metadata = object.root().ensure_object("metadata");
  if (object.root()["kind"].as_string().empty()) {
    object.root().set("kind", resource.kind);
    object.root().set("apiVersion", resource.api_version());
  }
  if (metadata["name"].as_string().empty()) {
    metadata.set("name", fmt::format("{}{}", metadata["generateName"].as_string(), ++names_));
  }
  if (!metadata["uid"]) metadata.set("uid", fmt::format("uid-{}", metadata["name"].as_string()));
  if (!metadata["creationTimestamp"]) metadata.set("creationTimestamp", format_time(clock_.now()));
  ++revision_;
  json::Document frozen = object.freeze();
  ObjectPtr made = api::Object::stamp(api::unstamped(frozen.root()).value(), revision_);
  Objects& objects = objects_[resource.group_resource()];
  ObjectPtr& slot = objects[{std::string(made->ns()), std::string(made->name())}];
  ObjectPtr before = slot;
  slot = made;
  deliver(resource, before, made);
  return made;
}

ObjectPtr FakeCluster::put(const Resource& resource, std::string_view json_or_yaml) {
  json::Document document = json::parse_yaml(json_or_yaml).value();
  return store(resource, json::Draft(document.root()));
}

ObjectPtr FakeCluster::change(const Resource& resource, std::string_view ns, std::string_view name,
                              std::string_view merge_patch) {
  ObjectPtr live = lister(resource).find(ns, name);
  CHECK(live != nullptr);
  json::Document document = live->document();
  json::Document patch = json::parse_yaml(merge_patch).value();
  return store(resource, api::merge_patch(document.root(), patch.root()).value());
}

void FakeCluster::erase(const Resource& resource, std::string_view ns, std::string_view name) {
  Objects& objects = objects_[resource.group_resource()];
  auto found = objects.find({std::string(ns), std::string(name)});
  if (found == objects.end()) return;
  ObjectPtr before = found->second;
  objects.erase(found);
  ++revision_;
  deliver(resource, before, nullptr);
}

Result<ObjectPtr> FakeCluster::get(const Resource& resource, std::string_view ns,
                                   std::string_view name) {
  ObjectPtr found = lister(resource).find(ns, name);
  if (found == nullptr) return missing(resource, name);
  return found;
}

Result<List> FakeCluster::list(const Resource& resource, std::string_view ns,
                               const api::Selector& labels) {
  List out{revision_, {}};
  for (const ObjectPtr& object : lister(resource).list(ns)) {
    if (labels.matches(*object)) out.items.push_back(object);
  }
  return out;
}

Result<ObjectPtr> FakeCluster::create(const Resource& resource, std::string_view ns,
                                      json::Value object) {
  auto error = create_errors.find(resource.group_resource());
  if (error != create_errors.end()) {
    Error out = error->second;
    create_errors.erase(error);
    return out;
  }
  std::string_view name = object["metadata"]["name"].as_string();
  if (!name.empty() && lister(resource).find(ns, name) != nullptr) {
    return Error::make(Code::kAlreadyExists, "{} \"{}\" already exists", resource.group_resource(),
                       name);
  }
  json::Draft draft(object);
  auto complete = completions.find(resource.group_resource());
  if (complete != completions.end()) complete->second(draft.root());
  ObjectPtr made = store(resource, std::move(draft));
  note("create", resource, ns, made->name());
  return made;
}

Result<ObjectPtr> FakeCluster::create_subresource(const Resource& resource, std::string_view ns,
                                                  std::string_view name,
                                                  std::string_view subresource, json::Value body) {
  note("create", resource, ns, name, subresource);
  ObjectPtr live = TRY(get(resource, ns, name));
  if (subresource == "binding") {
    json::Document document = live->document();
    json::Draft draft(document.root());
    draft.root().ensure_object("spec").set("nodeName", body["target"]["name"]);
    return store(resource, std::move(draft));
  }
  return live;
}

Result<ObjectPtr> FakeCluster::update(const Resource& resource, std::string_view ns,
                                      std::string_view name, json::Value object,
                                      std::string_view subresource) {
  note("update", resource, ns, name, subresource);
  ObjectPtr live = TRY(get(resource, ns, name));
  json::Value version = object["metadata"]["resourceVersion"];
  if (version && version.as_string() != std::to_string(live->revision())) {
    return Error::conflict("{} \"{}\" was modified", resource.group_resource(), name);
  }
  json::Document document = live->document();
  if (subresource == "status") {
    json::Draft draft(document.root());
    draft.root().set("status", object["status"]);
    return store(resource, std::move(draft));
  }
  json::Draft draft(object);
  if (subresource.empty() && resource.status_subresource)
    draft.root().set("status", document.root()["status"]);
  return store(resource, std::move(draft));
}

Result<ObjectPtr> FakeCluster::patch(const Resource& resource, std::string_view ns,
                                     std::string_view name, PatchType type, json::Value patch,
                                     const PatchOptions& options) {
  note("patch", resource, ns, name, options.subresource);
  ObjectPtr live = TRY(get(resource, ns, name));
  json::Document document = live->document();
  if (type == PatchType::kStrategic) {
    return store(resource,
                 TRY(api::strategic_merge_patch(*resource.schema, document.root(), patch)));
  }
  if (type == PatchType::kMerge)
    return store(resource, TRY(api::merge_patch(document.root(), patch)));
  return Error::unsupported("the fake cluster knows merge and strategic merge patches");
}

Result<void> FakeCluster::remove(const Resource& resource, std::string_view ns,
                                 std::string_view name, const DeleteOptions& options) {
  note("delete", resource, ns, name);
  ObjectPtr live = TRY(get(resource, ns, name));
  if (options.uid && *options.uid != live->uid()) return Error::conflict("{} is another one", name);
  json::Document document = live->document();
  bool graceful = resource.graceful_delete && options.grace_period_seconds != 0 &&
                  !document.root()["spec"]["nodeName"].as_string().empty();
  if (graceful || !document.root()["metadata"]["finalizers"].empty()) {
    if (live->deleting()) return {};
    json::Draft draft(document.root());
    draft.root()["metadata"].set("deletionTimestamp", format_time(clock_.now()));
    store(resource, std::move(draft));
    return {};
  }
  erase(resource, ns, name);
  return {};
}

const Lister& FakeCluster::lister(const Resource& resource) {
  auto& slot = listers_[resource.group_resource()];
  if (slot == nullptr)
    slot = std::make_unique<MapLister>(objects_[resource.group_resource()], revision_);
  return *slot;
}

void FakeCluster::subscribe(const Resource& resource, Handler handler) {
  for (const ObjectPtr& object : lister(resource).list("")) {
    handler({&resource, nullptr, object, object->revision()});
  }
  handlers_[resource.group_resource()].push_back(std::move(handler));
}

}  // namespace wherry::client
