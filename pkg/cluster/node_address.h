#pragma once
// Which address this machine is known by. Works without a default route, and without any network.

#include <string>

namespace wherry::cluster {

// The IPv4 address of the interface that holds the default route; without one the first address of
// an interface that is up; without any 127.0.0.1.
std::string detect_node_ip();
// The machine's host name as a node name: lower case, only what a DNS subdomain may hold.
std::string detect_node_name();

}  // namespace wherry::cluster
