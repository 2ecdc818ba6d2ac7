#include "apiserver/flow_control.h"

#include <algorithm>
#include <array>
#include <utility>

#include "api/flow_defaults.h"
#include "api/resource.h"
#include "apiserver/encode.h"
#include "base/strings.h"

namespace wherry::apiserver {
namespace {

constexpr unsigned kObjectsPerSeat = 100;
constexpr unsigned kWidthMax = 10;

// Upstream's filter for long-running requests lets these by.
constexpr std::array<std::string_view, 5> kLongRunning = {"attach", "exec", "proxy", "log",
                                                          "portforward"};

bool passes_by(const Attributes& asked) {
  if (asked.subresource.empty()) return false;
  return std::find(kLongRunning.begin(), kLongRunning.end(), asked.subresource) !=
         kLongRunning.end();
}

uint64_t next_generation() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

void refuse(http::Response& response) {
  write_text(response, 429, "Too many requests, please try again later.\n");
  response.headers.set("Retry-After", "1");
}

}  // namespace

// Hears of both kinds, and makes the configuration anew.
class FlowControl::Follower final : public store::Watcher {
 public:
  explicit Follower(FlowControl& control) : control_(control) {}

  Result<void> follow(store::Store& store) {
    Revision revision = store.revision();
    schemas_ = TRY(store.watch(api::kFlowSchemaResource, revision, *this));
    levels_ = TRY(store.watch(api::kPriorityLevelResource, revision, *this));
    return {};
  }
  void on_events(std::span<const store::EventPtr>) override { control_.rebuild(); }

 private:
  FlowControl& control_;
  std::unique_ptr<store::Subscription> schemas_, levels_;
};

FlowControl::FlowControl(store::Store& store, const Clock& clock, unsigned seats)
    : store_(store), clock_(clock), server_seats_(seats) {}
FlowControl::~FlowControl() = default;

Result<void> FlowControl::start() {
  follower_ = std::make_unique<Follower>(*this);
  TRY(follower_->follow(store_));
  rebuild();
  return {};
}

void FlowControl::rebuild() {
  struct Level {
    ObjectPtr object;
    json::Document document;
  };
  std::vector<Level> found;
  double shares = 0;
  MutexLock lock(mutex_);
  store_.snapshot(api::kPriorityLevelResource)->scan("", "", "", [&](const ObjectPtr& object) {
    found.push_back({object, object->document()});
    shares += shares_of(found.back().document.root());
    return true;
  });
  std::map<std::string, std::shared_ptr<const FlowLevelEntry>, std::less<>> entries;
  std::map<std::string, std::shared_ptr<FlowLevel>> levels;
  auto list = std::make_shared<std::vector<std::shared_ptr<FlowLevel>>>();
  for (const Level& one : found) {
    std::string name(one.object->name());
    std::shared_ptr<FlowLevel> level;
    if (one.document.root()["spec"]["type"].as_string() == "Limited") {
      auto known = levels_.find(name);
      level = known != levels_.end() ? known->second : std::make_shared<FlowLevel>(clock_);
      levels[name] = level;
      list->push_back(level);
    }
    entries[name] = std::make_shared<const FlowLevelEntry>(
        FlowLevelEntry{name, std::string(one.object->uid()), level});
  }
  auto config = std::make_shared<FlowConfig>();
  config->levels = list;
  for (const Level& one : found) {
    auto level = levels.find(std::string(one.object->name()));
    if (level == levels.end()) continue;
    level->second->configure(parse_limits(one.document.root(), shares, server_seats_), list);
  }
  store_.snapshot(api::kFlowSchemaResource)->scan("", "", "", [&](const ObjectPtr& object) {
    json::Document document = object->document();
    auto level = entries.find(level_name(document.root()));
    if (level == entries.end()) return true;  // Dangling: as if it were not there.
    config->schemas.push_back(parse_flow_schema(*object));
    config->schemas.back().level = level->second;
    return true;
  });
  std::stable_sort(config->schemas.begin(), config->schemas.end(),
                   [](const FlowSchema& a, const FlowSchema& b) {
                     return std::tie(a.precedence, a.name) < std::tie(b.precedence, b.name);
                   });
  levels_ = std::move(levels);
  config_ = std::move(config);
  generation_.store(next_generation());
}

// The thread's own reference: shared pointers that all threads copy would be one cache line that
// all of them write.
const FlowConfig* FlowControl::config() {
  thread_local uint64_t known = 0;
  thread_local ConfigPtr mine;
  if (uint64_t now = generation_.load(std::memory_order_acquire); now != known) {
    MutexLock lock(mutex_);
    mine = config_;
    known = generation_.load();
  }
  return mine.get();
}

unsigned FlowControl::width(const http::Request& request, const Attributes& asked) const {
  bool begins_with_state =
      asked.verb == "watch" &&
      (is_true(request.query.get("sendInitialEvents")) && request.query.has("sendInitialEvents"));
  if (asked.verb != "list" && asked.verb != "deletecollection" && !begins_with_state) return 1;
  std::string resource(asked.resource);
  if (!asked.group.empty()) resource += fmt::format(".{}", asked.group);
  size_t objects = store_.snapshot(resource)->size();
  if (std::optional<uint64_t> limit = parse_uint(request.query.get("limit")); limit && *limit > 0) {
    objects = std::min<size_t>(objects, *limit);
  }
  return std::clamp(static_cast<unsigned>((objects + kObjectsPerSeat - 1) / kObjectsPerSeat), 1U,
                    kWidthMax);
}

FlowControl::Verdict FlowControl::admit(http::Request& request, http::Response& response,
                                        const Attributes& asked) {
  if (passes_by(asked)) return Verdict::kRun;
  const FlowConfig* flows = config();
  const FlowSchema* schema = flows == nullptr ? nullptr : flows->classify(asked);
  if (schema == nullptr) return Verdict::kRun;
  response.headers.set("X-Kubernetes-PF-FlowSchema-UID", schema->uid);
  response.headers.set("X-Kubernetes-PF-PriorityLevel-UID", schema->level->uid);
  FlowLevel* level = schema->level->level.get();
  if (request.turn != nullptr) {
    auto turn = std::static_pointer_cast<FlowTurn>(std::exchange(request.turn, nullptr));
    if (!turn->granted()) return refuse(response), Verdict::kRefused;
    response.hold(turn->take_seat());
    return Verdict::kRun;
  }
  if (level == nullptr) return Verdict::kRun;
  FlowLevel::Entry entry = level->enter(schema->flow(asked), width(request, asked));
  if (entry.turn != nullptr) return response.wait_for(std::move(entry.turn)), Verdict::kWait;
  if (entry.seat == nullptr) return refuse(response), Verdict::kRefused;
  response.hold(std::move(entry.seat));
  return Verdict::kRun;
}

}  // namespace wherry::apiserver
