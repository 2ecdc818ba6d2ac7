// wherry certificate: the cluster's own certificates. A running server renews them by itself and is
// asked through its door; without one the files are looked at, and removed for the next start to
// make them anew.

#include <fcntl.h>
#include <sys/file.h>

#include <cstdio>

#include "base/strings.h"
#include "cluster/authority.h"
#include "cluster/credentials.h"
#include "commands.h"
#include "control_door.h"
#include "kubectl_flags.h"
#include "kubectl_output.h"
#include "os/file.h"
#include "stop.h"

namespace wherry::command {
namespace {

using cluster::CertificateFact;
using kubectl::FlagRow;
using kubectl::Flags;

const std::vector<FlagRow> kFlags = {
    {.name = "data-dir", .help = "Folder with the state (/var/lib/wherry)"},
    {.name = "help", .shorthand = 'h', .bare = "true", .help = "Show this"},
};

constexpr char kUsage[] =
    "The cluster's own certificates. A server renews them by itself.\n\nUsage:\n"
    "  wherry certificate check       who they are for, and until when\n"
    "  wherry certificate rotate      make the server's and the administrator's anew\n"
    "  wherry certificate rotate-ca   make new authorities; the old ones stay trusted until they "
    "expire\n  wherry certificate rotate-service-key   make a new key for ServiceAccount tokens; "
    "those of the old one stay good\n\nFlags:\n";

int fail(std::string_view what) {
  std::fprintf(stderr, "wherry certificate: %.*s\n", static_cast<int>(what.size()), what.data());
  return 1;
}

Result<std::vector<CertificateFact>> read_files(const std::string& data_dir) {
  std::string folder = data_dir + "/server/tls";
  std::vector<CertificateFact> facts;
  for (const char* name : {"server-ca", "client-ca", "serving", "admin"}) {
    std::string text = TRY(os::read_file(fmt::format("{}/{}.crt", folder, name)));
    pki::Certificate certificate = TRY(pki::Certificate::from_pem(text));
    facts.push_back(cluster::fact_of(name, certificate));
  }
  return facts;
}

Result<std::vector<CertificateFact>> change_files(const std::string& data_dir,
                                                  const std::string& action) {
  os::Fd lock = TRY(os::open_file(data_dir + "/wherry.pid", O_RDWR | O_CLOEXEC));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error::unavailable("the server on {} is starting or stopping: try again", data_dir);
  }
  std::string folder = data_dir + "/server/tls";
  if (action == "rotate-service-key") {
    return Error::unavailable("no server runs on {}: start it first", data_dir);
  }
  if (action == "rotate-ca") {
    SystemClock clock;
    for (const char* name : {"server-ca", "client-ca"}) {
      TRY(cluster::prepare_authority(folder, name, clock, cluster::AuthorityChange::kNow));
    }
  } else if (action == "rotate") {
    for (const char* name : {"serving", "admin"}) {
      TRY(os::remove_file(fmt::format("{}/{}.key", folder, name)));
    }
  }
  return read_files(data_dir);
}

struct Outcome {
  std::vector<CertificateFact> facts;
  bool online = true;
};

Result<Outcome> ask(const std::string& data_dir, const std::string& action) {
  json::Draft request;
  request.root().set("verb", "certificate");
  request.root().set("action", action);
  Outcome out;
  auto time_in = [](json::Value value) { return parse_time(value.as_string()).value_or(Time{}); };
  Result<void> asked =
      ask_door(control_door_path(data_dir), request.dump(), -1, [&](json::Value answer) {
        out.facts.push_back({std::string(answer["name"].as_string()),
                             std::string(answer["subject"].as_string()), time_in(answer["from"]),
                             time_in(answer["until"]), time_in(answer["renewal"])});
      });
  if (asked.ok()) return out;
  Code code = asked.error().code();
  if (code != Code::kUnavailable && code != Code::kNotFound) return std::move(asked).error();
  out.online = false;
  out.facts = TRY(change_files(data_dir, action));
  return out;
}

// 2 when one of them is not valid now, so that a script can tell.
int print(const Outcome& outcome, const std::string& action) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "SUBJECT", "VALID FROM", "VALID UNTIL", "RENEWAL", "STATE"}};
  Time now = SystemClock().now();
  bool good = true;
  for (const CertificateFact& fact : outcome.facts) {
    bool valid = fact.from <= now && now < fact.until;
    good &= valid;
    rows.push_back({fact.name, fact.subject, format_time(fact.from), format_time(fact.until),
                    format_time(fact.renewal),
                    valid             ? "ok"
                    : now < fact.from ? "not yet valid"
                                      : "expired"});
  }
  kubectl::Columns().print(rows);
  if (!outcome.online && action != "check") {
    std::puts("No server runs here: its next start makes the new certificates.");
  }
  return good || action != "check" ? 0 : 2;
}

}  // namespace

int run_certificate(int argc, const char* const* argv) {
  std::span<const char* const> words(argv + 1, static_cast<size_t>(argc - 1));
  Result<Flags> flags = Flags::parse(kFlags, words);
  if (!flags.ok()) return fail(flags.error().message());
  if (flags->on("help")) {
    std::printf("%s%s", kUsage, kubectl::describe_flags(kFlags).c_str());
    return 0;
  }
  std::string action = flags->arguments().size() == 1 ? flags->arguments()[0] : "";
  if (action != "check" && action != "rotate" && action != "rotate-ca" &&
      action != "rotate-service-key") {
    return fail(
        "say check, rotate, rotate-ca or rotate-service-key (see wherry certificate --help)");
  }
  Result<Outcome> done = ask(data_dir_of(flags->text("data-dir")), action);
  return done.ok() ? print(*done, action) : fail(done.error().message());
}

}  // namespace wherry::command
