#include "container/tar.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"

namespace wherry::container {
namespace {

constexpr size_t kBlock = 512;
constexpr uint64_t kHeaderBytesMax = 1 << 20;  // Of one pax or long-name record.

struct Field {
  size_t offset;
  size_t size;
};
// POSIX.1-2017 pax, "ustar Interchange Format".
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kUid{108, 8};
constexpr Field kGid{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kMtime{136, 12};
constexpr Field kChecksum{148, 8};
constexpr size_t kTypeOffset = 156;
constexpr Field kLink{157, 100};
constexpr Field kMagic{257, 6};
constexpr Field kMajor{329, 8};
constexpr Field kMinor{337, 8};
constexpr Field kPrefix{345, 155};

std::string_view raw(const char* header, Field field) {
  return {header + field.offset, field.size};
}

std::string text(const char* header, Field field) {
  std::string_view value = raw(header, field);
  return std::string(value.substr(0, value.find('\0')));
}

// Octal digits, or (GNU) a big-endian number behind a set high bit.
std::optional<int64_t> number(const char* header, Field field) {
  std::string_view value = raw(header, field);
  auto first = static_cast<unsigned char>(value[0]);
  if ((first & 0x80) != 0) {
    bool negative = (first & 0x40) != 0;
    uint64_t out = negative ? ~uint64_t{0} : 0;
    for (size_t i = 0; i < value.size(); ++i) {
      auto byte = static_cast<unsigned char>(value[i]);
      if (i == 0) byte = negative ? byte : byte & 0x7f;
      out = out << 8 | byte;
    }
    return static_cast<int64_t>(out);
  }
  size_t at = value.find_first_not_of(' ');
  if (at == std::string_view::npos) return 0;
  int64_t out = 0;
  for (; at < value.size() && value[at] != '\0' && value[at] != ' '; ++at) {
    if (value[at] < '0' || value[at] > '7') return std::nullopt;
    out = out * 8 + (value[at] - '0');
  }
  return out;
}

bool checksum_fits(const char* header) {
  int64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    bool blank = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    sum += blank ? ' ' : static_cast<unsigned char>(header[i]);
  }
  auto stated = number(header, kChecksum);
  return stated && *stated == sum;
}

TarType type_of(char flag) {
  switch (flag) {
    case '0':
    case '\0':
    case '7': return TarType::kFile;
    case '1': return TarType::kHardLink;
    case '2': return TarType::kSymlink;
    case '3': return TarType::kCharDevice;
    case '4': return TarType::kBlockDevice;
    case '5': return TarType::kDirectory;
    case '6': return TarType::kFifo;
    default: return TarType::kOther;
  }
}

Error damaged(std::string_view what) { return Error::invalid("archive/tar: {}", what); }

void apply_pax(const std::map<std::string, std::string>& records, TarEntry& entry) {
  constexpr std::string_view kXattr = "SCHILY.xattr.";
  for (const auto& [key, value] : records) {
    if (key == "path") {
      entry.name = value;
    } else if (key == "linkpath") {
      entry.link = value;
    } else if (key == "size") {
      entry.size = parse_uint(value).value_or(entry.size);
    } else if (key == "uid") {
      entry.uid = static_cast<uint32_t>(parse_uint(value).value_or(entry.uid));
    } else if (key == "gid") {
      entry.gid = static_cast<uint32_t>(parse_uint(value).value_or(entry.gid));
    } else if (key == "mtime") {
      std::string_view seconds = std::string_view(value).substr(0, value.find('.'));
      entry.mtime_seconds = parse_int(seconds).value_or(entry.mtime_seconds);
      if (seconds.size() < value.size()) {
        std::string fraction = value.substr(seconds.size() + 1).substr(0, 9);
        fraction.resize(9, '0');
        entry.mtime_nanoseconds = parse_int(fraction).value_or(0);
      }
    } else if (key.starts_with(kXattr)) {
      entry.xattrs[key.substr(kXattr.size())] = value;
    }
  }
}

}  // namespace

Result<void> TarReader::skip() {
  char buffer[16384];
  while (left_ + padding_ > 0) {
    size_t want = static_cast<size_t>(std::min<uint64_t>(left_ + padding_, sizeof buffer));
    size_t count = TRY(source_.read(buffer, want));
    if (count == 0) return damaged("unexpected EOF");
    uint64_t content = std::min<uint64_t>(left_, count);
    left_ -= content;
    padding_ -= count - content;
  }
  return {};
}

Result<std::string> TarReader::read_block(uint64_t size) {
  if (size > kHeaderBytesMax) return damaged("an extended header is too long");
  std::string out(static_cast<size_t>(size), '\0');
  if (size > 0 && !TRY(read_exactly(source_, out.data(), out.size())))
    return damaged("unexpected EOF");
  left_ = 0;
  padding_ = (kBlock - size % kBlock) % kBlock;
  TRY(skip());
  return out;
}

// Records "LENGTH KEY=VALUE\n", LENGTH counting itself.
Result<void> TarReader::read_pax(uint64_t size, std::map<std::string, std::string>& into) {
  std::string block = TRY(read_block(size));
  std::string_view rest = block;
  while (!rest.empty() && rest[0] != '\0') {
    size_t space = rest.find(' ');
    auto length =
        space == std::string_view::npos ? std::nullopt : parse_uint(rest.substr(0, space));
    if (!length || *length <= space + 2 || *length > rest.size() || rest[*length - 1] != '\n') {
      return damaged("a pax header is malformed");
    }
    std::string_view record = rest.substr(space + 1, *length - space - 2);
    size_t equals = record.find('=');
    if (equals == std::string_view::npos) return damaged("a pax header is malformed");
    into[std::string(record.substr(0, equals))] = record.substr(equals + 1);
    rest.remove_prefix(*length);
  }
  return {};
}

Result<std::optional<TarEntry>> TarReader::next() {
  TRY(skip());
  std::map<std::string, std::string> records = global_;
  std::string long_name;
  std::string long_link;
  while (true) {
    char header[kBlock];
    if (!TRY(read_exactly(source_, header, kBlock))) return std::optional<TarEntry>();
    if (std::all_of(header, header + kBlock, [](char c) { return c == '\0'; })) {
      return std::optional<TarEntry>();
    }
    if (!checksum_fits(header)) return damaged("invalid tar header");
    auto size = number(header, kSize);
    auto mode = number(header, kMode);
    auto uid = number(header, kUid);
    auto gid = number(header, kGid);
    if (!size || *size < 0 || !mode || !uid || !gid) return damaged("invalid tar header");
    char flag = header[kTypeOffset];
    auto bytes = static_cast<uint64_t>(*size);
    if (flag == 'x') {
      TRY(read_pax(bytes, records));
      continue;
    }
    if (flag == 'g') {
      TRY(read_pax(bytes, global_));
      continue;
    }
    if (flag == 'L' || flag == 'K') {
      std::string value = TRY(read_block(bytes));
      value.resize(std::strlen(value.c_str()));
      (flag == 'L' ? long_name : long_link) = value;
      continue;
    }
    if (flag == 'S') return damaged("sparse files are not supported");

    TarEntry entry;
    entry.type = type_of(flag);
    entry.name = text(header, kName);
    bool ustar = raw(header, kMagic).starts_with("ustar") && header[kMagic.offset + 5] == '\0';
    std::string prefix = ustar ? text(header, kPrefix) : "";
    if (!prefix.empty()) entry.name = prefix + "/" + entry.name;
    entry.link = text(header, kLink);
    if (!long_name.empty()) entry.name = long_name;
    if (!long_link.empty()) entry.link = long_link;
    entry.mode = static_cast<unsigned>(*mode) & 07777;
    entry.uid = static_cast<uint32_t>(*uid);
    entry.gid = static_cast<uint32_t>(*gid);
    entry.size = bytes;
    entry.mtime_seconds = number(header, kMtime).value_or(0);
    entry.major = static_cast<unsigned>(number(header, kMajor).value_or(0));
    entry.minor = static_cast<unsigned>(number(header, kMinor).value_or(0));
    apply_pax(records, entry);
    // Old archives mark folders by the name alone.
    if (entry.type == TarType::kFile && entry.name.ends_with('/')) entry.type = TarType::kDirectory;
    bool has_content = entry.type == TarType::kFile || entry.type == TarType::kOther;
    left_ = has_content ? entry.size : 0;
    padding_ = (kBlock - left_ % kBlock) % kBlock;
    return std::optional<TarEntry>(std::move(entry));
  }
}

Result<size_t> TarReader::read(char* to, size_t size) {
  if (left_ == 0) return size_t{0};
  size_t count = TRY(source_.read(to, static_cast<size_t>(std::min<uint64_t>(size, left_))));
  if (count == 0) return damaged("unexpected EOF");
  left_ -= count;
  return count;
}

Result<std::string> TarReader::read_all(size_t bytes_max) {
  if (left_ > bytes_max) return damaged("a file is too long");
  std::string out(static_cast<size_t>(left_), '\0');
  size_t have = 0;
  while (have < out.size()) have += TRY(read(out.data() + have, out.size() - have));
  return out;
}

void append_tar(std::string& archive, const TarEntry& entry, std::string_view content) {
  auto header_of = [](char flag, std::string_view name, std::string_view link, unsigned mode,
                      uint64_t size, const TarEntry& from) {
    std::string header(kBlock, '\0');
    auto put = [&](Field field, std::string_view value) {
      std::memcpy(header.data() + field.offset, value.data(), std::min(field.size, value.size()));
    };
    put(kName, name);
    put(kMode, fmt::format("{:07o}", mode));
    put(kUid, fmt::format("{:07o}", from.uid));
    put(kGid, fmt::format("{:07o}", from.gid));
    put(kSize, fmt::format("{:011o}", size));
    put(kMtime, fmt::format("{:011o}", from.mtime_seconds));
    header[kTypeOffset] = flag;
    put(kLink, link);
    put(kMagic, std::string_view("ustar\0"
                                 "00",
                                 8));
    put(kMajor, fmt::format("{:07o}", from.major));
    put(kMinor, fmt::format("{:07o}", from.minor));
    put(kChecksum, "        ");
    unsigned sum = 0;
    for (char c : header) sum += static_cast<unsigned char>(c);
    put(kChecksum, fmt::format("{:06o}", sum) + '\0' + ' ');
    return header;
  };
  auto pad = [](std::string& to) { to.resize((to.size() + kBlock - 1) / kBlock * kBlock, '\0'); };
  std::string records;
  auto record = [&](const std::string& key, const std::string& value) {
    size_t base = key.size() + value.size() + 3;
    size_t length = base + std::to_string(base).size();
    if (std::to_string(length).size() != std::to_string(base).size()) ++length;
    records += std::to_string(length) + " " + key + "=" + value + "\n";
  };
  if (entry.name.size() > kName.size) record("path", entry.name);
  if (entry.link.size() > kLink.size) record("linkpath", entry.link);
  for (const auto& [key, value] : entry.xattrs) record("SCHILY.xattr." + key, value);
  if (!records.empty()) {
    archive += header_of('x', "pax", "", 0644, records.size(), TarEntry());
    archive += records;
    pad(archive);
  }
  constexpr std::string_view kFlags = "01234567";
  char flag = entry.type == TarType::kOther ? 'Z' : kFlags[static_cast<size_t>(entry.type)];
  archive += header_of(flag, entry.name, entry.link, entry.mode, content.size(), entry);
  archive += content;
  pad(archive);
}

void finish_tar(std::string& archive) { archive.append(2 * kBlock, '\0'); }

}  // namespace wherry::container
