# The disk under the data folder is full: writes are refused and say why, reads go on, and with room
# again everything goes on without a restart.

inside() { nsenter --mount="/proc/$(cat "$FOLDER/pid")/ns/mnt" "$@"; }

put_map() { # NAME BYTES
  answer POST /api/v1/namespaces/default/configmaps application/json \
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"$1\"},\"data\":{\"v\":\"$(head -c "$2" /dev/zero | tr '\0' x)\"}}"
}

case_full_disk() {
  [ "$(id -u)" = 0 ] || skip "needs root to mount a small disk"
  local i kept=0 refused=0
  mkdir -p "$FOLDER/d"
  printf '#!/bin/sh\nmount -t tmpfs -o size=24m none "%s/d" && exec "$@"\n' "$FOLDER" > "$FOLDER/with-disk"
  chmod 755 "$FOLDER/with-disk"
  PLANE_PREFIX="unshare --mount --propagation private $FOLDER/with-disk"
  plane_start
  put_map before 1000
  same "$STATUS" 201
  inside dd if=/dev/zero of="$FOLDER/d/filler" bs=64k 2> /dev/null || true
  for i in $(seq 60); do
    put_map "m$i" 100000
    if [ "$STATUS" = 201 ]; then kept=$((kept + 1)); else refused=$((refused + 1)) last=$STATUS; fi
    [ "$refused" -lt 3 ] || break
  done
  echo "kept $kept, refused $refused with ${last:-nothing}: $BODY"
  [ "$refused" -ge 3 ]
  same "$last" 507
  has "$BODY" '"message": ?"the disk under .* is full: nothing was written'
  same "$(api /api/v1/namespaces/default/configmaps/before | jq -r .metadata.name)" before
  same "$(api /api/v1/namespaces/default/configmaps | jq '[.items[] | select(.metadata.name | startswith("m"))] | length')" $kept
  api "/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=0&timeoutSeconds=1" > "$FOLDER/watch"
  has "$(cat "$FOLDER/watch")" '"before"'
  inside rm "$FOLDER/d/filler"
  eventually 10 put_again
  answer DELETE /api/v1/namespaces/default/configmaps/before
  same "$STATUS" 200
  kill -0 "$(cat "$FOLDER/pid")"
}
put_again() { put_map "after-$RANDOM" 1000; [ "$STATUS" = 201 ]; }
