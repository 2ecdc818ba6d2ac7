#include "http/gzip_pieces.h"

#include <gtest/gtest.h>

#include <vector>

#include "http/message.h"

namespace wherry::http {
namespace {

std::string whole(const std::vector<DeflatedPiece>& pieces) {
  GzipFrame frame;
  std::string out(GzipFrame::head());
  for (const DeflatedPiece& piece : pieces) {
    frame.add(piece);
    out += piece.bytes;
  }
  return out + frame.tail();
}

TEST(GzipPieces, AreOneMember) {
  std::string out = whole({deflate_piece("one, "), deflate_piece(""), deflate_piece("two, "),
                           deflate_piece(std::string(100'000, 'x'))});
  EXPECT_EQ(gunzip(out, 1 << 20).value(), "one, two, " + std::string(100'000, 'x'));
}

TEST(GzipPieces, OfNothingIsEmpty) { EXPECT_EQ(gunzip(whole({}), 10).value(), ""); }

TEST(GzipPieces, CompressAgainstWhatStandsBefore) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "a line of its own, number " + std::to_string(i * i) + "\n";
  DeflatedPiece alone = deflate_piece(text);
  DeflatedPiece again = deflate_piece(text, text);
  EXPECT_LT(again.bytes.size(), alone.bytes.size() / 5);
  EXPECT_EQ(gunzip(whole({alone, again, again}), 1 << 20).value(), text + text + text);
}

TEST(GzipPieces, OnlyTheEndOfALongTextBeforeCounts) {
  std::string before;
  for (int i = 0; before.size() < 100'000; ++i) before += std::to_string(i * 7919) + " ";
  std::string text = before.substr(before.size() - 3000) + before.substr(0, 3000);
  std::string out = whole({deflate_piece(before), deflate_piece(text, before)});
  EXPECT_EQ(gunzip(out, 1 << 20).value(), before + text);
}

TEST(GzipPieces, AWrongOrderDoesNotPassTheSum) {
  DeflatedPiece one = deflate_piece("one"), two = deflate_piece("two");
  GzipFrame frame;
  frame.add(one);
  frame.add(two);
  std::string out = std::string(GzipFrame::head()) + two.bytes + one.bytes + frame.tail();
  EXPECT_FALSE(gunzip(out, 100).ok());
}

}  // namespace
}  // namespace wherry::http
