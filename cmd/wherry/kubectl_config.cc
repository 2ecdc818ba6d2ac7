#include "kubectl_config.h"

#include <cstdlib>

#include "base/encoding.h"
#include "base/strings.h"
#include "json/yaml.h"
#include "os/fd.h"

namespace wherry::command::kubectl {
namespace {

constexpr char kDefaultFile[] = "/etc/wherry/wherry.yaml";
constexpr char kServiceAccount[] = "/var/run/secrets/kubernetes.io/serviceaccount/";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct File {
  std::string folder;
  json::Document content;
};

Result<File> read_config_file(const std::string& path) {
  Result<std::string> text = os::read_file(path);
  if (!text.ok()) return std::move(text).error();
  Result<json::Document> parsed = json::parse_yaml(*text);
  if (!parsed.ok()) return std::move(parsed).error().with_prefix(path);
  File file;
  size_t slash = path.rfind('/');
  file.folder = slash == std::string::npos ? "." : path.substr(0, slash);
  file.content = std::move(parsed).value();
  return file;
}

Result<std::vector<File>> read_files(const Flags& flags) {
  std::vector<File> files;
  if (flags.given("kubeconfig")) {
    files.push_back(TRY(read_config_file(std::string(flags.text("kubeconfig")))));
    return files;
  }
  std::vector<std::string> paths;
  std::string named = environment("KUBECONFIG");
  for (std::string_view part : split(named, ':')) {
    if (!part.empty()) paths.emplace_back(part);
  }
  if (paths.empty()) {
    std::string home = environment("HOME");
    std::string own = home + "/.kube/config";
    paths.push_back(!home.empty() && os::exists(own) ? own : kDefaultFile);
  }
  for (const std::string& path : paths) {
    Result<File> file = read_config_file(path);
    if (file.ok()) {
      files.push_back(std::move(file).value());
    } else if (!file.error().is(Code::kNotFound)) {
      return std::move(file).error();
    }
  }
  return files;
}

// The entry of that name in "clusters", "contexts" or "users" of the first file that has it.
struct Entry {
  json::Value value;
  std::string folder;
};
Entry find_entry(const std::vector<File>& files, const char* list, const char* member,
                 std::string_view name) {
  for (const File& file : files) {
    for (json::Value item : file.content.root()[list].items()) {
      if (item["name"].as_string() == name) return Entry{item[member], file.folder};
    }
  }
  return {};
}

// PEM text given inline ("x-data", base64) or by file name.
Result<std::string> read_pem(const Entry& entry, const std::string& key) {
  if (json::Value data = entry.value[key + "-data"]; data.is_string()) {
    std::optional<std::string> decoded = base64_decode(data.as_string());
    if (!decoded) return Error::invalid("kubeconfig: {}-data is not base64", key);
    return std::move(*decoded);
  }
  std::string path(entry.value[key].as_string());
  if (path.empty()) return std::string();
  if (path[0] != '/') path = entry.folder + "/" + path;
  return os::read_file(path);
}

Result<void> read_user(const Entry& user, Connection& to) {
  to.options.certificate_pem = TRY(read_pem(user, "client-certificate"));
  to.options.key_pem = TRY(read_pem(user, "client-key"));
  to.token = std::string(user.value["token"].as_string());
  if (std::string file(user.value["tokenFile"].as_string()); to.token.empty() && !file.empty()) {
    std::string text = TRY(os::read_file(file));
    to.token = std::string(trim(text));
  }
  for (const char* other : {"exec", "auth-provider", "username"}) {
    if (user.value[other]) {
      return Error::unsupported("wherry kubectl has no {} credentials: use kubectl", other);
    }
  }
  return {};
}

Result<void> read_context(const std::vector<File>& files, const Flags& flags, Connection& to) {
  std::string name(flags.text("context"));
  for (const File& file : files) {
    if (name.empty()) name = std::string(file.content.root()["current-context"].as_string());
  }
  json::Value context = find_entry(files, "contexts", "context", name).value;
  if (!context && flags.given("context")) {
    return Error::invalid("context \"{}\" does not exist", name);
  }
  to.namespace_name = std::string(context["namespace"].as_string());
  auto choose = [&](const char* flag) {
    return flags.given(flag) ? flags.text(flag) : context[flag].as_string();
  };
  Entry cluster = find_entry(files, "clusters", "cluster", choose("cluster"));
  to.server = std::string(cluster.value["server"].as_string());
  to.options.ca_pem = TRY(read_pem(cluster, "certificate-authority"));
  to.options.insecure = cluster.value["insecure-skip-tls-verify"].as_bool();
  to.options.server_name = std::string(cluster.value["tls-server-name"].as_string());
  return read_user(find_entry(files, "users", "user", choose("user")), to);
}

// In a pod: what its ServiceAccount says.
Result<void> read_service_account(Connection& to) {
  std::string host = environment("KUBERNETES_SERVICE_HOST");
  std::string folder = kServiceAccount;
  if (host.empty() || !os::exists(folder + "token")) return {};
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  to.server = "https://" + host + ":" + environment("KUBERNETES_SERVICE_PORT");
  std::string token = TRY(os::read_file(folder + "token"));
  to.token = std::string(trim(token));
  to.options.ca_pem = TRY(os::read_file(folder + "ca.crt"));
  to.namespace_name = os::read_file(folder + "namespace").value_or(std::string("default"));
  return {};
}

Result<void> read_flags(const Flags& flags, Connection& to) {
  if (flags.given("server")) {
    to.server = std::string(flags.text("server"));
    if (to.server.find("://") == std::string::npos) to.server = "https://" + to.server;
  }
  if (flags.given("token")) to.token = std::string(flags.text("token"));
  if (flags.on("insecure-skip-tls-verify")) to.options.insecure = true;
  if (flags.given("tls-server-name")) {
    to.options.server_name = std::string(flags.text("tls-server-name"));
  }
  auto file = [&](const char* flag, std::string& field) -> Result<void> {
    if (flags.given(flag)) field = TRY(os::read_file(std::string(flags.text(flag))));
    return {};
  };
  TRY(file("certificate-authority", to.options.ca_pem));
  TRY(file("client-certificate", to.options.certificate_pem));
  TRY(file("client-key", to.options.key_pem));
  return {};
}

bool is_loopback(std::string_view url) {
  size_t at = url.find("://");
  if (at != std::string_view::npos) url.remove_prefix(at + 3);
  return url.starts_with("127.") || url.starts_with("localhost") || url.starts_with("[::1]");
}

}  // namespace

Result<Connection> read_connection(const Flags& flags) {
  Connection to;
  std::vector<File> files = TRY(read_files(flags));
  if (!files.empty()) {
    TRY(read_context(files, flags, to));
  } else {
    TRY(read_service_account(to));
  }
  TRY(read_flags(flags, to));
  if (to.server.empty()) {
    return Error::invalid(
        "no server is known: give --kubeconfig or --server, or be root where the server runs ({} "
        "is "
        "not readable)",
        kDefaultFile);
  }
  while (to.server.ends_with('/')) to.server.pop_back();
  if (to.options.insecure) to.options.ca_pem.clear();
  to.options.user_agent = "kubectl/v1.36 wherry";
  to.options.use_proxy = !is_loopback(to.server);
  return to;
}

}  // namespace wherry::command::kubectl
