#include "join_pages.h"

namespace wherry::command {
namespace {

using apiserver::User;

Result<std::string> node_of(const User& user) {
  if (!user.in_group(cluster::kNodesGroup) || !user.name.starts_with(cluster::kNodeUserPrefix)) {
    return Error(Code::kForbidden, "only nodes open tunnels");
  }
  return user.name.substr(cluster::kNodeUserPrefix.size());
}

}  // namespace

std::vector<apiserver::ExtraPage> join_pages(const std::unique_ptr<cluster::JoinServer>& join,
                                             cluster::TunnelServer& tunnels) {
  using http::Request;
  using http::Response;
  return {
      {std::string(cluster::kCaPath),
       [&join](const User&, Request&, Response& response) { return join->answer_ca(response); }},
      {std::string(cluster::kJoinPath),
       [&join](const User& user, Request& request, Response& response) {
         return join->answer_join(user.name, user.groups, request, response);
       }},
      {std::string(cluster::kTunnelPath),
       [&tunnels](const User& user, Request& request, Response& response) -> Result<void> {
         return tunnels.answer_tunnel(TRY(node_of(user)), request, response);
       }},
      {std::string(cluster::kSessionPath),
       [&tunnels](const User& user, Request& request, Response& response) -> Result<void> {
         return tunnels.answer_session(TRY(node_of(user)), request, response);
       }},
  };
}

}  // namespace wherry::command
