#include "proxy/service_table.h"

#include <algorithm>

#include "network/conntrack.h"
#include "network/host_rules.h"

namespace wherry::proxy {

using network::NftTransaction;

void ServiceTable::change(const Frontend& frontend, const Target* before, const Target* after) {
  std::vector<Change> changes = plan(frontend, before, after, options_.services);
  if (changes.empty()) return;
  pending_.insert(pending_.end(), changes.begin(), changes.end());
  if (frontend.protocol == Protocol::kUdp) udp_changed_.insert(frontend);
}

void ServiceTable::release(const Frontend& frontend, std::set<ServiceKey>& again) {
  auto at = programmed_.find(frontend);
  change(frontend, &at->second.target, nullptr);
  programmed_.erase(at);
  if (auto losers = refused_.extract(frontend)) again.merge(losers.mapped());
}

std::set<ServiceKey> ServiceTable::want(const Wanted& services) {
  std::set<ServiceKey> again;
  // What is given up goes first, so that another Service of the same batch can take it.
  for (const auto& [key, entries] : services) {
    auto held = held_.find(key);
    if (held == held_.end()) continue;
    std::set<Frontend> kept;
    for (const Entry& entry : entries) kept.insert(entry.frontend);
    for (auto frontend = held->second.begin(); frontend != held->second.end();) {
      if (kept.contains(*frontend)) {
        ++frontend;
        continue;
      }
      release(*frontend, again);
      frontend = held->second.erase(frontend);
    }
    if (held->second.empty()) held_.erase(held);
  }
  for (const auto& [key, entries] : services) {
    for (const Entry& entry : entries) {
      auto [at, fresh] = programmed_.try_emplace(entry.frontend, Owned{key, entry.target});
      if (!fresh && at->second.owner != key) {
        refused_[entry.frontend].insert(key);
        continue;
      }
      change(entry.frontend, fresh ? nullptr : &at->second.target, &entry.target);
      at->second.target = entry.target;
      held_[key].insert(entry.frontend);
    }
  }
  return again;
}

Result<void> ServiceTable::program() {
  NftTransaction transaction{std::string(network::kServiceTable)};
  std::set<PickChain> fresh;
  for (const Change& change : pending_) {
    if (change.set != Change::Set::kServices || !change.add || chains_.contains(change.chain))
      continue;
    if (fresh.insert(change.chain).second) put_chain(transaction, change.chain, options_);
  }
  // All removals before all additions: one frontend may have gone from one Service to another.
  for (bool add : {false, true}) {
    for (const Change& change : pending_) {
      if (change.add == add) put_change(transaction, change);
    }
  }
  pending_.clear();
  TRY(transaction.commit(nft_, "nftables table of Services"));
  chains_.merge(fresh);
  return {};
}

Result<void> ServiceTable::rebuild() {
  NftTransaction transaction{std::string(network::kServiceTable)};
  put_table(transaction, options_);
  std::vector<Change> all;
  std::set<PickChain> chains;
  for (const auto& [frontend, owned] : programmed_) {
    for (Change& change : plan(frontend, nullptr, &owned.target, options_.services)) {
      if (change.set == Change::Set::kServices && chains.insert(change.chain).second) {
        put_chain(transaction, change.chain, options_);
      }
      all.push_back(change);
    }
    if (frontend.protocol == Protocol::kUdp) udp_changed_.insert(frontend);
  }
  // Set by set, so that elements share messages.
  std::stable_sort(all.begin(), all.end(),
                   [](const Change& a, const Change& b) { return a.set < b.set; });
  for (const Change& change : all) put_change(transaction, change);
  pending_.clear();
  TRY(transaction.commit(nft_, "nftables table of Services"));
  chains_ = std::move(chains);
  return {};
}

Result<void> ServiceTable::drop_stale_flows() {
  if (udp_changed_.empty()) return {};
  std::set<Frontend> changed;
  changed.swap(udp_changed_);
  auto stale = [&](const network::Flow& flow) {
    if (flow.protocol != Protocol::kUdp) return false;
    bool redirected = flow.server != flow.destination || flow.server_port != flow.destination_port;
    Frontend frontend{flow.destination, Protocol::kUdp, flow.destination_port};
    if (!changed.contains(frontend)) {
      frontend.address = {};
      if (!changed.contains(frontend)) return false;
      // The port of a far-away server may be the same number.
      if (!redirected && flow.destination != options_.node) return false;
    }
    auto at = programmed_.find(frontend);
    if (at == programmed_.end()) return redirected;
    const auto& backends = at->second.target.backends;
    Backend server{flow.server, flow.server_port};
    if (backends.empty()) return redirected;
    return !std::binary_search(backends.begin(), backends.end(), server);
  };
  TRY(network::delete_flows(stale));
  return {};
}

}  // namespace wherry::proxy
