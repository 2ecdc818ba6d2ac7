#pragma once
// ServiceAllocator: hands out ClusterIPs from the Service range and node ports. What is taken is
// known from the Services in the store, read once at start, and kept here afterwards. The verbs ask
// it about objects of every kind; those that are no Services hold nothing.
//
// Any thread. A Reservation gives back what it took unless keep() is called.

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/resource.h"
#include "base/mutex.h"
#include "base/result.h"
#include "json/json.h"
#include "store/store.h"

namespace wherry::apiserver {

class ServiceAllocator {
 public:
  class Reservation {
   public:
    Reservation() = default;
    explicit Reservation(ServiceAllocator* owner) : owner_(owner) {}
    Reservation(Reservation&& other) noexcept;
    Reservation& operator=(Reservation&& other) noexcept;
    ~Reservation() { give_back(); }

    // The write is durable: what was taken stays taken, and what the old object had is free again.
    void keep();
    bool holds_nothing() const { return owner_ == nullptr; }

   private:
    friend class ServiceAllocator;
    void give_back();

    ServiceAllocator* owner_ = nullptr;
    std::vector<uint32_t> addresses_;  // Taken by this write.
    std::vector<uint32_t> ports_;
    std::vector<uint32_t> freed_addresses_;  // Held by the old object alone.
    std::vector<uint32_t> freed_ports_;
  };

  // `cidr` is IPv4, as "10.43.0.0/16".
  ServiceAllocator(std::string_view cidr, uint16_t port_first, uint16_t port_last);

  Result<void> load(const store::Store& store);

  // A trial takes nothing, and does not ask whether what is wanted is taken.
  enum class Use : uint8_t { kReal, kTrial };

  // Fills clusterIP, clusterIPs, ipFamilies and nodePort of `after` where they are wanted and
  // missing. kInvalid, as upstream words it, for what is taken or out of range. `before` is absent
  // on create.
  Result<Reservation> reserve(const api::Resource& row, json::Value before, json::Node after,
                              Use use) EXCLUDES(mutex_);
  // A deleted object's.
  void release(const api::Resource& row, json::Value object) EXCLUDES(mutex_);

 private:
  struct Wants {
    std::vector<uint32_t> addresses;
    std::vector<uint32_t> ports;
  };
  static Wants holdings(json::Value service);
  bool serves(const api::Resource& row) const { return &row == &row_; }
  Result<uint32_t> next_address() REQUIRES(mutex_);
  Result<uint32_t> next_port(const std::set<uint32_t>& also_taken) REQUIRES(mutex_);

  // What a wanted address cannot be had for; empty: it can.
  std::string address_problem(uint32_t address, std::string_view shown, Use use) const
      REQUIRES(mutex_);
  Result<void> reserve_address(json::Value before, json::Node after, Use use,
                               Reservation& reservation) REQUIRES(mutex_);
  Result<void> reserve_ports(json::Value before, json::Node after, Use use,
                             Reservation& reservation) REQUIRES(mutex_);

  const api::Resource& row_;
  std::string cidr_;
  uint32_t first_ = 0;  // Of the range, host byte order; the network address itself.
  uint32_t count_ = 0;
  uint16_t port_first_;
  uint16_t port_last_;

  Mutex mutex_;
  std::set<uint32_t> addresses_ GUARDED_BY(mutex_);
  std::set<uint32_t> ports_ GUARDED_BY(mutex_);
};

}  // namespace wherry::apiserver
