# Credentials as an attacker sends them: forged, expired, misdirected. Each is refused with the right
# code, nothing of them stands in the log, and the server stays as small as it was.

NODES=/api/v1/nodes
base64url() { base64 -w0 | tr '+/' '-_' | tr -d =; }
# jwt HEADER CLAIMS KEY-FILE: ES256 over what is given, whatever the header says.
jwt() {
  local part numbers
  part=$(printf %s "$1" | base64url).$(printf %s "$2" | base64url)
  # The signature's two numbers, 64 hexadecimal digits each.
  numbers=$(printf %s "$part" | openssl dgst -sha256 -sign "$3" | openssl asn1parse -inform DER |
    sed -n 's/.*INTEGER *:\([0-9A-F]*\)$/\1/p' | while read -r number; do printf '%64s' "$number" | tr ' ' 0; done)
  printf '%s.%s' "$part" "$(printf "$(sed 's/../\\x&/g' <<< "$numbers")" | base64url)"
}
with_token() { # TOKEN PATH: the status
  curl -sk --max-time 10 -o "$FOLDER/out" -w '%{http_code}' -H "Authorization: Bearer $1" "$URL$2"
}
token_of() { # ACCOUNT [SPEC]
  local spec=${2:-}
  [ -n "$spec" ] || spec='{}'
  api "/api/v1/namespaces/default/serviceaccounts/$1/token" -X POST -H 'Content-Type: application/json' \
    -d "{\"spec\":$spec}" | jq -r .status.token
}
refused() { # STATUS WHAT TOKEN
  local got
  got=$(with_token "$3" $NODES)
  [ "$got" = "$1" ] || fail "$2: $got, not $1"
}
claims_of() { printf %s "$1" | cut -d. -f2 | tr '_-' '/+' | awk '{n=length($0)%4; if(n==2)$0=$0"=="; if(n==3)$0=$0"="; print}' | base64 -d; }

case_credentials_tokens() {
  plane_start
  eventually 10 token_of default > /dev/null
  local good claims key=$FOLDER/d/server/tls/service.key other=$FOLDER/other.key header now
  good=$(token_of default)
  same "$(with_token "$good" /version)" 200
  refused 403 'a good one without rights' "$good"
  claims=$(claims_of "$good")
  header='{"alg":"ES256","typ":"JWT"}'
  now=$(date +%s)
  same "$(with_token "$(jwt "$header" "$claims" "$key")" /version)" 200 # The forger's tool works.
  openssl ecparam -name prime256v1 -genkey -noout -out "$other"
  refused 401 'another key' "$(jwt "$header" "$claims" "$other")"
  refused 401 'alg none' "$(printf '{"alg":"none"}' | base64url).$(printf %s "$claims" | base64url)."
  refused 401 'alg HS256' "$(jwt '{"alg":"HS256","typ":"JWT"}' "$claims" "$key")"
  refused 401 'expired' "$(jwt "$header" "$(jq -c ".exp = $((now - 10))" <<< "$claims")" "$key")"
  refused 401 'not yet' "$(jwt "$header" "$(jq -c ".nbf = $((now + 600))" <<< "$claims")" "$key")"
  refused 401 'another issuer' "$(jwt "$header" "$(jq -c '.iss = "https://evil.example"' <<< "$claims")" "$key")"
  refused 401 'another account' "$(jwt "$header" "$(jq -c '."kubernetes.io".serviceaccount.name = "other"' <<< "$claims")" "$key")"
  refused 401 'an account of before' "$(jwt "$header" "$(jq -c '."kubernetes.io".serviceaccount.uid = "0"' <<< "$claims")" "$key")"
  refused 401 'claims swapped under a signature' "${good%%.*}.$(printf %s "$claims" | sed 's/:default"/:other"/' | base64url).${good##*.}"
  refused 401 'another audience' "$(token_of default '{"audiences":["vault"]}')"
  refused 401 'cut short' "${good%?????}"
  refused 401 'rubbish' 'a.b.c'
  refused 401 'four parts' "$good.x"
  ! grep -qF "${good##*.}" "$FOLDER/server.log" || fail 'a token stands in the log'

  # A new signing key without a restart; what the old one signed stays good, and is published.
  "$WHERRY" certificate rotate-service-key --data-dir "$FOLDER/d" > /dev/null
  same "$(with_token "$good" /version)" 200
  same "$(with_token "$(token_of default)" /version)" 200
  same "$(api /openid/v1/jwks | jq '.keys | length')" 2
}

