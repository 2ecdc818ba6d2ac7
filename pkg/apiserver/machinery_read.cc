// The verbs that only read: get and list.

#include "api/conversion.h"
#include "api/status.h"
#include "apiserver/continue_token.h"
#include "apiserver/machinery.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

using api::FieldErrors;
using api::Path;

Error invalid_options(const FieldErrors& errors) {
  return errors.to_error("meta.k8s.io", "ListOptions", "");
}

// resourceVersion and resourceVersionMatch in the combinations that make sense (Kubernetes API
// concepts, "resource versions").
Result<void> check_options(const ListOptions& options) {
  FieldErrors errors;
  const std::string& match = options.resource_version_match;
  Path path("resourceVersionMatch");
  if (match.empty()) {
    if (!options.continue_token.empty() && !options.resource_version.empty() &&
        options.resource_version != "0") {
      return Error::bad_request("specifying resource version is not allowed when using continue");
    }
    return {};
  }
  if (options.resource_version.empty()) {
    errors.forbidden(path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
  }
  if (!options.continue_token.empty()) {
    errors.forbidden(path, "resourceVersionMatch is forbidden when continue is provided");
  }
  if (match != "Exact" && match != "NotOlderThan") {
    static constexpr std::string_view kKnown[] = {"Exact", "NotOlderThan", ""};
    errors.not_supported(path, match, kKnown);
  }
  if (match == "Exact" && options.resource_version == "0") {
    errors.forbidden(path, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
  }
  if (!errors.empty()) return invalid_options(errors);
  return {};
}

Error too_large_version(Revision wanted, Revision current) {
  Error error = Error::make(Code::kTimeout, "Timeout: Too large resource version: {}, current: {}",
                            wanted, current);
  error.details().causes.push_back(
      {.reason = "ResourceVersionTooLarge", .message = "Too large resource version", .field = {}});
  error.details().retry_after_seconds = 1;
  return error;
}

// The snapshot a list reads, and the position after which it goes on.
struct View {
  store::SnapshotPtr snapshot;
  std::string after_ns;
  std::string after_name;
};

Result<View> continued_view(const store::Store& store, const std::string& resource,
                            const ListOptions& options) {
  ContinueToken token = TRY(decode_continue(options.continue_token));
  View view{nullptr, token.ns, token.name};
  if (token.revision < 0) {
    view.snapshot = store.snapshot(resource);
    return view;
  }
  Result<store::SnapshotPtr> at = store.snapshot_at(resource, token.revision);
  if (!at.ok()) {
    if (!at.error().is(Code::kExpired)) return std::move(at).error();
    // The client may go on from the same key at the current state; its token travels in the
    // Status's metadata, which the encoder takes from this cause.
    Error error = api::expired(
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response "
        "to retrieve the remainder of the results. Continuing with the provided token results in "
        "an "
        "inconsistent list - objects that were created, modified, or deleted between the time the "
        "first chunk was returned and now may show up in the list.");
    error.details().uid = kInconsistentContinue + encode_continue({-1, token.ns, token.name});
    return error;
  }
  view.snapshot = std::move(at).value();
  return view;
}

Result<View> fresh_view(const store::Store& store, const std::string& resource,
                        const ListOptions& options) {
  View view;
  Revision wanted = 0;
  if (!options.resource_version.empty()) {
    std::optional<uint64_t> parsed = parse_uint(options.resource_version);
    if (!parsed || *parsed > INT64_MAX) {
      return Error::bad_request(
          "invalid resource version: resourceVersion: Invalid value: {}: strconv.ParseUint: "
          "parsing {}: "
          "invalid syntax",
          quote(options.resource_version), quote(options.resource_version));
    }
    wanted = static_cast<Revision>(*parsed);
  }
  Revision current = store.revision();
  if (wanted > current) return too_large_version(wanted, current);
  // Before 1.19, and still, a limit with a version and no match means that very version.
  bool exact = options.resource_version_match == "Exact" ||
               (options.resource_version_match.empty() && options.limit > 0 && wanted > 0);
  if (exact && wanted > 0) {
    Result<store::SnapshotPtr> at = store.snapshot_at(resource, wanted);
    if (!at.ok()) {
      if (!at.error().is(Code::kExpired)) return std::move(at).error();
      return api::expired(fmt::format("The resourceVersion for the provided list is too old."));
    }
    view.snapshot = std::move(at).value();
  } else {
    view.snapshot = store.snapshot(resource);
  }
  return view;
}

}  // namespace

Result<void> Machinery::check_version(std::string_view version) const {
  if (version.empty()) return {};
  std::optional<uint64_t> wanted = parse_uint(version);
  if (!wanted || *wanted > INT64_MAX) {
    return Error::make(
        Code::kUnknown,
        "resourceVersion: Invalid value: {}: strconv.ParseUint: parsing {}: invalid syntax",
        quote(version), quote(version));
  }
  Revision current = store_.revision();
  if (static_cast<Revision>(*wanted) <= current) return {};
  return too_large_version(static_cast<Revision>(*wanted), current);
}

Result<ObjectPtr> Machinery::get(const Target& target) const {
  std::string resource = target.resource->group_resource();
  ObjectPtr object =
      store_.get(api::stored_rules(*target.resource).group_resource(), target.ns, target.name);
  if (object == nullptr) return api::not_found(resource, target.name);
  return object;
}

Result<ListResult> Machinery::list(const Target& target, const ListOptions& options) const {
  TRY(check_options(options));
  std::string resource = api::stored_rules(*target.resource).group_resource();
  View view = options.continue_token.empty() ? TRY(fresh_view(store_, resource, options))
                                             : TRY(continued_view(store_, resource, options));
  // "Any version" is answered in one piece.
  bool whole = options.resource_version == "0" && options.continue_token.empty();
  const int64_t limit = whole ? 0 : options.limit;
  ListResult result;
  result.revision = view.snapshot->revision();
  if (options.filter.everything() && limit <= 0) {
    result.items.reserve(view.snapshot->count_after(target.ns, view.after_ns, view.after_name));
  }
  bool full = false;
  view.snapshot->scan(target.ns, view.after_ns, view.after_name, [&](const ObjectPtr& object) {
    if (!options.filter.everything() && !options.filter.matches(*target.resource, *object)) {
      return true;
    }
    result.items.push_back(object);
    full = limit > 0 && result.items.size() >= static_cast<size_t>(limit);
    return !full;
  });
  if (!full) return result;
  const api::Object& last = *result.items.back();
  size_t left = view.snapshot->count_after(target.ns, last.ns(), last.name());
  if (left == 0) return result;
  result.continue_token =
      encode_continue({result.revision, std::string(last.ns()), std::string(last.name())});
  if (options.filter.everything()) result.remaining = static_cast<int64_t>(left);
  return result;
}

}  // namespace wherry::apiserver
