# A control plane without pods in $FOLDER, on a free port of loopback. Sourced; needs no root.
#
#   plane_start [FLAG...]    until /readyz says ok; $PORT
#   plane_stop [SIGNAL]
#   api PATH [CURL-OPTION...]    as the administrator; body to stdout
#   answer METHOD PATH [TYPE BODY]   sets $STATUS and $BODY; a BODY "@file" is read from there

plane_ready() { [ "$(curl -sk --max-time 2 "https://127.0.0.1:$PORT/readyz")" = ok ]; }

# Starts through $PLANE_PREFIX (a command that runs the rest), if there is one.
plane_start() {
  local end=$((SECONDS + 15)) known
  rm -f "$FOLDER/admin.yaml"
  ${PLANE_PREFIX:-} "$WHERRY" server --disable-agent --data-dir "$FOLDER/d" --bind-address 127.0.0.1 \
    --https-listen-port 0 --write-kubeconfig "$FOLDER/admin.yaml" "$@" >> "$FOLDER/server.log" 2>&1 < /dev/null &
  echo $! > "$FOLDER/pid"
  disown
  while [ $SECONDS -lt $end ]; do
    known=$(sed -n 's,.*server: https://127.0.0.1:,,p' "$FOLDER/admin.yaml" 2> /dev/null) || true
    PORT=${known:-0}
    if [ "$PORT" != 0 ] && plane_ready; then
      plane_identity
      return 0
    fi
    kill -0 "$(cat "$FOLDER/pid")" 2> /dev/null || break
    sleep 0.02
  done
  echo "the server does not come up:" >&2
  tail -n 20 "$FOLDER/server.log" >&2
  return 1
}

plane_identity() {
  local part
  for part in certificate-authority-data:ca.crt client-certificate-data:admin.crt client-key-data:admin.key; do
    sed -n "s/^ *${part%%:*}: *//p" "$FOLDER/admin.yaml" | head -n 1 | base64 -d > "$FOLDER/${part#*:}"
  done
  URL=https://127.0.0.1:$PORT
  IDENTITY=(--cacert "$FOLDER/ca.crt" --cert "$FOLDER/admin.crt" --key "$FOLDER/admin.key")
}

plane_stop() {
  local pid end=$((SECONDS + 15))
  pid=$(cat "$FOLDER/pid" 2> /dev/null) || return 0
  kill "-${1:-TERM}" "$pid" 2> /dev/null || return 0
  while kill -0 "$pid" 2> /dev/null && [ "$(awk '{print $3}' "/proc/$pid/stat" 2> /dev/null)" != Z ]; do
    [ $SECONDS -lt $end ] || { echo "the server does not end on ${1:-TERM}" >&2; return 1; }
    sleep 0.02
  done
}

api() {
  local path=$1
  shift
  curl -sS --max-time 20 "${IDENTITY[@]}" "$URL$path" "$@"
}

answer() {
  local method=$1 path=$2 out
  shift 2
  out=$(mktemp)
  if [ $# -gt 0 ]; then
    STATUS=$(api "$path" -X "$method" -o "$out" -w '%{http_code}' -H "Content-Type: $1" --data-binary "$2" -H 'Expect:')
  else
    STATUS=$(api "$path" -X "$method" -o "$out" -w '%{http_code}')
  fi
  BODY=$(cat "$out")
  rm -f "$out"
}

# Another server instead, by a kubeconfig with file paths or inline data.
plane_other() {
  local name part
  URL=$(sed -n 's/.*server: *"\{0,1\}\([^",} ]*\).*/\1/p' "$1" | head -n 1)
  for part in certificate-authority:ca.crt client-certificate:admin.crt client-key:admin.key; do
    name=$(sed -n "s/.*${part%%:*}: *\([^,} ]*\).*/\1/p" "$1" | head -n 1)
    if [ -n "$name" ]; then
      cp "$name" "$FOLDER/${part#*:}"
    else
      sed -n "s/^ *${part%%:*}-data: *//p" "$1" | head -n 1 | base64 -d > "$FOLDER/${part#*:}"
    fi
  done
  IDENTITY=(--cacert "$FOLDER/ca.crt" --cert "$FOLDER/admin.crt" --key "$FOLDER/admin.key")
}
