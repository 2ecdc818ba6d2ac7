#include "apiserver/default_class.h"

namespace wherry::apiserver {

std::string default_class(const store::Store& store, std::string_view resource,
                          std::initializer_list<std::string_view> annotations) {
  std::string best;
  std::string best_time;  // RFC 3339 texts order as their times do.
  store.snapshot(resource)->scan("", "", "", [&](const store::ObjectPtr& object) {
    json::Document document = object->document();
    json::Value meta = document.root()["metadata"];
    bool is_default = false;
    for (std::string_view name : annotations) {
      is_default |= meta["annotations"][name].as_string() == "true";
    }
    std::string made(meta["creationTimestamp"].as_string());
    if (is_default && (best.empty() || made > best_time)) {
      best = object->name();
      best_time = made;
    }
    return true;
  });
  return best;
}

}  // namespace wherry::apiserver