case_credentials_bootstrap_and_static() {
  printf 'first-static,jane,7,"dev,ops"\n# nobody\n' > "$FOLDER/tokens"
  plane_start --token-auth-file "$FOLDER/tokens"
  whoami() { curl -sk --max-time 10 -X POST -H "Authorization: Bearer $1" -H 'Content-Type: application/json' -d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}' "$URL/apis/authentication.k8s.io/v1/selfsubjectreviews" | jq -c '[.status.userInfo.username, .status.userInfo.groups]'; }
  same "$(whoami first-static)" '["jane",["dev","ops","system:authenticated"]]'
  refused 401 'no such static token' second-static
  bootstrap() { # ID EXPIRATION USAGE
    api /api/v1/namespaces/kube-system/secrets -X POST -H 'Content-Type: application/json' -d "$(printf '{"metadata":{"name":"bootstrap-token-%s"},"type":"bootstrap.kubernetes.io/token","stringData":{"token-id":"%s","token-secret":"0123456789abcdef","expiration":"%s","usage-bootstrap-authentication":"%s","auth-extra-groups":"system:bootstrappers:workers"}}' "$1" "$1" "$2" "$3")" > /dev/null
  }
  bootstrap abcdef "$(date -u -d '+3 seconds' +%FT%TZ)" true
  bootstrap noauth "$(date -u -d '+1 hour' +%FT%TZ)" false
  same "$(whoami abcdef.0123456789abcdef)" '["system:bootstrap:abcdef",["system:bootstrappers","system:bootstrappers:workers","system:authenticated"]]'
  refused 401 'a wrong secret' abcdef.0123456789abcdee
  refused 401 'not for this' noauth.0123456789abcdef
  gone() { [ "$(api /api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef -o /dev/null -w '%{http_code}')" = 404 ]; }
  eventually 10 gone
  refused 401 'an expired one' abcdef.0123456789abcdef

  # A token without an end, on demand, for as long as its Secret is there.
  api /api/v1/namespaces/default/secrets -X POST -H 'Content-Type: application/json' -d '{"metadata":{"name":"long","annotations":{"kubernetes.io/service-account.name":"default"}},"type":"kubernetes.io/service-account-token"}' > /dev/null
  filled() { [ "$(api /api/v1/namespaces/default/secrets/long | jq -r '.data.token // ""')" != '' ]; }
  eventually 10 filled
  local long
  long=$(api /api/v1/namespaces/default/secrets/long | jq -r .data.token | base64 -d)
  same "$(jq -r .iss <<< "$(claims_of "$long")")" kubernetes/serviceaccount
  same "$(with_token "$long" /version)" 200
  # Its use leaves a mark, and who marks it as not valid any more has it refused.
  same "$(api /api/v1/namespaces/default/secrets/long | jq -r '.metadata.labels["kubernetes.io/legacy-token-last-used"]')" "$(date -u +%F)"
  has "$(api /api/v1/namespaces/kube-system/configmaps/kube-apiserver-legacy-service-account-token-tracking | jq -r .data.since)" '^20[0-9-]+$'
  mark() { answer PATCH /api/v1/namespaces/default/secrets/long application/merge-patch+json "{\"metadata\":{\"labels\":{\"kubernetes.io/legacy-token-invalid-since\":$1}}}"; }
  mark '"2026-01-01"'
  refused 401 'a token that is marked invalid' "$long"
  answer POST /apis/authentication.k8s.io/v1/tokenreviews application/json "{\"spec\":{\"token\":\"$long\"}}"
  has "$BODY" 'the token in secret default/long for service account default/default has been marked invalid. Use tokens'
  mark null
  same "$(with_token "$long" /version)" 200
  answer DELETE /api/v1/namespaces/default/secrets/long
  refused 401 'a token whose Secret has gone' "$long"
}

