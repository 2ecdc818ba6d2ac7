// The driver of a fuzz target (pkg/*/*_fuzz.cc, LLVMFuzzerTestOneInput): first every file of the
// corpus folder given as the argument, then seeded mutations of those files for FUZZ_SECONDS
// (default 2). Any compiler builds it; with `make SAN=address,undefined fuzz` the sanitizers judge.
// FUZZ_SEED repeats a run; the input at hand is kept in FUZZ_SAVE (default ./fuzz-failure) when
// the process dies.

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kInputBytesMax = 4096;
constexpr size_t kCorpusMax = 4096;

std::string current;  // What the target is looking at, for the signal handler.
const char* save_path = "fuzz-failure";

// Only calls that a signal handler may make.
void save_and_die(int signal) {
  int fd = ::open(save_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd >= 0) {
    [[maybe_unused]] ssize_t written = ::write(fd, current.data(), current.size());
    ::close(fd);
  }
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void try_one(const std::string& input) {
  current = input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(current.data()), current.size());
}

std::vector<std::string> read_corpus(const char* folder) {
  std::vector<std::string> inputs;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (!entry.is_regular_file() || inputs.size() >= kCorpusMax) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

class Mutator {
 public:
  Mutator(const std::vector<std::string>& corpus, uint64_t seed) : corpus_(corpus), random_(seed) {}

  std::string next() {
    std::string input = pick();
    for (size_t changes = 1 + below(4); changes > 0; --changes) change(input);
    if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
    return input;
  }

 private:
  size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  const std::string& pick() { return corpus_[below(corpus_.size())]; }

  void change(std::string& input) {
    size_t at = below(input.size() + 1);
    switch (below(6)) {
      case 0:  // A bit.
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        return;
      case 1:  // A byte that parsers trip over.
        input.insert(at, 1, "\0\xff{}[]\",:\\\n\x80/%"[below(14)]);
        return;
      case 2: input.erase(at, 1 + below(8)); return;
      case 3: input.resize(at); return;
      case 4: {  // A piece of another input.
        const std::string& other = pick();
        input.insert(at, other.substr(below(other.size() + 1), below(64)));
        return;
      }
      default:  // A piece again.
        input.insert(at, input.substr(below(input.size() + 1), below(32)));
        return;
    }
  }

  const std::vector<std::string>& corpus_;
  std::mt19937_64 random_;
};

uint64_t from_environment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

}  // namespace

int main(int argc, char** argv) {
  if (const char* path = std::getenv("FUZZ_SAVE"); path != nullptr) save_path = path;
  for (int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, save_and_die);

  std::vector<std::string> corpus;
  if (argc > 1) corpus = read_corpus(argv[1]);
  for (const std::string& input : corpus) try_one(input);
  corpus.emplace_back();

  uint64_t seed = from_environment("FUZZ_SEED", static_cast<uint64_t>(std::time(nullptr)));
  std::printf("%zu inputs, seed %llu\n", corpus.size(), static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  Mutator mutator(corpus, seed);
  auto budget = static_cast<std::clock_t>(from_environment("FUZZ_SECONDS", 2) * CLOCKS_PER_SEC);
  uint64_t runs = 0;
  for (std::clock_t start = std::clock(); std::clock() - start < budget; ++runs) {
    try_one(mutator.next());
  }
  std::printf("%llu runs\n", static_cast<unsigned long long>(runs));
  return 0;
}
