# What every cluster has comes back at once when it is deleted.

there() { answer GET "$1" && [ "$STATUS" = 200 ] && [ "$(jq -r '.metadata.uid' <<< "$BODY")" != "${2:-}" ]; }
comes_back() { # PATH
  local uid
  uid=$(api "$1" | jq -r .metadata.uid)
  answer DELETE "$1"
  same "$STATUS" 200
  eventually 20 there "$1" "$uid"
}

case_own_objects_come_back() {
  plane_start
  local service=/api/v1/namespaces/default/services/kubernetes address
  address=$(api $service | jq -r .spec.clusterIP)
  comes_back $service
  same "$(api $service | jq -r .spec.clusterIP)" "$address"
  comes_back /api/v1/namespaces/kube-node-lease
  answer PATCH $service application/merge-patch+json '{"metadata":{"labels":{"mine":"yes"}}}'
  same "$STATUS" 200
  same "$(api $service | jq -r .metadata.labels.mine)" yes
}
