# Bad requests: the code, reason and message of each, and that nothing was stored. With
# UPSTREAM=kubeconfig the same table is put to another server, to see that the table is right.

JSON=application/json YAML=application/yaml MERGE=application/merge-patch+json
STRATEGIC=application/strategic-merge-patch+json PATCH=application/json-patch+json
APPLY=application/apply-patch+yaml PROTO=application/vnd.kubernetes.protobuf
MAPS=/api/v1/namespaces/default/configmaps
DEPLOYMENTS=/apis/apps/v1/namespaces/default/deployments
PODS=/api/v1/namespaces/default/pods

# expect CODE REASON MESSAGE-PATTERN METHOD PATH [TYPE BODY]
expect() {
  local code=$1 reason=$2 pattern=$3 told
  shift 3
  TRIED=$((TRIED + 1))
  answer "$@"
  told=$(jq -r '"\(.code) \(.reason) \(.message)"' <<< "$BODY" 2> /dev/null) || told=
  if [ "$STATUS" = "$code" ] && [[ "$told" == "$code $reason "* ]] &&
    grep -qE -- "$pattern" <<< "${told#"$code $reason "}"; then
    return 0
  fi
  WRONG=$((WRONG + 1))
  printf '%s %s %.150s\n  wanted %s %s %s\n  got    %s %.400s\n' "$1" "$2" "${4:-}" "$code" "$reason" "$pattern" "$STATUS" "$BODY"
}

