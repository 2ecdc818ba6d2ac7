#pragma once
// metadata.managedFields as a value: who holds which fields since when. Pure.

#include <string>
#include <vector>

#include "api/field_set.h"
#include "base/clock.h"
#include "json/json.h"

namespace wherry::api {

struct Manager {
  std::string name;
  std::string operation;  // "Apply" or "Update".
  std::string api_version;
  std::string subresource;
  std::string time;  // RFC 3339; empty when never stamped.
  FieldSet fields;

  bool applies() const { return operation == "Apply"; }
  // Two entries of the same holder; an applier is itself in every version.
  bool same_holder(const Manager& other) const;
  // `"kubectl" with subresource "status" using apps/v1`, as conflicts name it.
  std::string text() const;
};

class ManagedFields {
 public:
  static ManagedFields parse(json::Value entries);
  // True for the one form with which clients ask to forget everything: a single empty entry.
  static bool is_reset(json::Value entries);

  std::vector<Manager>& managers() { return managers_; }
  const std::vector<Manager>& managers() const { return managers_; }
  bool empty() const { return managers_.empty(); }
  Manager* find(const Manager& holder);

  // Takes out what the server fills in itself (name, uid, ...) and entries without fields; merges
  // the oldest updates when there are more than kUpdatesMax.
  void tidy();
  // Replaces metadata.managedFields of `meta`, in upstream's order.
  void write(json::Node meta) const;

 private:
  static constexpr size_t kUpdatesMax = 10;
  void merge_oldest();
  std::vector<Manager> managers_;
};

}  // namespace wherry::api
