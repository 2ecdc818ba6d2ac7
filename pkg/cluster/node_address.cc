#include "cluster/node_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#include <memory>

#include "base/strings.h"
#include "os/fd.h"

namespace wherry::cluster {
namespace {

// /proc/net/route: a line an entry; the second column is the destination, 00000000 for the default.
std::string default_route_interface() {
  Result<std::string> routes = os::read_file("/proc/net/route");
  if (!routes.ok()) return {};
  for (std::string_view line : split(*routes, '\n')) {
    auto columns = split(line, '\t');
    if (columns.size() > 7 && columns[1] == "00000000" && columns[7] == "00000000") {
      return std::string(columns[0]);
    }
  }
  return {};
}

}  // namespace

std::string detect_node_ip() {
  ifaddrs* raw = nullptr;
  if (getifaddrs(&raw) != 0) return "127.0.0.1";
  std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(raw, &freeifaddrs);
  std::string wanted = default_route_interface();
  std::string first;
  for (ifaddrs* at = raw; at != nullptr; at = at->ifa_next) {
    bool usable = at->ifa_addr != nullptr && at->ifa_addr->sa_family == AF_INET &&
                  (at->ifa_flags & IFF_UP) != 0 && (at->ifa_flags & IFF_LOOPBACK) == 0;
    if (!usable) continue;
    char text[INET_ADDRSTRLEN];
    auto* address = reinterpret_cast<sockaddr_in*>(at->ifa_addr);
    if (inet_ntop(AF_INET, &address->sin_addr, text, sizeof text) == nullptr) continue;
    // Our own pod interfaces carry link-local addresses; those never name a node.
    if (std::string_view(text).starts_with("169.254.")) continue;
    if (wanted == at->ifa_name) return text;
    if (first.empty()) first = text;
  }
  return first.empty() ? "127.0.0.1" : first;
}

std::string detect_node_name() {
  char buffer[256] = {};
  if (gethostname(buffer, sizeof buffer - 1) != 0) return "localhost";
  std::string name = to_lower(buffer);
  for (char& c : name) {
    bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    if (!fine) c = '-';
  }
  size_t start = name.find_first_not_of("-.");
  size_t end = name.find_last_not_of("-.");
  return start == std::string::npos ? "localhost" : name.substr(start, end - start + 1);
}

}  // namespace wherry::cluster
