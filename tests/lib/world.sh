# A one-node cluster in network namespaces of its own. Sourced; needs root for the agent.
#
#   world_open          folder $WORLD, namespaces $NODE_NS (the node) and $OUTSIDE_NS (a machine on the
#                       same wire), no server yet
#   server_start [FLAG...]   until /readyz says ok; $SERVER_PID
#   server_stop [SIGNAL]     TERM unless told
#   in_node COMMAND...  | outside COMMAND...
#   world_close         ends all, takes all away, whatever state it is in
#   world_leaks         prints what the program left: processes, mounts, cgroups, links, tables
#
# The host's own tables, links and names are not touched: the wire between the two namespaces is made
# inside them, and the server's file system traces are all under $WORLD.

NODE_IP=192.0.2.1
OUTSIDE_IP=192.0.2.2
SERVER_PID=
SERVER_FLAGS=()

in_node() { nsenter --net="/run/netns/$NODE_NS" "$@"; }
outside() { nsenter --net="/run/netns/$OUTSIDE_NS" "$@"; }

world_open() {
  # A short path: sockets under it have names of at most 107 bytes.
  WORLD=$(mktemp -d "${TMPDIR:-/tmp}/wherry.XXXXXX")
  chmod 755 "$WORLD"
  local tag=${WORLD##*.}
  NODE_NS=wherry-$tag-node OUTSIDE_NS=wherry-$tag-out
  DATA=$WORLD/d KUBECONFIG_FILE=$WORLD/admin.yaml
  OWN_NETNS_FOLDER=
  [ -d /run/netns ] || OWN_NETNS_FOLDER=1
  ip netns add "$NODE_NS" && ip netns add "$OUTSIDE_NS" || return 1
  ip -n "$NODE_NS" link set lo up
  ip -n "$OUTSIDE_NS" link set lo up
  ip link add wire netns "$NODE_NS" type veth peer name wire netns "$OUTSIDE_NS" || return 1
  ip -n "$NODE_NS" addr add $NODE_IP/24 dev wire
  ip -n "$OUTSIDE_NS" addr add $OUTSIDE_IP/24 dev wire
  ip -n "$NODE_NS" link set wire up
  ip -n "$OUTSIDE_NS" link set wire up
  ip -n "$NODE_NS" route add default via $OUTSIDE_IP
}

server_ready() {
  kill -0 "$SERVER_PID" 2> /dev/null || return 0
  [ "$(in_node curl -sk --max-time 2 https://127.0.0.1:6443/readyz)" = ok ]
}

# Without waiting. setsid: a Ctrl-C for the test must not reach the server.
server_launch() {
  setsid nsenter --net="/run/netns/$NODE_NS" "$WHERRY" server --data-dir "$DATA" \
    --write-kubeconfig "$KUBECONFIG_FILE" --node-ip $NODE_IP --node-name node-1 \
    "${SERVER_FLAGS[@]}" "$@" >> "$WORLD/server.log" 2>&1 < /dev/null &
  SERVER_PID=$!
  disown  # No word about it when it is killed.
  echo "$SERVER_PID" > "$WORLD/server.pid"
}

server_start() {
  local end=$((SECONDS + 20))
  server_launch "$@"
  until server_ready; do
    [ $SECONDS -lt $end ] || break
    sleep 0.02
  done
  if ! kill -0 "$SERVER_PID" 2> /dev/null || ! server_ready; then
    echo "the server does not come up:" >&2
    tail -n 20 "$WORLD/server.log" >&2
    return 1
  fi
}

# The server may have been started by another shell than the one that ends it, so no `wait`.
server_stop() {
  local pid end=$((SECONDS + ${STOP_PATIENCE:-15}))
  pid=$(cat "$WORLD/server.pid" 2> /dev/null) || return 0
  kill "-${1:-TERM}" "$pid" 2> /dev/null || return 0
  while kill -0 "$pid" 2> /dev/null && [ "$(awk '{print $3}' "/proc/$pid/stat" 2> /dev/null)" != Z ]; do
    if [ $SECONDS -ge $end ]; then
      echo "the server does not end on ${1:-TERM}" >&2
      kill -KILL "$pid"
      return 1
    fi
    sleep 0.02
  done
}

# Processes that belong to the pods of this world: by the shim's folder, by cgroup, by namespace.
world_pod_uids() { ls "$DATA/agent/pods" 2> /dev/null; }

world_processes() {
  local uids pid line
  uids=$(cat "$WORLD/uids" 2> /dev/null | sort -u)
  for pid in $(ls /proc | grep -E '^[0-9]+$'); do
    [ "$pid" = $$ ] && continue
    line=$(cat "/proc/$pid/cgroup" 2> /dev/null) && [ -r "/proc/$pid/cmdline" ] || continue
    if [ -n "$uids" ] && grep -qFf <(echo "$uids") <<< "$line"; then
      echo "$pid"
    elif { tr '\0' ' ' < "/proc/$pid/cmdline" | grep -qF "$DATA/"; } 2> /dev/null; then
      echo "$pid"
    fi
  done
}

world_cgroups() {
  local uid
  for uid in $(sort -u "$WORLD/uids" 2> /dev/null); do
    find /sys/fs/cgroup -depth -type d -path "*pod$uid*" 2> /dev/null
  done
}

world_mounts() { awk '{print $5}' /proc/self/mountinfo | grep -F "$WORLD/" | sort -r; }

# What the program itself leaves once it was told to take its pods away.
world_remember() { world_pod_uids >> "$WORLD/uids"; }

world_leaks() {
  local left
  left=$(world_processes)
  [ -z "$left" ] || ps -o pid=,args= -p $(echo $left | tr ' ' ',') | sed 's/^/process /'
  world_mounts | sed 's/^/mount /'
  world_cgroups | sed 's/^/cgroup /'
  in_node nft list tables | sed 's/^/nft /'
  in_node ip -o link | awk -F': ' '{print $2}' | sed 's/@.*//' | grep -vxE 'lo|wire' | sed 's/^/link /'
}

world_close() {
  local pid folder point
  [ -n "${WORLD:-}" ] && [ -d "$WORLD" ] || return 0
  world_remember
  server_stop KILL
  registry_stop
  for pid in $(world_processes); do kill -KILL "$pid" 2> /dev/null; done
  sleep 0.2
  for point in $(world_mounts); do umount -l "$point"; done
  for folder in $(world_cgroups); do rmdir "$folder" 2> /dev/null; done
  ip netns del "$NODE_NS" 2> /dev/null
  ip netns del "$OUTSIDE_NS" 2> /dev/null
  # ip leaves its folder behind, mounted upon itself.
  if [ -n "${OWN_NETNS_FOLDER:-}" ] && [ -z "$(ls -A /run/netns)" ]; then
    umount /run/netns && rmdir /run/netns
  fi
  [ -n "${KEEP:-}" ] || rm -rf "$WORLD"
}
