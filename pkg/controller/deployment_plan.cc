#include "controller/deployment_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/strings.h"

namespace wherry::controller {

int64_t scaled_value(json::Value value, int64_t total, bool round_up) {
  if (value.is_int()) return value.as_int();
  std::string_view text = value.as_string();
  if (!text.ends_with('%')) return 0;
  text.remove_suffix(1);
  int64_t product = parse_int(text).value_or(0) * total;
  return round_up ? (product + 99) / 100 : product / 100;
}

Rolling rolling_of(json::Value spec) {
  Rolling out;
  out.replicas = spec["replicas"].as_int(1);
  out.recreate = spec["strategy"]["type"].as_string() == "Recreate";
  if (out.recreate) return out;
  json::Value limits = spec["strategy"]["rollingUpdate"];
  out.max_surge = scaled_value(limits["maxSurge"], out.replicas, true);
  out.max_unavailable = scaled_value(limits["maxUnavailable"], out.replicas, false);
  if (out.max_surge == 0 && out.max_unavailable == 0) out.max_unavailable = 1;
  out.max_unavailable = std::min(out.max_unavailable, out.replicas);
  return out;
}

int64_t new_set_size(const Rolling& rolling, int64_t new_replicas, int64_t current) {
  if (rolling.recreate) return rolling.replicas;
  int64_t most = rolling.replicas + rolling.max_surge;
  if (current >= most) return new_replicas;
  return new_replicas + std::min(most - current, rolling.replicas - new_replicas);
}

std::vector<int64_t> old_set_sizes(const Rolling& rolling, const std::vector<SetSize>& old,
                                   const SetSize& fresh) {
  std::vector<int64_t> sizes;
  for (const SetSize& set : old) sizes.push_back(set.replicas);
  int64_t all = std::accumulate(sizes.begin(), sizes.end(), fresh.replicas);
  int64_t least = rolling.replicas - rolling.max_unavailable;
  int64_t fresh_unavailable = fresh.replicas - fresh.available;
  int64_t may_go = all - least - fresh_unavailable;
  if (may_go <= 0) return sizes;

  std::vector<size_t> order(old.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&old](size_t a, size_t b) { return old[a].created < old[b].created; });
  // Pods that serve no one go first.
  int64_t cleaned = 0;
  for (size_t i : order) {
    int64_t idle = std::max<int64_t>(0, sizes[i] - old[i].available);
    int64_t step = std::min(idle, may_go - cleaned);
    sizes[i] -= step;
    cleaned += step;
  }
  // Then pods that serve, as long as enough are left.
  int64_t available = fresh.available;
  for (const SetSize& set : old) available += set.available;
  int64_t spare = available - least;
  for (size_t i : order) {
    if (spare <= 0) break;
    int64_t step = std::min(sizes[i], spare);
    sizes[i] -= step;
    spare -= step;
  }
  return sizes;
}

std::vector<int64_t> proportional_sizes(const Rolling& rolling, const std::vector<SetSize>& sets) {
  std::vector<int64_t> sizes;
  for (const SetSize& set : sets) sizes.push_back(set.replicas);
  int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  int64_t allowed =
      rolling.replicas > 0 ? rolling.replicas + (rolling.recreate ? 0 : rolling.max_surge) : 0;
  int64_t to_add = allowed - total;
  if (to_add == 0) return sizes;

  std::vector<size_t> order(sets.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (sets[a].replicas != sets[b].replicas) return sets[a].replicas > sets[b].replicas;
    return to_add > 0 ? sets[a].created > sets[b].created : sets[a].created < sets[b].created;
  });
  int64_t added = 0;
  for (size_t i : order) {
    if (sets[i].replicas == 0) continue;
    int64_t then = sets[i].max_replicas_then > 0 ? sets[i].max_replicas_then : rolling.replicas;
    double exact = static_cast<double>(sets[i].replicas) * static_cast<double>(allowed) /
                   static_cast<double>(then);
    int64_t share = static_cast<int64_t>(std::round(exact)) - sets[i].replicas;
    if (rolling.replicas == 0) share = -sets[i].replicas;
    int64_t left = to_add - added;
    share = to_add > 0 ? std::clamp<int64_t>(share, 0, left) : std::clamp<int64_t>(share, left, 0);
    sizes[i] += share;
    added += share;
  }
  if (!order.empty() && added != to_add) {
    sizes[order[0]] = std::max<int64_t>(0, sizes[order[0]] + to_add - added);
  }
  return sizes;
}

}  // namespace wherry::controller
