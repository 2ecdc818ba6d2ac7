#pragma once
// Classes (of storage, of ingress) of which one is the default, by annotation. Any thread.

#include <initializer_list>
#include <string>
#include <string_view>

#include "store/store.h"

namespace wherry::apiserver {

// The name of the default among `resource`: of several the newest, then the first by name; empty
// when there is none.
std::string default_class(const store::Store& store, std::string_view resource,
                          std::initializer_list<std::string_view> annotations);

}  // namespace wherry::apiserver
