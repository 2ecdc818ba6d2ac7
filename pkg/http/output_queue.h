#pragma once
// OutputQueue: bytes that wait to be written to a non-blocking descriptor. One thread.

#include <string>
#include <string_view>

namespace wherry::http {

class OutputQueue {
 public:
  void push(std::string_view bytes) { bytes_.append(bytes); }
  bool empty() const { return sent_ == bytes_.size(); }
  size_t size() const { return bytes_.size() - sent_; }
  std::string_view front() const { return std::string_view(bytes_).substr(sent_); }
  void pop(size_t count) {
    sent_ += count;
    if (empty()) {
      bytes_.clear();
      sent_ = 0;
      if (bytes_.capacity() > kKeepBytesMax) bytes_.shrink_to_fit();
    } else if (sent_ > kKeepBytesMax) {
      bytes_.erase(0, sent_);
      sent_ = 0;
    }
  }

 private:
  static constexpr size_t kKeepBytesMax = 256 << 10;
  std::string bytes_;
  size_t sent_ = 0;
};

}  // namespace wherry::http
