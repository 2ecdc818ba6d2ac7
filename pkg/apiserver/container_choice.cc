#include "apiserver/container_choice.h"

#include <vector>

#include "api/field_error.h"
#include "apiserver/routes.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr const char* kLists[] = {"containers", "initContainers", "ephemeralContainers"};
constexpr const char* kStatuses[] = {"containerStatuses", "initContainerStatuses",
                                     "ephemeralContainerStatuses"};

std::string names(json::Value containers) {
  std::vector<std::string_view> out;
  for (json::Value container : containers.items()) out.push_back(container["name"].as_string());
  return join(out, " ");
}

Error waiting(std::string_view container, std::string_view pod, std::string_view reason) {
  std::string why;
  if (reason == "ErrImagePull") {
    why = "image can't be pulled";
  } else if (reason == "ImagePullBackOff") {
    why = "trying and failing to pull image";
  } else {
    why = reason;
  }
  return Error::bad_request("container \"{}\" in pod \"{}\" is waiting to start: {}", container,
                            pod, why);
}

Result<std::optional<int64_t>> number(const http::Request& request, std::string_view name) {
  if (!request.query.has(name)) return std::optional<int64_t>();
  std::string_view text = request.query.get(name);
  std::optional<int64_t> value = parse_int(text);
  if (!value) {
    return Error::bad_request("strconv.ParseInt: parsing {}: invalid syntax", quote(text));
  }
  return value;
}

bool flag(const http::Request& request, std::string_view name) {
  return request.query.has(name) && is_true(request.query.get(name));
}

}  // namespace

Result<std::string> choose_container(json::Value pod, std::string_view wanted) {
  json::Value spec = pod["spec"];
  std::string_view pod_name = pod["metadata"]["name"].as_string();
  if (!wanted.empty()) {
    for (const char* list : kLists) {
      for (json::Value container : spec[list].items()) {
        if (container["name"].as_string() == wanted) return std::string(wanted);
      }
    }
    return Error::bad_request("container {} is not valid for pod {}", wanted, pod_name);
  }
  json::Value containers = spec["containers"];
  if (containers.size() == 1) return std::string(containers.at(0)["name"].as_string());
  std::string message = fmt::format("a container name must be specified for pod {}", pod_name);
  if (containers.empty()) return Error(Code::kBadRequest, std::move(message));
  message += fmt::format(", choose one of: [{}]", names(containers));
  if (!spec["initContainers"].empty()) {
    message += fmt::format(" or one of the init containers: [{}]", names(spec["initContainers"]));
  }
  if (!spec["ephemeralContainers"].empty()) {
    message += fmt::format(" or one of the ephemeral containers: [{}]",
                           names(spec["ephemeralContainers"]));
  }
  return Error(Code::kBadRequest, std::move(message));
}

Result<void> check_has_log(json::Value pod, std::string_view container, bool previous) {
  std::string_view name = pod["metadata"]["name"].as_string();
  json::Value status;
  for (const char* list : kStatuses) {
    for (json::Value item : pod["status"][list].items()) {
      if (item["name"].as_string() == container) status = item;
    }
  }
  if (!status) {
    return Error::bad_request("container \"{}\" in pod \"{}\" is not available", container, name);
  }
  json::Value state = status["state"];
  bool ran_before = !status["lastState"]["terminated"]["containerID"].as_string().empty();
  if (previous) {
    if (ran_before) return {};
    return Error::bad_request("previous terminated container \"{}\" in pod \"{}\" not found",
                              container, name);
  }
  if (state["running"]) return {};
  if (state["terminated"] || status["lastState"]["terminated"]) {
    if (ran_before || !state["terminated"]["containerID"].as_string().empty()) return {};
    return Error::bad_request("container \"{}\" in pod \"{}\" is terminated", container, name);
  }
  if (state["waiting"]) return waiting(container, name, state["waiting"]["reason"].as_string());
  return Error::bad_request("container \"{}\" in pod \"{}\" is waiting to start - no logs yet",
                            container, name);
}

Result<client::LogOptions> log_options(const http::Request& request, std::string_view pod) {
  client::LogOptions out;
  out.follow = flag(request, "follow");
  out.previous = flag(request, "previous");
  out.timestamps = flag(request, "timestamps");
  out.since_seconds = TRY(number(request, "sinceSeconds"));
  out.tail_lines = TRY(number(request, "tailLines"));
  out.limit_bytes = TRY(number(request, "limitBytes"));
  api::FieldErrors errors;
  if (request.query.has("sinceTime")) {
    out.since_time = parse_time(request.query.get("sinceTime"));
    if (!out.since_time) {
      return Error::bad_request("parsing time {}: not RFC 3339",
                                quote(request.query.get("sinceTime")));
    }
  }
  if (out.tail_lines && *out.tail_lines < 0) {
    errors.invalid(api::Path("tailLines"), *out.tail_lines, "must be greater than or equal to 0");
  }
  if (out.limit_bytes && *out.limit_bytes < 1) {
    errors.invalid(api::Path("limitBytes"), *out.limit_bytes, "must be greater than 0");
  }
  if (out.since_seconds && out.since_time) {
    errors.forbidden(api::Path(), "at most one of `sinceTime` or `sinceSeconds` may be specified");
  } else if (out.since_seconds && *out.since_seconds < 1) {
    errors.invalid(api::Path("sinceSeconds"), *out.since_seconds, "must be greater than 0");
  }
  if (!errors.empty()) return errors.to_error("", "PodLogOptions", pod);
  return out;
}

}  // namespace wherry::apiserver
