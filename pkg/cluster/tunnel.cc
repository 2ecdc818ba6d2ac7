#include "cluster/tunnel.h"

#include "api/status.h"

namespace wherry::cluster {
namespace {

void write_logs(const client::LogOptions& logs, json::Node to) {
  to.set("follow", logs.follow);
  to.set("previous", logs.previous);
  to.set("timestamps", logs.timestamps);
  if (logs.since_seconds) to.set("sinceSeconds", *logs.since_seconds);
  if (logs.since_time) to.set("sinceTime", format_micro_time(*logs.since_time));
  if (logs.tail_lines) to.set("tailLines", *logs.tail_lines);
  if (logs.limit_bytes) to.set("limitBytes", *logs.limit_bytes);
}

client::LogOptions read_logs(json::Value from) {
  client::LogOptions out;
  auto number = [&from](std::string_view key) -> std::optional<int64_t> {
    if (!from[key].is_int()) return std::nullopt;
    return from[key].as_int();
  };
  out.follow = from["follow"].as_bool();
  out.previous = from["previous"].as_bool();
  out.timestamps = from["timestamps"].as_bool();
  out.since_seconds = number("sinceSeconds");
  out.since_time = parse_time(from["sinceTime"].as_string());
  out.tail_lines = number("tailLines");
  out.limit_bytes = number("limitBytes");
  return out;
}

void write_exec(const client::ExecOptions& exec, json::Node to) {
  json::Node command = to.set_array("command");
  for (const std::string& word : exec.command) command.push(word);
  to.set("stdin", exec.stdin_on);
  to.set("stdout", exec.stdout_on);
  to.set("stderr", exec.stderr_on);
  to.set("tty", exec.tty);
}

client::ExecOptions read_exec(json::Value from) {
  client::ExecOptions out;
  for (json::Value word : from["command"].items()) out.command.emplace_back(word.as_string());
  out.stdin_on = from["stdin"].as_bool();
  out.stdout_on = from["stdout"].as_bool();
  out.stderr_on = from["stderr"].as_bool();
  out.tty = from["tty"].as_bool();
  return out;
}

}  // namespace

std::string SessionWish::text() const {
  json::Draft draft;
  json::Node root = draft.root();
  root.set("do", action);
  root.set("ns", container.ns);
  root.set("pod", container.pod);
  root.set("uid", container.uid);
  root.set("container", container.container);
  json::Node options = root.set_object("options");
  if (action == "logs") write_logs(logs, options);
  if (action == "exec" || action == "attach") write_exec(exec, options);
  if (action == "dial") options.set("port", static_cast<int64_t>(port));
  return draft.dump();
}

Result<SessionWish> SessionWish::parse(std::string_view text) {
  json::Document document = TRY(json::Document::parse(text));
  json::Value root = document.root();
  SessionWish out;
  out.action = root["do"].as_string();
  out.container = {std::string(root["ns"].as_string()), std::string(root["pod"].as_string()),
                   std::string(root["uid"].as_string()),
                   std::string(root["container"].as_string())};
  out.logs = read_logs(root["options"]);
  out.exec = read_exec(root["options"]);
  int64_t port = root["options"]["port"].as_int();
  if (port < 0 || port > 65535) return Error::bad_request("{} is no port", port);
  out.port = static_cast<uint16_t>(port);
  return out;
}

std::string SessionWord::text() const {
  json::Draft draft;
  if (error) {
    json::Node out = draft.root().set_object("error");
    out.set("reason", api::reason_of(error->code()));
    out.set("message", error->message());
  } else if (ended) {
    draft.root().set("ended", true);
    draft.root().set("exit", exit_code);
  } else {
    draft.root().set("started", started);
  }
  return draft.dump();
}

Result<SessionWord> SessionWord::parse(std::string_view text) {
  json::Document document = TRY(json::Document::parse(text));
  json::Value root = document.root();
  SessionWord out;
  out.started = root["started"].as_bool();
  out.ended = root["ended"].as_bool();
  out.exit_code = static_cast<int>(root["exit"].as_int());
  if (json::Value error = root["error"]) {
    out.error = Error(api::code_from(error["reason"].as_string(), 500),
                      std::string(error["message"].as_string()));
  }
  return out;
}

}  // namespace wherry::cluster
