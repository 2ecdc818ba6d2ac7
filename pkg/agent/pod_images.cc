// PodWorker, images: what containers and image volumes need is pulled, announced and backed off.

#include <algorithm>

#include "agent/plan.h"
#include "agent/pod_worker.h"
#include "base/strings.h"
#include "container/reference.h"

namespace wherry::agent {
namespace {

constexpr Duration kPullDelayFirst = std::chrono::seconds(10);
constexpr Duration kPullDelayMax = std::chrono::minutes(5);
constexpr Duration kNeverRetry = std::chrono::seconds(10);
constexpr Duration kErrorShown = std::chrono::seconds(1);

// Go's way to print a duration below a minute: "1.234s", "56ms".
std::string elapsed_text(Duration took) {
  double ms = std::chrono::duration<double, std::milli>(took).count();
  if (ms < 1000) return fmt::format("{:.0f}ms", ms);
  return ms < 60'000 ? fmt::format("{:.3g}s", ms / 1000) : duration_text(took);
}

// What the API server would have set; static pods come without.
std::string_view policy_of(std::string_view policy, std::string_view image) {
  if (!policy.empty()) return policy;
  Result<container::Reference> reference = container::Reference::parse(image);
  return reference.ok() && reference->tag == "latest" ? "Always" : "IfNotPresent";
}

}  // namespace

PodWorker::ImageWant PodWorker::image_want(const ContainerView& view) const {
  ImageWant want;
  want.reference = view.image();
  want.container = view.name();
  want.policy = policy_of(view.spec["imagePullPolicy"].as_string(), want.reference);
  want.about = reference_to(pod_, view.kind, view.name());
  return want;
}

// Null when the container is no longer in the pod.
ImagePull* PodWorker::pull_of(const ImageWant& want) {
  if (!want.volume.empty()) return &record_.volume_pulls[want.volume];
  ContainerRecord* container = record_.find(want.container);
  return container == nullptr ? nullptr : &container->pull;
}

bool PodWorker::have_image(const ContainerView& view, ContainerRecord& container,
                           const ImageWant& want, container::Image* image) {
  std::optional<ImageLack> lack = ensure_image(want, image);
  if (!lack) return true;
  if (lack->reason.empty()) return false;
  wait(view, container, lack->reason, lack->message);
  container.retry_at = lack->retry_at;
  if (lack->retry_at) at(*lack->retry_at);
  return false;
}

// An image volume is resolved once in a pod's life, when the first container that mounts it starts.
bool PodWorker::have_volumes(const ContainerView& view, ContainerRecord& container,
                             ImageVolumes* images) {
  for (json::Value mount : view.spec["volumeMounts"].items()) {
    for (json::Value volume : pod_.spec()["volumes"].items()) {
      json::Value source = volume["image"];
      if (!source || volume["name"].as_string() != mount["name"].as_string()) continue;
      ImageWant want;
      want.reference = source["reference"].as_string();
      want.volume = volume["name"].as_string();
      want.policy = policy_of(source["pullPolicy"].as_string(), want.reference);
      want.about = reference_to(pod_);
      container::Image image;
      if (!have_image(view, container, want, &image)) return false;
      (*images)[want.volume].assign(image.layers.rbegin(), image.layers.rend());
    }
  }
  return true;
}

std::optional<PodWorker::ImageLack> PodWorker::ensure_image(const ImageWant& want,
                                                            container::Image* image) {
  ImagePull& pull = *pull_of(want);
  if (pull.running) return ImageLack{};
  MonotonicTime now = context_.clock.monotonic();
  // Told once, until something else is the matter.
  auto lack = [&](std::string_view reason, std::string_view event_type,
                  std::string_view event_reason, const std::string& event,
                  const std::string& message, std::optional<MonotonicTime> retry_at) {
    if (pull.reason != reason && !event.empty()) {
      context_.events.record(want.about, event_type, event_reason, event);
    }
    pull.reason = reason;
    return ImageLack{pull.reason, message, retry_at};
  };
  const std::string name = quote(want.reference);
  Result<container::Reference> parsed = container::Reference::parse(want.reference);
  if (!parsed.ok()) {
    std::string message =
        "Failed to apply default image tag " + name + ": " + parsed.error().message();
    return lack("InvalidImageName", "Warning", "InspectFailed", message, message, {});
  }
  Result<container::Image> found = context_.images.find(want.reference);
  if (found.ok() && (want.policy != "Always" || pull.done)) {
    if (!pull.done) {
      context_.events.normal(
          want.about, "Pulled",
          "Container image " + name + " already present on machine and can be accessed by the pod");
    }
    pull.done = true;
    pull.reason.clear();
    *image = std::move(*found);
    return {};
  }
  if (want.policy == "Never") {
    std::string message = "Container image " + name + " is not present with pull policy of Never";
    return lack("ErrImageNeverPull", "Warning", "ErrImageNeverPull", message, message,
                now + kNeverRetry);
  }
  if (pull.not_before && now < *pull.not_before) {
    // The error is shown first, then the back-off.
    if (pull.reason != "ErrImagePull" && pull.reason != "ImagePullBackOff") {
      return lack("ErrImagePull", "", "", "", pull.error, now + kErrorShown);
    }
    std::string message = "Back-off pulling image " + name;
    return lack("ImagePullBackOff", "Normal", "BackOff", message,
                message + ": ErrImagePull: " + pull.error, *pull.not_before);
  }
  begin_pull(want);
  return ImageLack{};
}

void PodWorker::begin_pull(const ImageWant& want) {
  context_.events.normal(want.about, "Pulling", "Pulling image " + quote(want.reference));
  std::vector<api::ObjectPtr> secrets;
  for (json::Value item : pod_.spec()["imagePullSecrets"].items()) {
    api::ObjectPtr secret = context_.secrets.find(pod_.ns(), item["name"].as_string());
    if (secret != nullptr) secrets.push_back(std::move(secret));
  }
  pull_of(want)->running = true;
  auto credentials = credentials_for(want.reference, secrets);
  MonotonicTime begun = context_.clock.monotonic();
  context_.pulls.run(
      [self = shared_from_this(), want, credentials, begun](const std::stop_token& stop) {
        auto result = std::make_shared<Result<container::Image>>(
            self->context_.images.pull(want.reference, credentials, stop));
        Duration took = self->context_.clock.monotonic() - begun;
        self->post(
            [worker = self.get(), want, result, took] { worker->end_pull(want, *result, took); });
      });
}

void PodWorker::end_pull(const ImageWant& want, const Result<container::Image>& result,
                         Duration took) {
  ImagePull* pull = pull_of(want);
  if (pull == nullptr) return;
  Duration delay = pull->delay;
  *pull = {};
  if (result.ok()) {
    pull->done = true;
    context_.events.normal(
        want.about, "Pulled",
        fmt::format(
            "Successfully pulled image {} in {} ({} including waiting). Image size: {} bytes.",
            quote(want.reference), elapsed_text(took), elapsed_text(took), result->size_bytes));
    return;
  }
  pull->error = result.error().message();
  context_.events.warning(want.about, "Failed",
                          "Failed to pull image " + quote(want.reference) + ": " + pull->error);
  pull->delay = delay == Duration::zero() ? kPullDelayFirst : std::min(delay * 2, kPullDelayMax);
  pull->not_before = context_.clock.monotonic() + pull->delay;
}

}  // namespace wherry::agent
