# Audit: what the policy asks for stands in the log, and no more; refused requests too.

case_audit_log() {
  cat > "$FOLDER/policy.yaml" << 'YAML'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:anonymous"]
  nonResourceURLs: ["/readyz"]
- level: Metadata
  resources: [{group: "", resources: [secrets]}]
- level: RequestResponse
  resources: [{group: "", resources: [configmaps]}]
  omitManagedFields: true
- level: None
YAML
  plane_start --audit-policy-file "$FOLDER/policy.yaml" --audit-log-path "$FOLDER/audit.log"
  answer POST /api/v1/namespaces/default/configmaps application/json '{"metadata":{"name":"seen"},"data":{"a":"b"}}'
  answer POST /api/v1/namespaces/default/secrets application/json '{"metadata":{"name":"s"},"stringData":{"a":"the-hidden-text"}}'
  curl -sk "$URL/api/v1/namespaces/default/secrets" > /dev/null
  curl -sk -H 'Authorization: Bearer nonsense' "$URL/api/v1/namespaces/default/secrets" > /dev/null
  api /api/v1/nodes > /dev/null
  plane_stop
  same "$(stat -c %a "$FOLDER/audit.log")" 600
  same "$(jq -rs 'map(select(.verb == "create" and .objectRef.resource == "configmaps" and .objectRef.namespace == "default" and .user.username == "system:admin")) | map([.level, .stage, .responseStatus.code, .requestObject.data.a, .responseObject.metadata.name, .annotations["authorization.k8s.io/decision"]] | join(" ")) | join(",")' "$FOLDER/audit.log")" \
    'RequestResponse ResponseComplete 201 b seen allow'
  same "$(jq -rs 'map(select(.objectRef.resource == "secrets")) | map("\(.verb) \(.level) \(.responseStatus.code) \(.user.username)") | join(",")' "$FOLDER/audit.log")" \
    'create Metadata 201 system:admin,list Metadata 403 system:anonymous,list Metadata 401 null'
  ! grep -qE 'the-hidden-text|nonsense|"nodes"|/readyz' "$FOLDER/audit.log" || fail 'more than was asked for'
}

case_audit_wrong_policy() {
  printf 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: All\n' > "$FOLDER/policy.yaml"
  fails_with 'rules\[0\].level: "All" is none of None, Metadata, Request, RequestResponse' plane_start --audit-policy-file "$FOLDER/policy.yaml" --audit-log-path "$FOLDER/audit.log"
  fails_with 'go together' plane_start --audit-log-path "$FOLDER/audit.log"
}
