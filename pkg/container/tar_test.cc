#include "container/tar.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

namespace wherry::container {
namespace {

TarEntry entry_of(TarType type, std::string name) {
  TarEntry entry;
  entry.type = type;
  entry.name = std::move(name);
  entry.mode = 0644;
  return entry;
}

std::string gzip(const std::string& plain) {
  z_stream stream{};
  CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(plain.size() + 1024, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& plain) {
  std::string out(ZSTD_compressBound(plain.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3));
  return out;
}

Result<std::string> inflated(const std::string& text) {
  std::unique_ptr<ByteSource> source = make_text_source(text);
  std::unique_ptr<ByteSource> plain = TRY(inflate(*source));
  std::string out;
  char buffer[777];
  while (true) {
    size_t count = TRY(plain->read(buffer, sizeof buffer));
    if (count == 0) return out;
    out.append(buffer, count);
  }
}

std::string varied_text() {
  std::string text;
  for (int i = 0; i < 40000; ++i) text += std::to_string(i * 7919 % 1000) + " ";
  return text;
}

TEST(Inflate, KnowsTheFormatByItsFirstBytes) {
  std::string text = varied_text();
  EXPECT_EQ(inflated(text).value(), text);
  EXPECT_EQ(inflated(gzip(text)).value(), text);
  EXPECT_EQ(inflated(gzip(text) + gzip("second member")).value(), text + "second member");
  EXPECT_EQ(inflated(zstd(text)).value(), text);
  EXPECT_EQ(inflated(zstd(text) + zstd("second frame")).value(), text + "second frame");
  EXPECT_EQ(inflated("").value(), "");
  EXPECT_EQ(inflated("abc").value(), "abc");
}

TEST(Inflate, TruncationAndDamageAreErrors) {
  std::string text = varied_text();
  for (const std::string& packed : {gzip(text), zstd(text)}) {
    Result<std::string> cut = inflated(packed.substr(0, packed.size() / 2));
    ASSERT_FALSE(cut.ok());
    EXPECT_NE(cut.error().message().find("truncated"), std::string::npos);
  }
  std::string damaged = gzip(text);
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
  damaged[damaged.size() / 2 + 1] = static_cast<char>(damaged[damaged.size() / 2 + 1] ^ 0x55);
  EXPECT_FALSE(inflated(damaged).ok());
  EXPECT_FALSE(inflated("BZh91AY").ok());
}

TEST(Tar, ReadsWhatWasWritten) {
  std::string archive;
  append_tar(archive, entry_of(TarType::kDirectory, "d/"), "");
  TarEntry file = entry_of(TarType::kFile, "d/" + std::string(200, 'n'));
  file.uid = 1000;
  file.mtime_seconds = 1700000000;
  file.xattrs["user.note"] = "value with = and \n";
  append_tar(archive, file, std::string(1000, 'c'));
  TarEntry link = entry_of(TarType::kSymlink, "l");
  link.link = std::string(150, 't');
  append_tar(archive, link, "");
  finish_tar(archive);

  std::unique_ptr<ByteSource> source = make_text_source(archive);
  TarReader reader(*source);
  std::optional<TarEntry> entry = reader.next().value();
  EXPECT_EQ(entry->type, TarType::kDirectory);
  entry = reader.next().value();
  EXPECT_EQ(entry->name, file.name);
  EXPECT_EQ(entry->uid, 1000u);
  EXPECT_EQ(entry->mtime_seconds, 1700000000);
  EXPECT_EQ(entry->xattrs, file.xattrs);
  char head[10];
  EXPECT_EQ(reader.read(head, 10).value(), 10u);  // The rest is skipped.
  entry = reader.next().value();
  EXPECT_EQ(entry->type, TarType::kSymlink);
  EXPECT_EQ(entry->link, link.link);
  EXPECT_FALSE(reader.next().value().has_value());
}

TEST(Tar, DamageIsAnError) {
  std::string archive;
  append_tar(archive, entry_of(TarType::kFile, "a"), std::string(600, 'c'));
  std::string broken = archive;
  broken[3] ^= 1;
  auto first = [](const std::string& text) {
    std::unique_ptr<ByteSource> source = make_text_source(text);
    TarReader reader(*source);
    return reader.next().ok() && reader.read_all(1 << 20).ok() && reader.next().ok();
  };
  EXPECT_TRUE(first(archive));
  EXPECT_FALSE(first(broken));
  EXPECT_FALSE(first(archive.substr(0, 300)));
  EXPECT_FALSE(first(archive.substr(0, 800)));
  std::string pax;
  append_tar(pax, entry_of(TarType::kFile, std::string(150, 'x')), "");
  pax[512] = '9';  // A record that claims to be longer than its header.
  pax[513] = '9';
  EXPECT_FALSE(first(pax));
}

}  // namespace
}  // namespace wherry::container
