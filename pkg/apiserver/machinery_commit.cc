// The last steps of every write: validating admission and the store's transaction.

#include "api/conversion.h"
#include "api/status.h"
#include "apiserver/bookkeeping.h"
#include "apiserver/machinery.h"

namespace wherry::apiserver {
namespace {

// Companions change with every write of a busy namespace, so a race with another writer of theirs
// is ordinary; one that is lost this often is not.
constexpr int kCompanionTries = 16;

}  // namespace

Result<void> Machinery::mutate(const AdmissionRequest& request) const {
  for (const std::unique_ptr<Admission>& admission : admissions_) TRY(admission->mutate(request));
  return {};
}

Result<void> Machinery::validate(const AdmissionRequest& request, Companions& companions) const {
  for (const std::unique_ptr<Admission>& admission : admissions_) {
    TRY(admission->validate(request, companions));
  }
  return {};
}

Result<store::Write> Machinery::write_of(const Target& target, json::Value value,
                                         Revision expected) {
  store::Write write;
  write.resource = api::stored_rules(*target.resource).group_resource();
  write.ns = target.ns;
  write.name = target.name;
  write.expected = expected;
  if (value) write.value = TRY(api::unstamped(value));
  return write;
}

Result<ObjectPtr> Machinery::commit_all(const Target& target, json::Value value, Revision expected,
                                        std::vector<store::Write> companions,
                                        bool& companion_raced) {
  std::string resource = target.resource->group_resource();
  std::vector<store::Write> writes = std::move(companions);
  writes.insert(writes.begin(), TRY(write_of(target, value, expected)));
  const std::string stored_name = writes.front().resource;
  Result<std::vector<ObjectPtr>> done = store_.commit(std::move(writes));
  if (done.ok()) return std::move(done.value().front());
  const Error& error = done.error();
  bool ours = error.details().kind == stored_name && error.details().name == target.name;
  switch (error.code()) {
    case Code::kAlreadyExists:
    case Code::kConflict:
    case Code::kNotFound: companion_raced = !ours; break;
    default: return std::move(done).error();
  }
  if (error.is(Code::kAlreadyExists)) return api::already_exists(resource, target.name);
  if (error.is(Code::kNotFound)) return api::not_found(resource, target.name);
  return api::modified(resource, target.name);
}

Result<ObjectPtr> Machinery::commit(const Target& target, json::Value value, Revision expected) {
  bool raced = false;
  return commit_all(target, value, expected, {}, raced);
}

Result<Written> Machinery::commit_allowed(const AdmissionRequest& request, const Target& target,
                                          Revision expected, store::Store::Done later) {
  size_t warnings = request.warnings.size();
  for (int attempt = 1;; ++attempt) {
    request.warnings.resize(warnings);
    Companions companions;
    TRY(validate(request, companions));
    if (later != nullptr && companions.writes.empty()) {
      std::vector<store::Write> writes;
      writes.push_back(TRY(write_of(target, request.after, expected)));
      store_.commit_later(std::move(writes), std::move(later));
      return Written{.pending = true};
    }
    bool raced = false;
    Result<ObjectPtr> stored =
        commit_all(target, request.after, expected, std::move(companions.writes), raced);
    if (raced && attempt < kCompanionTries) continue;
    return Written{TRY(std::move(stored))};
  }
}

// Writes nothing when nothing changed, and removes what only its finalizers had kept.
Result<Written> Machinery::settle(std::optional<AdmissionRequest> request, const Target& target,
                                  const ObjectPtr& live, json::Draft& object,
                                  const WriteOptions& options, store::Store::Done later) {
  json::Document before = live->document();
  json::Document after = object.freeze();
  bool same = json::equal(before.root(), after.root());
  bool going = ready_to_go(before.root(), after.root());
  if (request) request->after = after.root();
  if (!same && !going && !options.dry_run && request) {
    return commit_allowed(*request, target, live->revision(), std::move(later));
  }
  if (request) {
    Companions none;  // Nothing is stored that they could go with.
    TRY(validate(*request, none));
  }
  if (same) return Written{live, false};
  if (options.dry_run) return Written{TRY(loose_object(object, live->revision())), false};
  if (!going) return Written{TRY(commit(target, after.root(), live->revision())), false};
  TRY(commit(target, json::Value(), live->revision()));
  allocator_.release(*target.resource, before.root());
  return Written{TRY(loose_object(object, live->revision())), false};
}

}  // namespace wherry::apiserver
