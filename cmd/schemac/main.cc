// schemac --out DIR FILE.schema...: compiles the schema sources into DIR/api.

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "parser.h"
#include "writer.h"

namespace wherry::schemac {
namespace {

Result<void> run(const std::string& out, const std::vector<std::string>& sources) {
  Model model = TRY(parse(sources));
  std::string folder = out + "/api";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return Error::internal("cannot make {}: {}", folder, failed.message());
  TRY(write_tables(model, folder));
  return write_views(model, folder);
}

}  // namespace
}  // namespace wherry::schemac

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 3 || words[0] != "--out") {
    std::fprintf(stderr, "usage: schemac --out DIR FILE.schema...\n");
    return 2;
  }
  std::vector<std::string> sources(words.begin() + 2, words.end());
  wherry::Result<void> done = wherry::schemac::run(words[1], sources);
  if (done.ok()) return 0;
  std::fprintf(stderr, "schemac: %s\n", done.error().message().c_str());
  return 1;
}
