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

# Watches end some time; admission and the issuer of tokens have their say.
case_audit_ends_and_annotations() {
  printf 'apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n' > "$FOLDER/policy.yaml"
  plane_start --audit-policy-file "$FOLDER/policy.yaml" --audit-log-path "$FOLDER/audit.log"
  local pods=/api/v1/namespaces/default/pods levels='pod-security.kubernetes.io'
  answer PATCH /api/v1/namespaces/default application/merge-patch+json \
    "{\"metadata\":{\"labels\":{\"$levels/enforce\":\"baseline\",\"$levels/audit\":\"restricted\",\"$levels/audit-version\":\"v1.25\"}}}"
  same "$STATUS" 200
  answer POST $pods application/json '{"metadata":{"name":"a"},"spec":{"hostNetwork":true,"containers":[{"name":"c","image":"x"}]}}'
  same "$STATUS" 403
  answer POST $pods application/json '{"metadata":{"name":"b"},"spec":{"containers":[{"name":"c","image":"x"}]}}'
  same "$STATUS" 201
  answer POST /api/v1/namespaces/default/serviceaccounts/default/token application/json '{}'
  same "$STATUS" 201
  api "$pods?watch=1&timeoutSeconds=1" > /dev/null
  fails_with '' timeout 1 curl -sS "${IDENTITY[@]}" "$URL$pods?watch=1&labelSelector=none"
  seen() { [ "$(grep -c 'watch=1.*"verb":"watch"' "$FOLDER/audit.log")" = 4 ]; }
  eventually 5 seen
  plane_stop
  same "$(jq -rs 'map(select(.verb == "watch" and .user.username == "system:admin")) | map("\(.stage) \(.responseStatus.code) \(.annotations["authorization.k8s.io/decision"]) \(.requestURI | test("none"))") | sort | join(",")' "$FOLDER/audit.log")" \
    'ResponseComplete 200 allow false,ResponseComplete 200 allow true,ResponseStarted 200 allow false,ResponseStarted 200 allow true'
  same "$(jq -rs 'map(select(.verb == "watch" and (.requestURI | test("timeoutSeconds=1$")))) | map(.stageTimestamp[17:19] | tonumber) | (.[1] - .[0] + 60) % 60' "$FOLDER/audit.log")" 1
  violations() { jq -r --arg code "$1" 'select(.objectRef.resource == "pods" and .verb == "create" and (.responseStatus.code | tostring) == $code) | .annotations | "\(.["'$levels'/enforce-policy"]) \(.["'$levels'/audit-violations"])"' "$FOLDER/audit.log"; }
  has "$(violations 403)" '^baseline:latest would violate PodSecurity "restricted:v1.25": host namespaces \(hostNetwork=true\), allowPrivilegeEscalation != false'
  has "$(violations 201)" '^baseline:latest would violate PodSecurity "restricted:v1.25": allowPrivilegeEscalation != false'
  has "$(jq -r 'select(.objectRef.subresource == "token") | .annotations["authentication.kubernetes.io/issued-credential-id"]' "$FOLDER/audit.log")" '^JTI=[0-9a-f-]{36}$'
}

case_audit_wrong_policy() {
  printf 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: All\n' > "$FOLDER/policy.yaml"
  fails_with 'rules\[0\].level: "All" is none of None, Metadata, Request, RequestResponse' plane_start --audit-policy-file "$FOLDER/policy.yaml" --audit-log-path "$FOLDER/audit.log"
  fails_with 'go together' plane_start --audit-log-path "$FOLDER/audit.log"
}
