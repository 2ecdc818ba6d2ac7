// LimitRange: containers get the defaults of their namespace's ranges, and what does not stay
// within the bounds is refused. Wording: Kubernetes, LimitRanger admission.

#include <map>
#include <set>

#include "api/placement.h"
#include "api/status.h"
#include "apiserver/admission.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

using api::Quantity;
using api::Resources;

constexpr std::string_view kAnnotation = "kubernetes.io/limit-ranger";

Resources list_of(json::Value map) {
  Resources out;
  for (auto [name, amount] : map.members()) out[std::string(name)] = Quantity::from(amount);
  return out;
}

// ---- Defaults

// Names of the amounts that were missing in `list` of the container's resources, and are now there.
std::vector<std::string> fill(json::Node container, const char* list, const Resources& defaults) {
  std::vector<std::string> filled;
  json::Node resources = container.ensure_object("resources");
  for (const auto& [name, amount] : defaults) {
    if (resources[list][name]) continue;
    resources.ensure_object(list).set(name, amount.text());
    filled.push_back(name);
  }
  return filled;
}

void fill_container(json::Node container, std::string_view sort, const Resources& requests,
                    const Resources& limits, std::vector<std::string>& notes) {
  std::string name(container["name"].as_string());
  std::vector<std::string> filled = fill(container, "requests", requests);
  if (!filled.empty()) {
    notes.push_back(fmt::format("{} request for {} {}", join(filled, ", "), sort, name));
  }
  filled = fill(container, "limits", limits);
  if (!filled.empty()) {
    notes.push_back(fmt::format("{} limit for {} {}", join(filled, ", "), sort, name));
  }
}

// ---- Bounds

// What is asked for of one thing.
struct Asked {
  const Resources& requests;
  const Resources& limits;
  std::string_view sort;  // "Container", "Pod", "PersistentVolumeClaim".
};

const Quantity* find(const Resources& amounts, std::string_view name) {
  auto found = amounts.find(name);
  return found == amounts.end() ? nullptr : &found->second;
}

using Faults = std::vector<std::string>;

void check_minimum(const Asked& asked, std::string_view name, const Quantity& bound,
                   Faults& faults) {
  const Quantity* request = find(asked.requests, name);
  const Quantity* limit = find(asked.limits, name);
  std::string rule = fmt::format("minimum {} usage per {} is {}", name, asked.sort, bound.text());
  if (request == nullptr) {
    faults.push_back(rule + ".  No request is specified");
  } else if (*request < bound) {
    faults.push_back(fmt::format("{}, but request is {}", rule, request->text()));
  } else if (limit != nullptr && *limit < bound) {
    faults.push_back(fmt::format("{}, but limit is {}", rule, limit->text()));
  }
}

void check_maximum(const Asked& asked, std::string_view name, const Quantity& bound,
                   Faults& faults) {
  const Quantity* request = find(asked.requests, name);
  const Quantity* limit = find(asked.limits, name);
  std::string rule = fmt::format("maximum {} usage per {} is {}", name, asked.sort, bound.text());
  if (limit == nullptr) {
    faults.push_back(rule + ".  No limit is specified");
  } else if (*limit > bound) {
    faults.push_back(fmt::format("{}, but limit is {}", rule, limit->text()));
  } else if (request != nullptr && *request > bound) {
    faults.push_back(fmt::format("{}, but request is {}", rule, request->text()));
  }
}

// Of what has requests only.
void check_maximum_request(const Asked& asked, std::string_view name, const Quantity& bound,
                           Faults& faults) {
  const Quantity* request = find(asked.requests, name);
  std::string rule = fmt::format("maximum {} usage per {} is {}", name, asked.sort, bound.text());
  if (request == nullptr) {
    faults.push_back(rule + ".  No request is specified");
  } else if (*request > bound) {
    faults.push_back(fmt::format("{}, but request is {}", rule, request->text()));
  }
}

void check_ratio(const Asked& asked, std::string_view name, const Quantity& bound, Faults& faults) {
  const Quantity* request = find(asked.requests, name);
  const Quantity* limit = find(asked.limits, name);
  std::string rule =
      fmt::format("{} max limit to request ratio per {} is {}", name, asked.sort, bound.text());
  if (request == nullptr || request->is_zero()) {
    faults.push_back(rule + ", but no request is specified or request is 0");
  } else if (limit == nullptr || limit->is_zero()) {
    faults.push_back(rule + ", but no limit is specified or limit is 0");
  } else {
    double ratio = limit->as_double() / request->as_double();
    if (ratio > bound.as_double()) {
      faults.push_back(fmt::format("{}, but provided ratio is {:.6f}", rule, ratio));
    }
  }
}