map_body() { printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"%s},"data":{"a":"b"}}' "$1" "${2:-}"; }
deployment_body() { # NAME [SPEC-MEMBERS] [CONTAINER-MEMBERS]
  printf '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"%s"},"spec":{%s"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"%s}]}}}}' "$1" "${2:-}" "${3:-}"
}

malformed_bodies() {
  expect 400 BadRequest 'couldn.t get version/kind|error decoding|invalid character|unexpected' POST $MAPS $JSON '{"apiVersion":"v1",'
  expect 400 BadRequest '' POST $MAPS $JSON ''
  expect 400 BadRequest 'json: cannot unmarshal|couldn.t get version/kind' POST $MAPS $JSON '[1,2]'
  expect 400 BadRequest 'error converting YAML to JSON|yaml' POST $MAPS $YAML $'apiVersion: v1\n  kind: [x'
  expect 400 BadRequest '' POST $MAPS $PROTO 'not protobuf at all'
  expect 400 BadRequest '' POST $MAPS $PROTO $'k8s'
  expect 400 BadRequest 'cannot unmarshal (number|object) into Go struct field|json: cannot unmarshal' POST $MAPS $JSON '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":1}}'
  expect 400 BadRequest 'cannot unmarshal' POST $DEPLOYMENTS $JSON "$(deployment_body x '"replicas":"three",')"
  expect 415 UnsupportedMediaType 'the body of the request was in an unknown format - accepted media types include' POST $MAPS text/plain hello
  expect 415 UnsupportedMediaType '' PATCH $MAPS/kube-root-ca.crt $JSON '{}'
}

wrong_kinds() {
  expect 400 BadRequest 'ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v2"' POST $MAPS $JSON '{"apiVersion":"v2","kind":"ConfigMap","metadata":{"name":"x"}}'
  expect 400 BadRequest 'Secret in version "v1" cannot be handled as a ConfigMap' POST $MAPS $JSON '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}'
  expect 400 BadRequest 'the namespace of the provided object does not match the namespace sent on the request' POST $MAPS $JSON "$(map_body x ',"namespace":"other"')"
  expect 400 BadRequest 'the name of the object \(b\) does not match the name on the URL \(a\)|name' PUT $MAPS/a $JSON "$(map_body b ',"resourceVersion":"1"')"
  expect 404 NotFound 'namespaces "nowhere" not found' POST /api/v1/namespaces/nowhere/configmaps $JSON "$(map_body x)"
  expect 404 NotFound 'configmaps "absent" not found' GET $MAPS/absent
  expect 404 NotFound 'configmaps "absent" not found' DELETE $MAPS/absent
  expect 404 NotFound 'configmaps "absent" not found' PATCH $MAPS/absent $MERGE '{"data":{}}'
  expect 404 NotFound 'the server could not find the requested resource' GET /api/v1/namespaces/default/nothings
  answer POST /apis/none.example/v1/things $JSON '{}'
  same "$STATUS $BODY" '404 404 page not found'
  expect 405 MethodNotAllowed 'the server does not allow this method on the requested resource' PUT $MAPS $JSON "$(map_body x)"
  expect 405 MethodNotAllowed '' POST $MAPS/x $JSON "$(map_body x)"
}

strict_fields() {
  expect 400 BadRequest 'strict decoding error: unknown field "spec.replica"' POST "$DEPLOYMENTS?fieldValidation=Strict" $JSON "$(deployment_body x '"replica":1,')"
  expect 400 BadRequest 'strict decoding error: unknown field "spec.template.spec.containers\[0\].imag"' POST "$DEPLOYMENTS?fieldValidation=Strict" $JSON "$(deployment_body x '' ',"imag":"z"')"
  expect 400 BadRequest 'duplicate field "data.a"' POST "$MAPS?fieldValidation=Strict" $JSON '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"b","a":"c"}}'
  expect 422 Invalid 'fieldValidation: Unsupported value: "Maybe"' POST "$MAPS?fieldValidation=Maybe" $JSON "$(map_body x)"
}

invalid_objects() {
  expect 422 Invalid 'ConfigMap "UPPER" is invalid: metadata.name: Invalid value: "UPPER": a lowercase RFC 1123 subdomain must consist of' POST $MAPS $JSON "$(map_body UPPER)"
  expect 422 Invalid 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required|name or generateName is required' POST $MAPS $JSON '{"apiVersion":"v1","kind":"ConfigMap"}'
  expect 422 Invalid 'metadata.labels: Invalid value: "bad key!"' POST $MAPS $JSON "$(map_body x ',"labels":{"bad key!":"x"}')"
  expect 422 Invalid 'spec.replicas: Invalid value: -1: must be greater than or equal to 0' POST $DEPLOYMENTS $JSON "$(deployment_body x '"replicas":-1,')"
  expect 422 Invalid 'spec.template.metadata.labels: Invalid value: .*`selector` does not match template `labels`' POST $DEPLOYMENTS $JSON "$(deployment_body x | sed 's/"matchLabels":{"a":"b"}/"matchLabels":{"a":"c"}/')"
  expect 422 Invalid 'spec.template.spec.containers\[0\].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"' POST $DEPLOYMENTS $JSON "$(deployment_body x '' ',"imagePullPolicy":"Sometimes"')"
  expect 422 Invalid 'spec.template.spec.containers\[0\].ports\[0\].containerPort: Invalid value: 70000: must be between 1 and 65535' POST $DEPLOYMENTS $JSON "$(deployment_body x '' ',"ports":[{"containerPort":70000}]')"
  expect 422 Invalid 'spec.containers: Required value' POST $PODS $JSON '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[]}}'
  expect 400 BadRequest 'quantities must match the regular expression' POST $PODS $JSON '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"much"}}}]}}'
}

conflicts() {
  answer POST $MAPS $JSON "$(map_body twice)"
  same "$STATUS" 201
  expect 409 AlreadyExists 'configmaps "twice" already exists' POST $MAPS $JSON "$(map_body twice)"
  expect 409 Conflict 'Operation cannot be fulfilled on configmaps "twice": the object has been modified; please apply your changes to the latest version and try again' PUT $MAPS/twice $JSON "$(map_body twice ',"resourceVersion":"1"')"
  expect 409 Conflict 'Operation cannot be fulfilled on configmaps "twice": the object has been modified' PATCH $MAPS/twice $MERGE '{"metadata":{"resourceVersion":"1"},"data":{"a":"z"}}'
  expect 409 Conflict 'the UID in the precondition \(0000\) does not match the UID in record \([0-9a-f-]+\)' DELETE $MAPS/twice $JSON '{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"0000"}}'
  expect 409 Conflict 'Apply failed with 1 conflict: conflict with "curl".*: .data.a' PATCH "$MAPS/twice?fieldManager=rival" $APPLY '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"a":"other"}}'
  expect 422 Invalid 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch' PATCH "$MAPS/twice" $APPLY '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"}}'
  expect 400 BadRequest '' PATCH $MAPS/twice $MERGE '{"data":'
  expect 422 Invalid 'the server rejected our request due to an error in our request' PATCH $MAPS/twice $PATCH '[{"op":"test","path":"/data/a","value":"no"}]'
  expect 400 BadRequest '' PATCH $MAPS/twice $PATCH '{"op":"add"}'
  same "$(api $MAPS/twice | jq -r .data.a)" b
}

query_parameters() {
  expect 400 BadRequest 'limit|strconv.ParseInt' GET "$MAPS?limit=many"
  expect 400 BadRequest 'continue key is not valid' GET "$MAPS?limit=1&continue=garbage"
  expect 400 BadRequest 'unable to parse requirement|found' GET "$MAPS?labelSelector=a%3D%3D%3Db%21"
  expect 400 BadRequest 'field label not supported: spec.none|is not a known field selector' GET "$MAPS?fieldSelector=spec.none%3Dx"
  expect 500 null 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax' GET "$MAPS?resourceVersion=abc&watch=1"
  expect 504 Timeout 'Too large resource version: 999999999, current: [0-9]+' GET "$MAPS?resourceVersion=999999999&resourceVersionMatch=NotOlderThan"
}

too_big() {
  local file=$FOLDER/big
  printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"big"},"data":{"a":"%s"}}' \
    "$(head -c 3200000 /dev/zero | tr '\0' x)" > "$file"
  expect 413 RequestEntityTooLarge 'limit is 3145728' POST $MAPS $JSON "@$file"
  printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"big"},"data":{"a":"%s"}}' \
    "$(head -c 1100000 /dev/zero | tr '\0' x)" > "$file"
  expect 422 Invalid 'Too long: may not be more than 1048576 bytes' POST $MAPS $JSON "@$file"
  local deep
  deep=$(printf '{"a":%.0s' $(seq 12000))
  expect 400 BadRequest '' POST $MAPS $JSON "$deep"
}

