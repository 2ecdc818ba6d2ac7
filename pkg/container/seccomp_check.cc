#include <seccomp.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "container/seccomp.h"

namespace wherry::container {
namespace {

// As in the OCI runtime specification, "Seccomp".
std::optional<uint32_t> action_of(std::string_view name, int64_t errno_value) {
  auto number = static_cast<uint32_t>(errno_value);
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(number);
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(number);
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_NOTIFY") return SCMP_ACT_NOTIFY;
  return std::nullopt;
}

std::optional<scmp_compare> operator_of(std::string_view name) {
  constexpr std::pair<std::string_view, scmp_compare> kOperators[] = {
      {"SCMP_CMP_NE", SCMP_CMP_NE},
      {"SCMP_CMP_LT", SCMP_CMP_LT},
      {"SCMP_CMP_LE", SCMP_CMP_LE},
      {"SCMP_CMP_EQ", SCMP_CMP_EQ},
      {"SCMP_CMP_GE", SCMP_CMP_GE},
      {"SCMP_CMP_GT", SCMP_CMP_GT},
      {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  for (const auto& [known, value] : kOperators) {
    if (known == name) return value;
  }
  return std::nullopt;
}

int64_t errno_of(json::Value value) { return value.is_int() ? value.as_int() : EPERM; }

Result<std::vector<scmp_arg_cmp>> arguments_of(json::Value rule) {
  std::vector<scmp_arg_cmp> out;
  for (json::Value one : rule["args"].items()) {
    std::string_view name = one["op"].as_string();
    std::optional<scmp_compare> op = operator_of(name);
    if (!op) return Error::invalid("seccomp profile: unknown operator {}", quote(name));
    out.push_back({.arg = static_cast<unsigned>(one["index"].as_int()),
                   .op = *op,
                   .datum_a = static_cast<scmp_datum_t>(one["value"].as_int()),
                   .datum_b = static_cast<scmp_datum_t>(one["valueTwo"].as_int())});
  }
  return out;
}

Result<void> add_rule(scmp_filter_ctx filter, json::Value rule, uint32_t otherwise) {
  std::string_view name = rule["action"].as_string();
  std::optional<uint32_t> action = action_of(name, errno_of(rule["errnoRet"]));
  if (!action) return Error::invalid("seccomp profile: unknown action {}", quote(name));
  // The library refuses a rule that says what happens anyway; runtimes leave it out.
  if (*action == otherwise) return {};
  auto arguments = TRY(arguments_of(rule));
  for (json::Value call : rule["names"].items()) {
    std::string text(call.as_string());
    int number = seccomp_syscall_resolve_name(text.c_str());
    if (number == __NR_SCMP_ERROR) continue;  // Of another architecture, or of a newer kernel.
    int result = seccomp_rule_add_array(filter, *action, number,
                                        static_cast<unsigned>(arguments.size()), arguments.data());
    if (result != 0) {
      return Error::invalid("seccomp profile: the rule for {} does not compile: {}", quote(text),
                            std::strerror(-result));
    }
  }
  return {};
}

}  // namespace

Result<void> check_seccomp(json::Value profile) {
  std::string_view name = profile["defaultAction"].as_string();
  std::optional<uint32_t> otherwise = action_of(name, errno_of(profile["defaultErrnoRet"]));
  if (!otherwise) return Error::invalid("seccomp profile: unknown defaultAction {}", quote(name));
  using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;
  Filter filter(seccomp_init(*otherwise), &seccomp_release);
  if (filter == nullptr) return Error::invalid("seccomp profile: {} cannot be the default", name);
  for (json::Value rule : profile["syscalls"].items()) {
    TRY(add_rule(filter.get(), rule, *otherwise));
  }
  return {};
}

}  // namespace wherry::container