using Check = void (*)(const Asked&, std::string_view, const Quantity&, Faults&);

void check_all(const Asked& asked, json::Value bounds, Check check, Faults& faults) {
  for (const auto& [name, bound] : list_of(bounds)) check(asked, name, bound, faults);
}

// A range's item is about one sort of thing.
void check_item(const Asked& asked, json::Value item, Faults& faults) {
  if (item["type"].as_string() != asked.sort) return;
  check_all(asked, item["min"], &check_minimum, faults);
  check_all(asked, item["max"], &check_maximum, faults);
  check_all(asked, item["maxLimitRequestRatio"], &check_ratio, faults);
}

void check_pod(json::Value pod, json::Value item, Faults& faults) {
  json::Value spec = pod["spec"];
  for (const char* list : {"containers", "initContainers"}) {
    for (json::Value container : spec[list].items()) {
      Resources requests = list_of(container["resources"]["requests"]);
      Resources limits = list_of(container["resources"]["limits"]);
      check_item({requests, limits, "Container"}, item, faults);
    }
  }
  Resources requests = api::effective_requests(spec);
  Resources limits = api::effective_limits(spec);
  check_item({requests, limits, "Pod"}, item, faults);
}

void check_claim(json::Value claim, json::Value item, Faults& faults) {
  if (item["type"].as_string() != "PersistentVolumeClaim") return;
  Resources requests = list_of(claim["spec"]["resources"]["requests"]);
  Resources none;
  Asked asked{requests, none, "PersistentVolumeClaim"};
  check_all(asked, item["min"], &check_minimum, faults);
  check_all(asked, item["max"], &check_maximum_request, faults);
}

// What ranges speak about, and through which writes.
struct Bounded {
  std::string_view resource;
  std::string_view update_subresource;
  void (*check)(json::Value object, json::Value item, Faults& faults);
};
constexpr Bounded kBounded[] = {{"pods", "resize", &check_pod},
                                {"persistentvolumeclaims", "", &check_claim}};

const Bounded* bounded(const AdmissionRequest& request) {
  const Target& target = request.target;
  if (!request.after || !target.resource->group.empty()) return nullptr;
  for (const Bounded& row : kBounded) {
    if (row.resource != target.resource->plural) continue;
    bool create = request.operation == Operation::kCreate;
    std::string_view through = create ? std::string_view() : row.update_subresource;
    return target.subresource == through ? &row : nullptr;
  }
  return nullptr;
}

class LimitRanger final : public Admission {
 public:
  explicit LimitRanger(const store::Store& store) : store_(store) {}

  Result<void> mutate(const AdmissionRequest& request) const override {
    if (!is_pod_create(request)) return {};
    std::vector<std::string> notes;
    each_range(request.target.ns, [&](json::Value range) {
      Resources requests, limits;
      for (json::Value item : range["spec"]["limits"].items()) {
        if (item["type"].as_string() != "Container") continue;
        for (auto& [name, amount] : list_of(item["defaultRequest"])) requests[name] = amount;
        for (auto& [name, amount] : list_of(item["default"])) limits[name] = amount;
      }
      json::Node spec = request.object["spec"];
      for (json::Node container : spec["containers"].items()) {
        fill_container(container, "container", requests, limits, notes);
      }
      for (json::Node container : spec["initContainers"].items()) {
        fill_container(container, "init container", requests, limits, notes);
      }
      return true;
    });
    if (notes.empty()) return {};
    request.object.ensure_object("metadata")
        .ensure_object("annotations")
        .set(kAnnotation, "LimitRanger plugin set: " + join(notes, "; "));
    return {};
  }

  Result<void> validate(const AdmissionRequest& request, Companions&) const override {
    const Bounded* row = bounded(request);
    if (row == nullptr) return {};
    Faults faults;
    each_range(request.target.ns, [&](json::Value range) {
      for (json::Value item : range["spec"]["limits"].items()) {
        row->check(request.after, item, faults);
      }
      return faults.empty();  // One range's complaints at a time.
    });
    if (faults.empty()) return {};
    std::string why = faults.size() == 1 ? faults[0] : "[" + join(faults, ", ") + "]";
    return api::forbidden(request.target.resource->group_resource(), name_of(request), why);
  }

 private:
  void each_range(const std::string& ns, const std::function<bool(json::Value)>& visit) const {
    store_.snapshot("limitranges")->scan(ns, "", "", [&visit](const ObjectPtr& range) {
      json::Document document = range->document();
      return visit(document.root());
    });
  }

  const store::Store& store_;
};

}  // namespace

std::unique_ptr<Admission> limit_ranger(const store::Store& store) {
  return std::make_unique<LimitRanger>(store);
}

}  // namespace wherry::apiserver
