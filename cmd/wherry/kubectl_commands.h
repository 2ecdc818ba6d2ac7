#pragma once
// The commands of the built-in kubectl: one row each in kubectl.cc. Each gets its parsed flags and
// the server, prints what kubectl would print, and gives the exit code or the error to show.

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kubectl_api.h"
#include "kubectl_select.h"

namespace wherry::command::kubectl {

struct CommandRow {
  const char* name;
  const char* usage;
  const char* help;
  std::vector<FlagRow> flags;
  Result<int> (*run)(const Flags& flags, Api& api);
};

CommandRow get_command();
CommandRow describe_command();
CommandRow apply_command();
CommandRow create_command();
CommandRow delete_command();
CommandRow scale_command();
CommandRow wait_command();
CommandRow logs_command();
CommandRow exec_command();
CommandRow attach_command();
CommandRow version_command();
CommandRow api_resources_command();

// Flag rows of several groups as one list.
std::vector<FlagRow> merge(std::initializer_list<std::vector<FlagRow>> groups);

void print_error(const Error& error);  // To standard error, in kubectl's manner.

// Collects the errors of a command that goes on with what is left: each is printed as it comes.
class Failures {
 public:
  void add(const Error& error) {
    print_error(error);
    ++count_;
  }
  int exit_code() const { return count_ == 0 ? 0 : 1; }

 private:
  int count_ = 0;
};

// Waits until the object is gone (or has another uid). kTimeout at the limit; 0 waits for ever.
Result<void> wait_until_gone(Api& api, const Target& target, std::string_view uid,
                             std::chrono::milliseconds limit);

// The pod that "POD", "TYPE/NAME" stands for: of something with a selector its first running pod.
struct PodChoice {
  const ResourceType* type = nullptr;
  std::string ns;
  json::Document pod;
  std::string name() const;
  std::string path() const { return type->path(ns, name()); }
};
Result<PodChoice> choose_pod(const Flags& flags, Api& api, const Discovery& discovery,
                             const std::string& word);
// --container, else the annotated default, else the first (said on standard error when there are
// more).
Result<std::string> choose_container(const Flags& flags, json::Value pod, bool tell);

}  // namespace wherry::command::kubectl
