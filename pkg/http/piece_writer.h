#pragma once
// PieceWriter: the answer that is being sent on a connection. The pieces stay where they are (a
// list is the stored objects' own bytes) and are gathered record by record, so that an answer of
// any size needs no buffer of its own, sent at once or to a client that reads slowly.
//
// Threads: the owner of the connection.

#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "http/message.h"

namespace wherry::http {

class Connection;

class PieceWriter {
 public:
  // The connection serves on afterwards if `keep_alive`. `held` is let go of at the end, or as soon
  // as the client does not take more.
  PieceWriter(std::vector<Piece> pieces, bool keep_alive, std::shared_ptr<const void> held)
      : pieces_(std::move(pieces)), held_(std::move(held)), keep_alive_(keep_alive) {
    for (const Piece& piece : pieces_) total_ += piece.bytes.size();
  }

  enum class State { kDone, kBlocked, kBroken };
  // Sends as far as it goes without waiting.
  State write(Connection& connection);
  // Waits for the client, but no longer than until `limit`. True when all has been sent.
  bool finish(Connection& connection, MonotonicTime limit);
  // Whether something was sent since the last call.
  bool take_progress() { return std::exchange(progressed_, false); }
  bool keep_alive() const { return keep_alive_; }
  size_t total() const { return total_; }  // Bytes.

 private:
  std::string_view next();
  void advance(size_t bytes);

  std::vector<Piece> pieces_;
  std::shared_ptr<const void> held_;
  size_t total_ = 0;
  size_t at_ = 0;
  size_t offset_ = 0;  // In the piece in front.
  bool progressed_ = false;
  bool keep_alive_;
};

}  // namespace wherry::http