refused_callers() {
  local identity=("${IDENTITY[@]}")
  IDENTITY=(-k)
  expect 403 Forbidden '^configmaps is forbidden: User "system:anonymous" cannot list resource "configmaps" in API group "" in the namespace "default"' GET $MAPS
  IDENTITY=(-k -H 'Authorization: Bearer nonsense')
  expect 401 Unauthorized '^Unauthorized$' GET $MAPS
  IDENTITY=(-k -H 'Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.')
  expect 401 Unauthorized '^Unauthorized$' GET $MAPS
  IDENTITY=("${identity[@]}")
}

case_bad_requests() {
  if [ -n "${UPSTREAM:-}" ]; then plane_other "$UPSTREAM"; else plane_start; fi
  TRIED=0 WRONG=0
  malformed_bodies
  wrong_kinds
  strict_fields
  invalid_objects
  conflicts
  query_parameters
  too_big
  refused_callers
  echo "$TRIED requests, $WRONG answered otherwise than wanted"
  # Nothing of all that was stored but the one object made on purpose.
  same "$(api $MAPS | jq -r '.items[].metadata.name' | sort | xargs)" 'kube-root-ca.crt twice'
  same "$(api $DEPLOYMENTS | jq '.items | length')" 0
  same "$(api $PODS | jq '.items | length')" 0
  answer DELETE $MAPS/twice
  [ -n "${UPSTREAM:-}" ] || [ "$(api /readyz)" = ok ]
  same $WRONG 0
}

# Bytes that are no HTTP, half requests, and a client that goes away: the server stays.
case_rude_clients() {
  plane_start
  local i
  for i in 1 2 3 4 5; do
    head -c 4000 /dev/urandom | timeout 2 busybox nc 127.0.0.1 "$PORT" > /dev/null || true
    printf 'GET / HTTP/1.1\r\n' | timeout 1 openssl s_client -quiet -connect "127.0.0.1:$PORT" > /dev/null 2>&1 || true
    printf 'POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n' $MAPS |
      timeout 1 openssl s_client -quiet -connect "127.0.0.1:$PORT" > /dev/null 2>&1 || true
    (head -c 70000 /dev/zero | tr '\0' a) | timeout 1 openssl s_client -quiet -connect "127.0.0.1:$PORT" > /dev/null 2>&1 || true
  done
  plane_ready
  kill -0 "$(cat "$FOLDER/pid")"
}
