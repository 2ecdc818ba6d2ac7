#include "apiserver/bootstrap.h"

#include <arpa/inet.h>

#include <algorithm>

#include "apiserver/bootstrap_roles.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr std::string_view kNamespaces[] = {"kube-system", "kube-public", "kube-node-lease",
                                            "default"};

constexpr std::string_view kRanges = "servicecidrs.networking.k8s.io";
constexpr std::string_view kSlices = "endpointslices.discovery.k8s.io";
constexpr std::string_view kName = "kubernetes";  // Of the range, the Service and its endpoints.

constexpr std::string_view kPriorityClasses[] = {
    R"({"metadata":{"name":"system-node-critical"},"value":2000001000,"preemptionPolicy":)"
    R"("PreemptLowerPriority","description":"For pods that a node cannot do without."})",
    R"({"metadata":{"name":"system-cluster-critical"},"value":2000000000,"preemptionPolicy":)"
    R"("PreemptLowerPriority","description":"For pods that the cluster cannot do without."})",
};

Result<void> ensure(Machinery& machinery, std::string_view group_resource, const std::string& ns,
                    std::string_view json) {
  const Resource& resource = api::resource(group_resource);
  json::Document body = TRY(json::Document::parse(json));
  std::string name(body.root()["metadata"]["name"].as_string());
  if (machinery.get({&resource, ns, name, {}}).ok()) return {};
  Context context = server_context();
  Result<Written> made = machinery.create(context, {&resource, ns, {}, {}}, body.root());
  if (made.ok() || made.error().is(Code::kAlreadyExists)) return {};
  return std::move(made).error().with_prefix(fmt::format("making {} {}", group_resource, name));
}

std::string first_address(const std::string& cidr) {
  auto parts = split_once(cidr, "/");
  in_addr address{};
  CHECK(parts && inet_pton(AF_INET, std::string(parts->first).c_str(), &address) == 1);
  uint32_t first = ntohl(address.s_addr) + 1;
  return fmt::format("{}.{}.{}.{}", first >> 24, (first >> 16) & 255, (first >> 8) & 255,
                     first & 255);
}

// The range that Services get their addresses from, as an object.
Result<void> publish_range(Machinery& machinery, const std::string& service_cidr) {
  TRY(ensure(machinery, kRanges, "",
             fmt::format(R"({{"metadata":{{"name":"kubernetes"}},"spec":{{"cidrs":["{}"]}}}})",
                         service_cidr)));
  Target target{&api::resource(kRanges), "", std::string(kName), "status"};
  ObjectPtr range = TRY(machinery.get({target.resource, "", target.name, {}}));
  json::Document document = range->document();
  if (!document.root()["status"]["conditions"].empty()) return {};
  Context context = server_context();
  json::Document status = TRY(json::Document::parse(fmt::format(
      R"({{"status":{{"conditions":[{{"type":"Ready","status":"True","reason":"",)"
      R"("message":"Kubernetes default Service CIDR is ready","lastTransitionTime":"{}"}}]}}}})",
      format_time(machinery.clock().now()))));
  TRY(machinery.patch(context, target, PatchType::kMerge, status.root()));
  return {};
}

Result<void> make_namespaces(Machinery& machinery) {
  for (std::string_view name : kNamespaces) {
    TRY(ensure(machinery, "namespaces", "",
               fmt::format(R"({{"metadata":{{"name":"{}"}}}})", name)));
  }
  return {};
}

bool concerns_api_service(const store::Event& event) {
  const api::Object& object = *event.object;
  if (event.resource != "namespaces") {
    return object.name() == kName && (object.ns() == "default" || event.resource == kRanges);
  }
  return event.type == store::EventType::kDeleted &&
         std::ranges::find(kNamespaces, object.name()) != std::end(kNamespaces);
}

}  // namespace

Result<void> put_object(Machinery& machinery, std::string_view group_resource,
                        const std::string& ns, std::string_view json) {
  TRY(ensure(machinery, group_resource, ns, json));
  json::Document body = TRY(json::Document::parse(json));
  Context context = server_context();
  Target target{&api::resource(group_resource),
                ns,
                std::string(body.root()["metadata"]["name"].as_string()),
                {}};
  TRY(machinery.update(context, target, body.root()));
  return {};
}

Context server_context() {
  Context context;
  context.user.name = "system:apiserver";
  context.user.groups = {std::string(kMasters)};
  context.user_agent = "kube-apiserver";
  return context;
}

Result<void> make_bootstrap_objects(Machinery& machinery) {
  TRY(make_namespaces(machinery));
  for (std::string_view json : kPriorityClasses) {
    TRY(ensure(machinery, "priorityclasses.scheduling.k8s.io", "", json));
  }
  Context context = server_context();
  return make_bootstrap_roles(machinery, context);
}

Result<void> publish_api_service(Machinery& machinery, const ApiService& service) {
  const auto& [service_cidr, address, port] = service;
  TRY(publish_range(machinery, service_cidr));
  TRY(ensure(
      machinery, "services", "default",
      fmt::format(
          R"({{"metadata":{{"name":"kubernetes","labels":{{"component":"apiserver",)"
          R"("provider":"kubernetes"}}}},"spec":{{"clusterIP":"{}","ipFamilyPolicy":"SingleStack","ports":[{{)"
          R"("name":"https","protocol":"TCP","port":443,"targetPort":{}}}],)"
          R"("sessionAffinity":"None","type":"ClusterIP"}}}})",
          first_address(service_cidr), port)));
  // Pods could not reach a loopback address, and validation refuses it as an endpoint.
  if (address.starts_with("127.")) return {};
  TRY(put_object(machinery, "endpoints", "default",
                 fmt::format(R"({{"metadata":{{"name":"kubernetes","labels":{{)"
                             R"("endpointslice.kubernetes.io/skip-mirror":"true"}}}},"subsets":[{{)"
                             R"("addresses":[{{"ip":"{}"}}],"ports":[{{"name":"https","port":{},)"
                             R"("protocol":"TCP"}}]}}]}})",
                             address, port)));
  return put_object(
      machinery, kSlices, "default",
      fmt::format(R"({{"metadata":{{"name":"kubernetes","labels":{{)"
                  R"("kubernetes.io/service-name":"kubernetes"}}}},"addressType":"IPv4",)"
                  R"("endpoints":[{{"addresses":["{}"],"conditions":{{"ready":true}}}}],)"
                  R"("ports":[{{"name":"https","port":{},"protocol":"TCP"}}]}})",
                  address, port));
}

std::unique_ptr<Keeper> keep_api_service(Machinery& machinery, ApiService service) {
  auto keep = [&machinery, service = std::move(service)]() -> Result<void> {
    TRY(make_namespaces(machinery));
    return publish_api_service(machinery, service);
  };
  Keeper::Options options{.name = "api-service",
                          .resources = {"namespaces", "services", "endpoints", kSlices, kRanges},
                          .concerns = &concerns_api_service,
                          .keep = std::move(keep)};
  return std::make_unique<Keeper>(machinery.store(), std::move(options));
}

}  // namespace wherry::apiserver
