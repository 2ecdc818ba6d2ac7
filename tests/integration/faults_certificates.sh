# Certificates: renewed in the running server, with the administrator's kubeconfig; a new authority
# takes over while who trusts the old one goes on.

shown() { openssl s_client -connect "127.0.0.1:$PORT" -showcerts < /dev/null 2> /dev/null | openssl x509 -noout -serial; }
certificate() { "$WHERRY" certificate "$1" --data-dir "$FOLDER/d"; }
file_mode() { stat -c %a "$FOLDER/d/server/tls/$1"; }

case_certificates_renewed_online() {
  plane_start
  local before after
  before=$(shown)
  has "$(certificate check)" '^server-ca +wherry-server-ca@[0-9]+ .* ok$'
  has "$(certificate check)" '^admin +system:admin .* ok$'
  certificate rotate
  after=$(shown)
  [ "$before" != "$after" ] || fail 'the server still shows the old certificate'
  # The old client certificate is as good as the new one in the rewritten kubeconfig.
  same "$(api /readyz)" ok
  cp "$FOLDER/admin.crt" "$FOLDER/old.crt"
  plane_identity
  ! cmp -s "$FOLDER/admin.crt" "$FOLDER/old.crt" || fail 'the kubeconfig has the old certificate'
  same "$(api /api/v1/namespaces/default | jq -r .metadata.name)" default
  for file in serving.key admin.key server-ca.key client-ca.key service.key; do same "$(file_mode $file)" 600; done
  same "$(stat -c %a "$FOLDER/d/server/tls")" 700
}

case_certificates_authority_replaced() {
  plane_start
  certificate rotate-ca
  eventually 5 root_ca_follows
  eventually 5 client_ca_follows
  # With the old authority, key and certificate of before: through the cross certificate.
  same "$(api /api/v1/namespaces/default | jq -r .metadata.name)" default
  plane_identity
  same "$(api /api/v1/namespaces/default | jq -r .metadata.name)" default
  same "$(grep -c BEGIN "$FOLDER/ca.crt")" 2
  plane_stop KILL
  plane_start
  same "$(api /api/v1/namespaces/default | jq -r .metadata.name)" default
  eventually 5 root_ca_follows
  plane_stop
  has "$(certificate rotate)" 'next start makes'
  local before=$FOLDER/before
  cp "$FOLDER/d/server/tls/serving.crt" "$before"
  plane_start
  ! cmp -s "$before" "$FOLDER/d/server/tls/serving.crt" || fail 'the same certificate again'
}
root_ca_follows() {
  [ "$(api /api/v1/namespaces/default/configmaps/kube-root-ca.crt | jq -r '.data["ca.crt"]' | grep -c BEGIN)" = 2 ]
}

client_ca_follows() {
  [ "$(api /api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication | jq -r '.data["client-ca-file"]' | grep -c BEGIN)" = 2 ]
}

REQUESTS=/apis/certificates.k8s.io/v1/certificatesigningrequests
# csr_body NAME SUBJECT SIGNER USAGES-AS-JSON [MORE-OF-SPEC]
csr_body() {
  [ -e "$FOLDER/req.key" ] || openssl ecparam -name prime256v1 -genkey -noout -out "$FOLDER/req.key"
  printf '{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":"%s"},"spec":{"request":"%s","signerName":"%s","usages":%s%s}}' \
    "$1" "$(openssl req -new -key "$FOLDER/req.key" -subj "$2" | base64 -w0)" "$3" "$4" "${5:-}"
}
condition() { printf '{"type":"%s","status":"%s","reason":"R","message":"m"}' "$1" "${2:-True}"; }
set_conditions() { # CODE REASON PATTERN NAME CONDITIONS [PART]
  expect "$1" "$2" "$3" PUT "$REQUESTS/$4/${6:-approval}" "$JSON" "$(api "$REQUESTS/$4" | jq -c ".status.conditions = [$5]")"
}