# A certificate by openssl alone: NAME SUBJECT CA-PREFIX [X509-OPTION...]
forge() {
  local name=$1 subject=$2 ca=$3
  shift 3
  openssl ecparam -name prime256v1 -genkey -noout -out "$FOLDER/$name.key"
  openssl req -new -key "$FOLDER/$name.key" -subj "$subject" -out "$FOLDER/$name.csr"
  printf 'extendedKeyUsage=%s\n' "${USAGE:-clientAuth}" > "$FOLDER/ext"
  openssl x509 -req -in "$FOLDER/$name.csr" -CA "$ca.crt" -CAkey "$ca.key" -CAcreateserial -CAserial "$FOLDER/serial" \
    -extfile "$FOLDER/ext" -out "$FOLDER/$name.crt" "$@" 2> /dev/null
}
# One that begins tomorrow, which only openssl's little authority can make.
not_yet() { # CA-PREFIX
  mkdir "$FOLDER/ca"
  : > "$FOLDER/ca/index"
  printf '[ca]\ndefault_ca=c\n[c]\ndatabase=%s/ca/index\nnew_certs_dir=%s/ca\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n[p]\nO=supplied\nCN=supplied\n[e]\nextendedKeyUsage=clientAuth\n' \
    "$FOLDER" "$FOLDER" > "$FOLDER/ca/config"
  openssl ecparam -name prime256v1 -genkey -noout -out "$FOLDER/early.key"
  openssl req -new -key "$FOLDER/early.key" -subj /O=system:masters/CN=root -out "$FOLDER/early.csr"
  openssl ca -batch -notext -config "$FOLDER/ca/config" -cert "$1.crt" -keyfile "$1.key" -in "$FOLDER/early.csr" -out "$FOLDER/early.crt" \
    -startdate "$(date -u -d '+1 day' +%Y%m%d%H%M%SZ)" -enddate "$(date -u -d '+2 days' +%Y%m%d%H%M%SZ)" 2> "$FOLDER/out" || { cat "$FOLDER/out"; return 1; }
}
with_certificate() { curl -sk --max-time 10 -o "$FOLDER/out" -w '%{http_code}' --cert "$FOLDER/$1.crt" --key "$FOLDER/$1.key" "$URL${2:-/version}"; }

case_credentials_certificates() {
  plane_start
  local ours=$FOLDER/d/server/tls/client-ca
  forge good /O=system:masters/CN=root "$ours" -days 1
  same "$(with_certificate good)" 200
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$FOLDER/evil.key" -out "$FOLDER/evil.crt" \
    -subj "$(openssl x509 -in "$ours.crt" -noout -subject -nameopt compat | sed 's/^subject=\/*/\//; s/^\/*/\//')" -days 1 2> /dev/null
  forge stranger /O=system:masters/CN=root "$FOLDER/evil" -days 1
  same "$(with_certificate stranger)" 401
  forge expired /O=system:masters/CN=root "$ours" -days -1
  same "$(with_certificate expired)" 401
  not_yet "$ours"
  same "$(with_certificate early)" 401
  USAGE=serverAuth forge wrongusage /O=system:masters/CN=root "$ours" -days 1
  same "$(with_certificate wrongusage)" 401
  forge server /O=system:masters/CN=root "$FOLDER/d/server/tls/server-ca" -days 1
  same "$(with_certificate server)" 401
  # A good token beside a bad certificate counts.
  eventually 10 token_of default > /dev/null
  same "$(curl -sk --max-time 10 -o /dev/null -w '%{http_code}' --cert "$FOLDER/stranger.crt" --key "$FOLDER/stranger.key" -H "Authorization: Bearer $(token_of default)" "$URL/version")" 200
  # Nobody becomes somebody else without the right to.
  local name
  for name in Impersonate-User:admin Impersonate-User:system:masters Impersonate-Group:system:masters; do
    same "$(curl -sk --max-time 10 -o /dev/null -w '%{http_code}' -H "${name/:/: }" -H "Authorization: Bearer $(token_of default)" "$URL/version")" \
      "$([ "${name%%:*}" = Impersonate-Group ] && echo 400 || echo 403)"
  done
}

