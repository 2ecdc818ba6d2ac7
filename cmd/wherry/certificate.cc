// wherry certificate: the cluster's own certificates. A running server renews them by itself and is
// asked through its door; without one the files are looked at, and removed for the next start to
// make them anew.

#include <cstdio>

#include "base/strings.h"
#include "cluster/authority.h"
#include "cluster/credentials.h"
#include "commands.h"
#include "door_command.h"
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

const DoorCommand kCommand = {"certificate", kUsage, kFlags};

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
  os::Fd lock = TRY(lock_stopped_server(data_dir));
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
  Outcome out;
  auto time_in = [](json::Value value) { return parse_time(value.as_string()).value_or(Time{}); };
  out.online = TRY(ask_server(data_dir, kCommand.name, action, [&](json::Value answer) {
    out.facts.push_back({std::string(answer["name"].as_string()),
                         std::string(answer["subject"].as_string()), time_in(answer["from"]),
                         time_in(answer["until"]), time_in(answer["renewal"])});
  }));
  if (!out.online) out.facts = TRY(change_files(data_dir, action));
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

int run(const Flags& flags) {
  Result<std::string> action =
      action_of(kCommand, flags, {"check", "rotate", "rotate-ca", "rotate-service-key"});
  if (!action.ok()) return fail(kCommand, action.error().message());
  Result<Outcome> done = ask(data_dir_of(flags.text("data-dir")), *action);
  return done.ok() ? print(*done, *action) : fail(kCommand, done.error().message());
}

}  // namespace

int run_certificate(int argc, const char* const* argv) {
  return run_door_command(kCommand, argc, argv, &run);
}

}  // namespace wherry::command
