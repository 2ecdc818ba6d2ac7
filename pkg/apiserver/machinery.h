#pragma once
// Machinery: the generic verbs over the store, without HTTP. Every way into the API ends here, so
// that admission, defaulting, validation and bookkeeping are the same for kubectl and for a
// controller in this process. What is special to a kind stands in its resource row.
//
// Any thread may call anything. An object that was read is immutable; writes are optimistic: a
// change that lost a race is worked out again on the newer object, unless the caller named the
// version it saw.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/admission.h"
#include "apiserver/request.h"
#include "apiserver/service_allocator.h"
#include "base/clock.h"
#include "json/json.h"
#include "store/store.h"

namespace wherry::apiserver {

class Authoriser;
class TokenIssuer;

struct MachineryOptions {
  std::string service_cidr = "10.43.0.0/16";
  uint16_t node_port_first = 30000;
  uint16_t node_port_last = 32767;
  const TokenIssuer* tokens = nullptr;     // Null: no ServiceAccount tokens (tests).
  const Authoriser* authoriser = nullptr;  // Null: who writes may grant what they like (tests).
  AdmissionSettings admission_settings;    // Checked.
  bool admission = true;  // False: nothing is asked of it, to measure what it costs.
};

class Machinery {
 public:
  Machinery(store::Store& store, const Clock& clock, MachineryOptions options);
  Machinery(const Machinery&) = delete;

  // Reads what the allocators must know from the store. Once, before the first write.
  Result<void> start();

  Result<ObjectPtr> get(const Target& target) const;
  // The resourceVersion of a get: a number that has been reached.
  Result<void> check_version(std::string_view version) const;
  Result<ListResult> list(const Target& target, const ListOptions& options) const;

  Result<Written> create(Context& context, const Target& target, json::Value body,
                         const WriteOptions& options = {});
  // Many at once, all or nothing, in one transaction: at the start, where each transaction costs.
  // Of kinds that are given nothing to hold: no Services.
  struct New {
    Target target;  // With its name.
    json::Draft body;
  };
  Result<void> create_all(Context& context, std::span<const New> objects);
  Result<Written> update(Context& context, const Target& target, json::Value body,
                         const WriteOptions& options = {});
  Result<Written> patch(Context& context, const Target& target, PatchType type, json::Value patch,
                        const WriteOptions& options = {});
  Result<Deleted> remove(Context& context, const Target& target, const DeleteOptions& options = {});
  // The objects as they were before, in key order.
  Result<ListResult> remove_collection(Context& context, const Target& target,
                                       const ListOptions& which, const DeleteOptions& options);

  // Subresources that are posted to: binding, eviction, token. `target.name` is the object.
  Result<ObjectPtr> create_subresource(Context& context, const Target& target, json::Value body,
                                       const WriteOptions& options = {});
  // GET, PUT and PATCH of a subresource that has a form of its own (scale).
  Result<ObjectPtr> get_subresource(const Target& target) const;

  store::Store& store() const { return store_; }
  const Clock& clock() const { return clock_; }
  const TokenIssuer* tokens() const { return options_.tokens; }

 private:
  // Changes a decoded object of the live one; called again when a race was lost.
  using Change = std::function<Result<json::Draft>(json::Value live)>;
  enum class Part { kMain, kStatus, kFinalize, kPart, kWhole };
  static Part part_of(const Target& target);
  struct Update {
    Part part = Part::kMain;
    bool applied = false;   // Managed fields are in the result already.
    bool replaces = false;  // By a whole object of the caller's.
    Revision expected = 0;  // The version the caller saw; 0: any.
    int tries = 1;
    std::string asked_as;  // The subresource admission hears of, when it is not the target's.
  };

  Result<json::Draft> decode_body(Context& context, const Target& target, json::Value body,
                                  const WriteOptions& options) const;
  Result<void> mutate(const AdmissionRequest& request) const;
  Result<void> validate(const AdmissionRequest& request, Companions& companions) const;
  // With `batch` nothing is stored yet: it takes what is to be written.
  Result<Written> insert(Context& context, const Target& target, json::Draft object,
                         const WriteOptions& options, Companions* batch = nullptr);
  Result<Written> replace(Context& context, const Target& target, const Change& change,
                          const WriteOptions& options, const Update& how);
  Result<Written> replace_once(Context& context, const Target& target, const ObjectPtr& live,
                               const Change& change, const WriteOptions& options,
                               const Update& how);
  // `request` is what validating admission is asked; empty: it is not.
  Result<Written> settle(std::optional<AdmissionRequest> request, const Target& target,
                         const ObjectPtr& live, json::Draft& object, const WriteOptions& options,
                         store::Store::Done later);
  Result<Written> apply(Context& context, const Target& target, json::Value applied,
                        const WriteOptions& options);
  Result<json::Draft> patched(Context& context, const Target& target, PatchType type,
                              json::Value live, json::Value patch,
                              const WriteOptions& options) const;
  Result<json::Draft> applied_to(Context& context, const Target& target, json::Value live,
                                 json::Value applied, const WriteOptions& options) const;
  void track(Context& context, const Target& target, json::Value before, json::Node after,
             const WriteOptions& options) const;
  // `change` is of the object's Scale.
  Result<Written> write_scale(Context& context, const Target& target, const Change& change,
                              const WriteOptions& options, const Update& asked);
  Result<Written> update_scale(Context& context, const Target& target, json::Value body,
                               const WriteOptions& options);
  Result<Written> patch_scale(Context& context, const Target& target, PatchType type,
                              json::Value patch, const WriteOptions& options);

  // `marked` is set to what it left behind on the way to removing the object in a second step.
  Result<Deleted> remove_once(const Target& target, const ObjectPtr& live,
                              const DeleteOptions& options, ObjectPtr& marked);
  Result<Deleted> gone(const Target& target, const ObjectPtr& live, json::Value before,
                       const DeleteOptions& options);
  static Result<store::Write> write_of(const Target& target, json::Value value, Revision expected);
  // Stores `value` (absent: deletes) where `expected` is there now. The errors speak of the
  // resource.
  Result<ObjectPtr> commit(const Target& target, json::Value value, Revision expected);
  // Asks validating admission, and stores `request.after` with what admission adds to it. Asks
  // again when one of the additions lost a race. Where there are none, `later` may hear of it.
  Result<Written> commit_allowed(const AdmissionRequest& request, const Target& target,
                                 Revision expected, store::Store::Done later);
  // `writes` holds the companions; the object itself becomes the first. False: a companion lost a
  // race.
  Result<ObjectPtr> commit_all(const Target& target, json::Value value, Revision expected,
                               std::vector<store::Write> companions, bool& companion_raced);

  Result<ObjectPtr> bind(Context& context, const Target& target, json::Value body,
                         const WriteOptions& options);
  Result<ObjectPtr> evict(Context& context, const Target& target, json::Value body);
  // Spends the pod's disruption budget, if it has one, and notes on the pod why it goes.
  Result<void> mark_evicted(const Target& target, const DeleteOptions& options);
  Result<ObjectPtr> issue_token(Context& context, const Target& target, json::Value body,
                                const WriteOptions& options);

  const MachineryOptions options_;
  store::Store& store_;
  const Clock& clock_;
  ServiceAllocator allocator_;  // Self-synchronised.
  const std::vector<std::unique_ptr<Admission>> admissions_;
};

}  // namespace wherry::apiserver