memory_kib() { awk '/^VmRSS/ {print $2}' "/proc/$(cat "$FOLDER/pid")/status"; }
raw() { timeout "${LIMIT:-3}" openssl s_client -quiet -connect "127.0.0.1:$PORT" 2> /dev/null; }
raw_status() { LIMIT=${LIMIT:-3} raw | head -n 1 | cut -d' ' -f2 | tr -d '\r'; }

case_credentials_paths_and_headers() {
  plane_start
  local path status
  # However a path is written, nobody gets at what anonymous may not read.
  for path in /api/v1/secrets //api/v1/secrets /api//v1/secrets /api/v1/../v1/secrets /%61pi/v1/secrets \
    /version/../api/v1/secrets /api/v1/secrets/ /API/v1/secrets /version%2f..%2fapi/v1/secrets \
    /healthz/%2e%2e/api/v1/secrets /api/v1/%2e%2e/v1/secrets '/api/v1/secrets;x' /api/v1/secrets%00 /.//api/v1/secrets; do
    status=$(curl -sk --path-as-is --max-time 5 -o "$FOLDER/out" -w '%{http_code}' "$URL$path")
    case $status in 30[12378] | 400 | 403 | 404) ;; *) fail "$path: $status" ;; esac
    ! grep -q '"items"' "$FOLDER/out" || fail "$path answers a list"
  done
  { printf 'url = "%s/' "$URL" && head -c 90000 /dev/zero | tr '\0' a && echo '"'; } > "$FOLDER/long"
  status=$(curl -sk --max-time 5 -o /dev/null -w '%{http_code}' -K "$FOLDER/long") || true
  case $status in 431 | 000) ;; *) fail "a very long path: $status" ;; esac
  status=$(head -c 2000000 /dev/zero | tr '\0' a | sed 's/^/X-Long: /' | curl -sk --max-time 5 -o /dev/null -w '%{http_code}' -H @- "$URL/version") || true
  case $status in 431 | 000) ;; *) fail "huge headers: $status" ;; esac
  # Two readings of where a body ends are the smuggler's tool.
  status=$(printf 'POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello' | raw_status)
  same "$status" 400
  status=$(printf 'POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' | raw_status)
  same "$status" 400
  status=$(printf 'POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n' | raw_status)
  case $status in 400 | 501) ;; *) fail "another transfer coding: $status" ;; esac
  local text
  for text in 'Content-Length: +5' 'Content-Length: -5' 'Content-Length: 0x5' 'Content-Length: 5, 5' 'Content-Length: ' \
    'Content-Length: 18446744073709551621' 'Transfer-Encoding: chunked, identity' 'Transfer-Encoding: \013chunked' \
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked' 'Transfer-Encoding: chunked\r\nContent-Length: 5' \
    'X-A : b' ' X-A: b' 'X-A: b\r\n X-B: c' 'X-A: b\r\n\tX-B: c' 'X-A: b\n X-B: c' 'X-A: b\nX-B: c' 'X-A: b\rX-B: c' \
    'X-A: b\001' ': b' 'nothing' 'Host: y'; do
    status=$(printf "POST /api HTTP/1.1\r\nHost: x\r\n$text\r\n\r\n0\r\n\r\n" | raw_status)
    same "$text: $status" "$text: 400"
  done
  for text in zz ffffffffffffffff1 '-1' ' 5' '5\nhello\n0\n\n' '5\r\nhelloXX0'; do
    status=$(printf "POST /api HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n$text\r\n\r\n" | raw_status)
    same "chunk $text: $status" "chunk $text: 400"
  done
  for text in 'GET /version HTTP/1.1\nHost: x\n\n' 'GET /version\r\n\r\n' 'GET /ver\001sion HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /ver sion HTTP/1.1\r\nHost: x\r\n\r\n' 'GET version HTTP/1.1\r\nHost: x\r\n\r\n' 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /version HTTP/1.1\r\n\r\n' 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'; do
    status=$(printf "${text//%/%%}" | raw_status)
    same "$text: $status" "$text: 400"
  done
  # What stands in a body is no request, and nobody says by a header alone who they are.
  text=$(printf 'GET /version HTTP/1.1\r\nHost: x\r\nContent-Length: 42\r\n\r\nGET /api/v1/secrets HTTP/1.1\r\nHost: xx\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' | raw | tr -d '\r' | grep -aoE 'HTTP/1.1 [0-9]+|ok$' | xargs)
  same "$text" 'HTTP/1.1 200 HTTP/1.1 200 ok'
  same "$(printf 'GET /api/v1/secrets HTTP/1.1\r\nHost: x\r\nX-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n\r\n' | raw_status)" 403
  same "$(printf 'GET /version HTTP/1.1\r\nHost: x\r\nImpersonate-User: admin\r\nImpersonate-User: b\r\n\r\n' | raw_status)" 403
}

