#pragma once
// Named threads. The owner keeps the std::jthread, which asks to stop and joins when it is
// destroyed.

#include <pthread.h>

#include <string>
#include <thread>
#include <utility>

namespace wherry {

// Runs body(stop_token) on a new thread whose name, cut to 15 characters, shows in `ps -T`.
template <typename Body>
std::jthread start_thread(std::string name, Body body) {
  return std::jthread(
      [name = std::move(name), body = std::move(body)](std::stop_token stop) mutable {
        pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
        body(std::move(stop));
      });
}

}  // namespace wherry
