# Identities that come from outside: an OpenID provider, slow, away and there, and proxies that
# speak for others.

WHO=/apis/authentication.k8s.io/v1/selfsubjectreviews
# who CURL-OPTION...: what the server takes the sender for, or the code of its refusal.
who() {
  curl -sS --max-time 20 --cacert "$FOLDER/ca.crt" "$URL$WHO" -H 'Content-Type: application/json' "$@" \
    -d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}' |
    jq -r 'if .code then .code else (.status.userInfo | .username + " " + (.groups | join(","))) end'
}

authority() { # NAME
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$FOLDER/$1.key" -out "$FOLDER/$1.crt" -days 2 -subj "/CN=$1" 2> /dev/null
}
certified() { # AUTHORITY NAME SUBJECT [SAN]
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$FOLDER/$2.key" -out "$FOLDER/$2.csr" -subj "$3" 2> /dev/null
  printf '%s\n' 'extendedKeyUsage=serverAuth,clientAuth' ${4:+"subjectAltName=$4"} > "$FOLDER/$2.ext"
  openssl x509 -req -in "$FOLDER/$2.csr" -CA "$FOLDER/$1.crt" -CAkey "$FOLDER/$1.key" -CAcreateserial -out "$FOLDER/$2.crt" -days 2 -extfile "$FOLDER/$2.ext" 2> /dev/null
}

# ---- An OpenID provider, played by OpenSSL

base64url() { base64 -w0 | tr '+/' '-_' | tr -d '='; }

issuer_make() {
  ISSUER_PORT=$((20000 + RANDOM % 9000))
  ISSUER=https://127.0.0.1:$ISSUER_PORT/realm
  authority issuer-ca
  certified issuer-ca issuer /CN=issuer IP:127.0.0.1
  openssl genrsa -out "$FOLDER/sign.key" 2048 2> /dev/null
  mkdir -p "$FOLDER/site/realm/.well-known"
  printf '{"issuer":"%s","jwks_uri":"%s/keys"}' "$ISSUER" "$ISSUER" > "$FOLDER/site/realm/.well-known/openid-configuration"
  printf '{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"k1","e":"AQAB","n":"%s"}]}' \
    "$(openssl rsa -in "$FOLDER/sign.key" -noout -modulus | cut -d= -f2 | xxd -r -p | base64url)" > "$FOLDER/site/realm/keys"
}
# issuer_start [-WWW]: without it the provider takes requests and answers none.
issuer_start() {
  (cd "$FOLDER/site" && exec openssl s_server -accept "127.0.0.1:$ISSUER_PORT" -cert "$FOLDER/issuer.crt" -key "$FOLDER/issuer.key" -quiet "$@") \
    > "$FOLDER/issuer.log" 2>&1 < <(sleep 60) &
  ISSUER_PID=$!
}
issuer_stop() {
  kill "$ISSUER_PID"
  wait "$ISSUER_PID" || true
}
token() { # CLAIMS, for $AUDIENCE
  local head body
  head=$(printf '{"alg":"RS256","kid":"k1"}' | base64url)
  body=$(printf '{"iss":"%s","aud":"%s","exp":%d,%s}' "$ISSUER" "${AUDIENCE:-wherry}" $(($(date +%s) + 600)) "$1" | base64url)
  printf '%s.%s.%s' "$head" "$body" "$(printf '%s.%s' "$head" "$body" | openssl dgst -sha256 -sign "$FOLDER/sign.key" | base64url)"
}