case_credentials_tls() {
  plane_start
  ! openssl s_client -connect "127.0.0.1:$PORT" -tls1_1 -cipher 'ALL:@SECLEVEL=0' < /dev/null > "$FOLDER/out" 2>&1 || fail 'TLS 1.1 is spoken'
  ! openssl s_client -connect "127.0.0.1:$PORT" -tls1_2 -cipher AES128-SHA:AES256-GCM-SHA384:AES128-GCM-SHA256 < /dev/null > "$FOLDER/out" 2>&1 || fail 'a cipher without forward secrecy'
  openssl s_client -connect "127.0.0.1:$PORT" -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256 < /dev/null > "$FOLDER/out" 2>&1
  openssl s_client -connect "127.0.0.1:$PORT" -tls1_3 < /dev/null > "$FOLDER/out" 2>&1
  # No secret is open to others, or stands in the process's own arguments.
  local file
  find "$FOLDER/d/server" \( -name '*.key' -o -name token -o -name '*.json' -o -name 'state.db*' -o -name '*.sock' \) > "$FOLDER/files"
  [ "$(wc -l < "$FOLDER/files")" -ge 6 ]
  while read -r file; do
    case $(stat -c %a "$file") in
      600) ;;
      *) [ "$(stat -c %a "$(dirname "$file")")" = 700 ] || fail "$file is open to others" ;;
    esac
  done < "$FOLDER/files"
  ! tr '\0' '\n' < "/proc/$(cat "$FOLDER/pid")/cmdline" | grep -q 'K10' || fail 'the token is an argument'
}

# Half requests that drip: they are cut off, others are served meanwhile, and nothing piles up.
case_credentials_slow_clients() {
  plane_start
  api /api/v1/namespaces > /dev/null
  local before after i dripping=()
  before=$(memory_kib)
  for i in $(seq 40); do
    (printf 'GET /version HTTP/1.1\r\nHost: x\r\n'; for _ in 1 2 3 4 5 6 7 8; do sleep 1; printf 'X-A: b\r\n'; done) | LIMIT=10 raw > /dev/null &
    dripping+=($!)
  done
  sleep 2
  for i in 1 2 3 4 5; do same "$(curl -sk --max-time 3 "$URL/readyz")" ok; done
  for i in $(seq 300); do
    (head -c 3000 /dev/urandom | timeout 5 busybox nc 127.0.0.1 "$PORT" > /dev/null 2>&1) &
    dripping+=($!)
  done
  for i in "${dripping[@]}"; do wait "$i" || true; done
  after=$(memory_kib)
  # The address sanitizer keeps what was freed.
  [[ $BUILD == *-address* ]] || [ $((after - before)) -lt 15000 ] || fail "memory grew from $before to $after KiB"
  plane_ready
}
