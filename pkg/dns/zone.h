#pragma once
// Zone: the names of a cluster, worked out from Services and EndpointSlices at the moment of the
// question. Spec: Kubernetes DNS-Based Service Discovery 1.1. Any thread.

#include <optional>
#include <string>
#include <string_view>

#include "client/client.h"
#include "dns/message.h"

namespace wherry::dns {

class Zone {
 public:
  // `domain`: "cluster.local"; `pod_cidr_prefix`: for reverse names only the Services range and the
  // endpoints known are answered, everything else is somebody else's.
  Zone(client::Cache& cache, std::string domain);

  // Empty when the name is not ours.
  std::optional<Answer> answer(const Question& question) const;

 private:
  struct Names;
  std::optional<Answer> reverse(const Question& question) const;
  Answer service(const Question& question, const std::vector<std::string>& labels) const;
  bool cluster_ip(const Names& names, json::Value service, Answer& answer) const;
  bool endpoints(const Names& names, bool headless, Answer& answer) const;
  Answer missing() const;
  Record start_of_authority() const;

  const client::Lister& services_;
  const client::Lister& slices_;
  const client::Lister& namespaces_;
  const std::string domain_;
};

}  // namespace wherry::dns