case_certificates_requests() {
  plane_start
  TRIED=0 WRONG=0
  local client=kubernetes.io/kube-apiserver-client auth='["client auth"]'
  expect 422 Invalid 'spec.request: Invalid value: "aGVsbG8=": PEM block type must be CERTIFICATE REQUEST' POST $REQUESTS $JSON \
    '{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":"bad"},"spec":{"request":"aGVsbG8=","signerName":"kubernetes.io/kube-apiserver-client","usages":["client auth"]}}'
  expect 422 Invalid 'spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed via this API version' POST $REQUESTS $JSON "$(csr_body x /CN=x kubernetes.io/legacy-unknown "$auth")"
  expect 422 Invalid 'spec.usages: Required value' POST $REQUESTS $JSON "$(csr_body x /CN=x $client '[]')"
  expect 422 Invalid 'spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds \(10 minutes\)' POST $REQUESTS $JSON "$(csr_body x /CN=x $client "$auth" ',"expirationSeconds":599')"
  expect 422 Invalid "spec.signerName: Invalid value: \"example.com/Foo_/..\": must be a fully qualified domain and path of the form 'example.com/signer-name'" POST $REQUESTS $JSON "$(csr_body x /CN=x example.com/Foo_/.. "$auth")"
  answer POST $REQUESTS $JSON "$(csr_body a /CN=joe/O=dev $client "$auth" ',"username":"mallory","expirationSeconds":3600')"
  same "$STATUS $(jq -r .spec.username <<< "$BODY")" '201 system:admin'
  set_conditions 422 Invalid 'status.conditions: Forbidden: updates may not add a condition of type "Approved"' a "$(condition Approved)" status
  set_conditions 422 Invalid 'status.conditions\[0\].status: Unsupported value: "False": supported values: "True"' a "$(condition Approved False)"
  set_conditions 422 Invalid 'status.conditions\[0\].type: Required value' a "$(condition '')"
  set_conditions 422 Invalid 'status.conditions\[1\].type: Duplicate value: "Foo"' a "$(condition Foo),$(condition Foo)"
  set_conditions 422 Invalid 'status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive' a "$(condition Approved),$(condition Denied)"
  expect 422 Invalid 'status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block' PUT $REQUESTS/a/status $JSON "$(api $REQUESTS/a | jq -c '.status.certificate = "eHg="')"
  # What is asked for does not change, whichever way one tries.
  answer PUT $REQUESTS/a $JSON "$(api $REQUESTS/a | jq -c '.spec.usages = ["any"]')"
  same "$STATUS $(jq -c .spec.usages <<< "$BODY")" "200 $auth"
  answer PUT $REQUESTS/a/approval $JSON "$(api $REQUESTS/a | jq -c ".status.conditions = [$(condition Approved)]")"
  same "$STATUS" 200
  has "$(jq -r '.status.conditions[0].lastUpdateTime' <<< "$BODY")" '^20..-'
  issued() { [ -n "$(api $REQUESTS/a | jq -r '.status.certificate // empty')" ]; }
  eventually 10 issued
  set_conditions 422 Invalid 'status.conditions: Forbidden: updates may not remove a condition of type "Approved"' a ''
  api $REQUESTS/a | jq -r .status.certificate | base64 -d > "$FOLDER/joe.crt"
  has "$(curl -sk --cert "$FOLDER/joe.crt" --key "$FOLDER/req.key" "$URL/api/v1/nodes" | jq -r .message)" 'User "joe" cannot list'
  has "$(openssl x509 -in "$FOLDER/joe.crt" -noout -subject -ext extendedKeyUsage)" 'TLS Web Client Authentication'

  # Wrong for its signer; and a node's own, approved by rule.
  answer POST $REQUESTS $JSON "$(csr_body b /CN=joe $client '["server auth"]')"
  answer PUT $REQUESTS/b/approval $JSON "$(api $REQUESTS/b | jq -c ".status.conditions = [$(condition Approved)]")"
  failed() { has "$(api $REQUESTS/b | jq -r '.status.conditions[] | "\(.type) \(.reason) \(.message)"')" '^Failed SignerValidationFailure invalid usage for client certificate: server auth$'; }
  eventually 10 failed
  answer POST $REQUESTS $JSON "$(csr_body n /O=system:nodes/CN=system:node:n kubernetes.io/kube-apiserver-client-kubelet '["client auth","digital signature"]')"
  node_issued() { api $REQUESTS/n | jq -e '.status.certificate and .status.conditions[0].reason == "AutoApproved"'; }
  eventually 10 node_issued
  same $WRONG 0
}