case_identity_openid() {
  command -v xxd > /dev/null || skip 'it takes xxd'
  issuer_make
  issuer_start
  plane_start --oidc-issuer-url "$ISSUER" --oidc-client-id wherry --oidc-ca-file "$FOLDER/issuer-ca.crt" --oidc-groups-claim roles --oidc-groups-prefix oidc:
  local good end pid
  good=$(token '"sub":"jane","roles":["dev"]')
  # Its tokens wait a little, and nobody else does.
  who -H "Authorization: Bearer $good" > "$FOLDER/slow" &
  pid=$!
  end=$((SECONDS + 2))
  while [ $SECONDS -lt $end ]; do
    same "$(api /api/v1/namespaces/default -o /dev/null -w '%{http_code} %{time_total}' | awk '{print $1, $2 < 1}')" '200 1'
  done
  wait $pid
  same "$(cat "$FOLDER/slow")" 401
  issuer_stop
  unreachable() { grep -q "the keys of $ISSUER are not known: " "$FOLDER/server.log"; }
  eventually 20 unreachable
  issuer_start -WWW
  taken() { [ "$(who -H "Authorization: Bearer $good")" = "$ISSUER#jane oidc:dev,system:authenticated" ]; }
  eventually 40 taken
  # What it has said once stays known when it goes.
  issuer_stop
  taken || fail 'the keys are forgotten'
  same "$(who -H "Authorization: Bearer $(AUDIENCE=other token '"sub":"joe"')")" 401
  same "$(who -H "Authorization: Bearer ${good%.*}.$(printf x | base64url)")" 401
  lacks "$(cat "$FOLDER/server.log")" "$good"
}

case_identity_wrong_flags() {
  fails_with '--oidc-issuer-url and --oidc-client-id go together' plane_start --oidc-client-id x
  fails_with '--oidc-issuer-url http://x is no https URL' plane_start --oidc-client-id x --oidc-issuer-url http://x
  fails_with '--requestheader-allowed-names needs --requestheader-client-ca-file' plane_start --requestheader-allowed-names x
  echo nonsense > "$FOLDER/no.crt"
  fails_with "$FOLDER/no.crt: " plane_start --requestheader-client-ca-file "$FOLDER/no.crt"
}

# ---- Proxies

MAP=/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication
map_is_right() {
  [ "$(api $MAP | jq -r '.data["requestheader-client-ca-file"]')" = "$(cat "$FOLDER/proxies.crt")" ] &&
    [ "$(api $MAP | jq -r '.data["client-ca-file"]')" = "$(cat "$FOLDER/d/server/tls/client-ca.crt")" ] &&
    [ "$(api $MAP | jq -r '.data | del(.["client-ca-file"], .["requestheader-client-ca-file"]) | to_entries | sort_by(.key) | map(.value) | join(" ")')" = \
      '["front"] ["X-Remote-Extra-"] ["X-Remote-Group"] ["X-Remote-Uid"] ["X-Remote-User"]' ]
}

case_identity_proxy() {
  authority proxies
  certified proxies front /CN=front
  certified proxies other /CN=other
  plane_start --requestheader-client-ca-file "$FOLDER/proxies.crt" --requestheader-allowed-names front
  local front=(--cert "$FOLDER/front.crt" --key "$FOLDER/front.key") other=(--cert "$FOLDER/other.crt" --key "$FOLDER/other.key")
  same "$(who "${front[@]}" -H 'X-Remote-User: joe' -H 'X-Remote-Group: a' -H 'X-Remote-Group: b')" 'joe a,b,system:authenticated'
  same "$(who "${front[@]}")" 401
  same "$(who "${other[@]}" -H 'X-Remote-User: joe')" 401
  same "$(who "${IDENTITY[@]:2}" -H 'X-Remote-User: joe')" 'system:admin system:masters,system:authenticated'
  map_is_right || fail "the ConfigMap is wrong: $(api $MAP)"
  api $MAP -X DELETE > /dev/null
  eventually 5 map_is_right
  answer PATCH $MAP application/merge-patch+json '{"data":{"client-ca-file":"mine"}}'
  same "$STATUS" 200
  eventually 5 map_is_right
  # New certificates of the server's own change nothing about it.
  "$WHERRY" certificate rotate --data-dir "$FOLDER/d" > /dev/null
  same "$(who "${front[@]}" -H 'X-Remote-User: joe')" 'joe system:authenticated'
}
