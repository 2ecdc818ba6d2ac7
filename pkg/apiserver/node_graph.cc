#include "apiserver/node_graph.h"

#include <algorithm>

#include "api/pod_uses.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kVolumes = "persistentvolumes";
constexpr std::string_view kClaims = "persistentvolumeclaims";

std::string key_of(std::string_view resource, std::string_view ns, std::string_view name) {
  return fmt::format("{}/{}/{}", resource, ns, name);
}

// What the node of a bound pod may see because of it.
std::vector<std::string> keys_of(const api::Object& pod, json::Value body) {
  std::vector<std::string> keys = {key_of("pods", pod.ns(), pod.name())};
  api::PodUses uses = api::uses_of(body);
  auto put = [&keys, &pod](std::string_view resource, const std::vector<std::string>& names) {
    for (const std::string& name : names) keys.push_back(key_of(resource, pod.ns(), name));
  };
  if (!uses.service_account.empty()) put("serviceaccounts", {uses.service_account});
  put("secrets", uses.secrets);
  put("configmaps", uses.config_maps);
  put(kClaims, uses.claims);
  put("resourceclaims", uses.resource_claims);
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

// A pod that is bound names the same objects for ever, but for what it is given later: further
// containers, and the claims that are made for it.
bool names_the_same(const api::Object& before, const api::Object& now) {
  json::Document a = before.document(), b = now.document();
  auto same = [&](const char* part, const char* field) {
    return json::equal(a.root()[part][field], b.root()[part][field]);
  };
  return before.uid() == now.uid() && same("spec", "nodeName") &&
         same("spec", "ephemeralContainers") && same("status", "resourceClaimStatuses");
}

}  // namespace

Result<void> NodeGraph::start() {
  Revision from = store_.revision();
  auto read = [this](std::string_view resource, auto note) {
    store_.snapshot(resource)->scan("", "", "", [&](const ObjectPtr& object) {
      MutexLock lock(mutex_);
      note(object);
      return true;
    });
  };
  read("pods", [this](const ObjectPtr& pod) NO_THREAD_SAFETY_ANALYSIS { note_pod(pod, false); });
  read(kVolumes,
       [this](const ObjectPtr& volume) NO_THREAD_SAFETY_ANALYSIS { note_volume(volume, false); });
  subscription_ = TRY(store_.watch("", from, *this));
  started_ = true;
  return {};
}

void NodeGraph::on_events(std::span<const store::EventPtr> events) {
  for (const store::EventPtr& event : events) {
    bool gone = event->type == store::EventType::kDeleted;
    bool pod = event->resource == "pods";
    if (!pod && event->resource != kVolumes) continue;
    if (pod && event->type == store::EventType::kModified && event->previous != nullptr &&
        names_the_same(*event->previous, *event->object)) {
      continue;
    }
    MutexLock lock(mutex_);
    if (pod) {
      note_pod(event->object, gone);
    } else {
      note_volume(event->object, gone);
    }
  }
}

void NodeGraph::note_pod(const ObjectPtr& object, bool gone) {
  std::string at = fmt::format("{}/{}", object->ns(), object->name());
  if (auto found = pods_.find(at); found != pods_.end()) {
    for (const std::string& key : found->second.keys) {
      auto users = users_.find(key);
      auto user = users->second.find(found->second.node);
      if (--user->second == 0) users->second.erase(user);
      if (users->second.empty()) users_.erase(users);
    }
    pods_.erase(found);
  }
  if (gone) return;
  json::Document document = object->document();
  Pod pod;
  pod.node = document.root()["spec"]["nodeName"].as_string();
  if (pod.node.empty()) return;
  pod.keys = keys_of(*object, document.root());
  for (const std::string& key : pod.keys) ++users_[key][pod.node];
  pods_.emplace(std::move(at), std::move(pod));
}

void NodeGraph::note_volume(const ObjectPtr& object, bool gone) {
  std::string name(object->name());
  if (auto found = volumes_.find(name); found != volumes_.end()) {
    for (const std::string& secret : found->second.secrets) {
      auto claims = secret_claims_.find(secret);
      if (claims == secret_claims_.end()) continue;
      auto claim = claims->second.find(found->second.claim);
      if (claim != claims->second.end()) claims->second.erase(claim);
      if (claims->second.empty()) secret_claims_.erase(claims);
    }
    volumes_.erase(found);
  }
  if (gone) return;
  json::Document document = object->document();
  json::Value claim = document.root()["spec"]["claimRef"];
  if (!claim) return;
  Volume volume;
  std::string_view ns = claim["namespace"].as_string();
  volume.claim = key_of(kClaims, ns, claim["name"].as_string());
  for (const std::string& secret : api::volume_secrets(document.root(), ns)) {
    volume.secrets.push_back("secrets/" + secret);
    secret_claims_[volume.secrets.back()].insert(volume.claim);
  }
  volumes_.emplace(std::move(name), std::move(volume));
}

bool NodeGraph::named(std::string_view node, std::string_view key) const {
  auto found = users_.find(key);
  return found != users_.end() && found->second.contains(node);
}

Result<bool> NodeGraph::concerns(std::string_view node, std::string_view resource,
                                 std::string_view ns, std::string_view name) {
  {
    MutexLock lock(start_mutex_);
    if (!started_) TRY(start());
  }
  MutexLock lock(mutex_);
  if (resource == kVolumes) {
    auto volume = volumes_.find(name);
    return ns.empty() && volume != volumes_.end() && named(node, volume->second.claim);
  }
  std::string key = key_of(resource, ns, name);
  if (named(node, key)) return true;
  auto claims = secret_claims_.find(key);
  return claims != secret_claims_.end() &&
         std::any_of(claims->second.begin(), claims->second.end(),
                     [&](const std::string& claim)
                         NO_THREAD_SAFETY_ANALYSIS { return named(node, claim); });
}

}  // namespace wherry::apiserver
