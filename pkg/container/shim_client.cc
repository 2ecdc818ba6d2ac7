#include "container/shim_client.h"

#include "base/strings.h"
#include "os/unix_socket.h"

namespace wherry::container {

int64_t ShimAnswer::number(size_t index) const {
  return index < words.size() ? parse_int(words[index]).value_or(0) : 0;
}

Result<ShimCall> ShimCall::open(const std::string& socket_path,
                                const std::vector<std::string>& words,
                                const std::vector<int>& fds) {
  os::Fd connection = TRY(os::connect_unix(socket_path, os::SocketKind::kSeqpacket));
  std::string text;
  for (const std::string& word : words) {
    text += word;
    text += '\0';
  }
  TRY(os::send_message(connection.get(), text, fds));
  return ShimCall(std::move(connection));
}

Result<ShimAnswer> receive_answer(int connection, std::chrono::milliseconds limit) {
  os::Message message = TRY(os::receive_message(connection, limit));
  if (message.data.empty()) return Error::unavailable("the pod's shim has gone");
  ShimAnswer answer;
  if (message.data.back() == '\0') message.data.pop_back();
  for (std::string_view word : split(message.data, '\0')) answer.words.emplace_back(word);
  answer.fds = std::move(message.fds);
  return answer;
}

Result<ShimAnswer> ShimCall::receive(std::chrono::milliseconds limit) {
  return receive_answer(connection_.get(), limit);
}

Result<ShimAnswer> ask_shim(const std::string& socket_path, const std::vector<std::string>& words,
                            std::chrono::milliseconds limit) {
  ShimCall call = TRY(ShimCall::open(socket_path, words));
  return call.receive(limit);
}

}  // namespace wherry::container
