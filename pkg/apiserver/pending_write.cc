#include "apiserver/pending_write.h"

namespace wherry::apiserver {

std::shared_ptr<PendingWrite> PendingWrite::take(http::Request& request) {
  auto write = std::dynamic_pointer_cast<PendingWrite>(request.turn);
  if (write != nullptr) request.turn = nullptr;
  return write;
}

void PendingWrite::settle(Result<std::vector<ObjectPtr>> done) {
  done_ = std::move(done);
  grant();
}

Result<ObjectPtr> PendingWrite::outcome() const {
  if (!granted()) {
    return Error::timeout("the disk does not answer; whether this was stored is not known yet");
  }
  if (!done_->ok()) return done_->error();
  return done_->value().front();
}

bool PendingWrite::raced() const {
  if (!granted() || done_->ok()) return false;
  const Error& error = done_->error();
  return error.is(Code::kAlreadyExists) || error.is(Code::kConflict) || error.is(Code::kNotFound);
}

}  // namespace wherry::apiserver
