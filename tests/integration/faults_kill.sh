# kill -9 under concurrent writes; the program beside this file says what must hold.
case_kill_rounds() {
  "$BUILD/tests/integration/kill_rounds" "$WHERRY" "$FOLDER" "${ROUNDS:-8}" ${SEED:-} | tee "$FOLDER/out"
}

# Two servers side by side, different folders; a second one on the same folder is refused.
case_second_server() {
  plane_start
  fails_with 'another server or agent runs on' "$WHERRY" server --disable-agent --data-dir "$FOLDER/d" \
    --https-listen-port 0 --write-kubeconfig "$FOLDER/other.yaml"
  plane_ready
}

# TERM ends it cleanly; what was written just before is there afterwards, Events and Leases too.
case_clean_stop_keeps_lazy_objects() {
  local revision
  plane_start
  answer POST /api/v1/namespaces/default/events application/json '{"apiVersion":"v1","kind":"Event",
    "metadata":{"name":"e1"},"involvedObject":{"kind":"Pod","namespace":"default","name":"x"},"reason":"R","message":"m","type":"Normal"}'
  same "$STATUS" 201
  answer POST /apis/coordination.k8s.io/v1/namespaces/default/leases application/json \
    '{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"l1"},"spec":{"holderIdentity":"me"}}'
  same "$STATUS" 201
  revision=$(jq -r .metadata.resourceVersion <<< "$BODY")
  plane_stop TERM
  plane_start
  same "$(api /api/v1/namespaces/default/events/e1 | jq -r .reason)" R
  same "$(api /apis/coordination.k8s.io/v1/namespaces/default/leases/l1 | jq -r .metadata.resourceVersion)" "$revision"
}

# Damage to the database's file is found, said, and does not pass for an empty cluster.
case_damaged_database() {
  plane_start
  for i in $(seq 50); do
    answer POST /api/v1/namespaces/default/configmaps application/json \
      '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m'"$i"'"},"data":{"v":"'"$(printf '%0500d' "$i")"'"}}'
  done
  plane_stop TERM
  local size file=$FOLDER/d/server/db/state.db
  size=$(stat -c %s "$file")
  dd if=/dev/urandom of="$file" bs=1 seek=$((size / 2)) count=3000 conv=notrunc 2> /dev/null
  if plane_start 2> /dev/null; then
    # Came up: then nothing may be missing.
    same "$(api /api/v1/namespaces/default/configmaps | jq '[.items[] | select(.metadata.name | startswith("m"))] | length')" 50
  else
    grep -qiE 'damaged|corrupt|malformed' "$FOLDER/server.log"
  fi
}
