#!/bin/bash
# What a server makes of the manifests beside this file: a line for each object as a dry run answers
# it, without what varies from run to run.
#
#   defaulted.sh KUBECTL KUBECONFIG     the answers of an upstream server stand in defaulted.jsonl
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$1" --kubeconfig "$2" -n harbour apply --server-side --dry-run=server -o json -f "$here" |
  jq -cS '(if .kind == "List" then .items[] else . end)
    | del(.metadata.uid, .metadata.resourceVersion, .metadata.creationTimestamp, .metadata.managedFields)
    | if .kind == "Service" then
        (.spec.clusterIP, .spec.clusterIPs[0]?) |= (if . == null or . == "None" then . else "<address>" end)
        | (.spec.ports[]?.nodePort, .spec.healthCheckNodePort) |= (if . == null or . == 30480 then . else "<port>" end)
      else . end
    | walk(if type == "object" then del(.["controller-uid"], .["batch.kubernetes.io/controller-uid"])
           elif type == "string" and test("^kube-api-access-.{5}$") then "kube-api-access-<suffix>"
           else . end)
    | if .status.lastPhaseTransitionTime then .status.lastPhaseTransitionTime = "<time>" else . end'
