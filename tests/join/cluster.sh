#!/bin/bash
# Two machines: a server in one network namespace and an agent in another, on one wire; real kubectl.
# Needs root, runc, busybox and a kubectl; says what it skips without. FILTER, KEEP as tests/e2e.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 1
BUILD=${BUILD:-build}
WHERRY=$(readlink -f "${WHERRY:-$BUILD/wherry}")

source tests/lib/cases.sh
source tests/lib/world.sh
source tests/lib/images.sh
source tests/e2e/kubectl.sh

give_up() {
  echo "skipped tests/join/cluster.sh: $*"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
}
[ "$(id -u)" = 0 ] || give_up "needs root to run pods"
for tool in runc nsenter ip curl busybox; do
  command -v $tool > /dev/null || give_up "needs $tool"
done
declare -A CLIENTS=()
while read -r name path; do CLIENTS[$name]=$path; done < <(tests/e2e/clients.sh)
[ ${#CLIENTS[@]} -gt 0 ] || give_up "no kubectl could be had"
NEWEST=$(printf '%s\n' "${!CLIENTS[@]}" | sort -rV | head -n 1)
SPACE=default
unset -f case_setup  # One namespace for all: the cases build on each other.

agent_launch() {
  setsid nsenter --net="/run/netns/$OUTSIDE_NS" "$WHERRY" agent --data-dir "$AGENT_DATA" \
    --server https://$NODE_IP:6443 --token "$(cat "$DATA/server/token")" \
    --node-ip $OUTSIDE_IP --node-name node-2 "$@" >> "$WORLD/agent.log" 2>&1 < /dev/null &
  AGENT_PID=$!
  disown
  echo "$AGENT_PID" > "$WORLD/agent.pid"
}

agent_stop() { # [SIGNAL]
  local pid end=$((SECONDS + 15))
  pid=$(cat "$WORLD/agent.pid" 2> /dev/null) || return 0
  kill "-${1:-TERM}" "$pid" 2> /dev/null || return 0
  while kill -0 "$pid" 2> /dev/null && [ "$(awk '{print $3}' "/proc/$pid/stat" 2> /dev/null)" != Z ]; do
    [ $SECONDS -lt $end ] || { echo "the agent does not end" >&2; kill -KILL "$pid"; return 1; }
    sleep 0.05
  done
}

ready() { # NODE STATUS
  same "$(kn get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" "$2"
}
field() { # JSONPATH WHAT...
  local path=$1
  shift
  k get "$@" -o "jsonpath=$path"
}
pod_on() { # NODE: a running pod of the Deployment "web" there
  k get pods -l app=web --field-selector "spec.nodeName=$1,status.phase=Running" -o 'jsonpath={.items[*].metadata.name}'
}
is_on() { [ -n "$(pod_on "$1")" ]; }
says() { has "$("${@:2}")" "$1"; }
says_quickly() { LIMIT=5 says "$@"; }

# ---- The cases, one after the other: each builds on those before.

case_01_joins() {
  eventually 30 ready node-1 True
  eventually 60 ready node-2 True
  same "$(field '{.spec.podCIDR}' node node-1)" 10.42.0.0/24
  same "$(field '{.spec.podCIDR}' node node-2)" 10.42.1.0/24
  same "$(field '{.status.addresses[0].address}' node node-2)" $OUTSIDE_IP
  has "$(k get nodes)" 'node-2 +Ready'
}

case_02_another_machine_cannot_take_the_name() {
  fails_with 'another machine has the name' outside timeout 20 "$WHERRY" agent \
    --data-dir "$WORLD/thief" --server https://$NODE_IP:6443 --token "$(cat "$DATA/server/token")" --node-name node-2
  fails_with 'the token is not that of this cluster|another digest' outside timeout 20 "$WHERRY" agent \
    --data-dir "$WORLD/guess" --server https://$NODE_IP:6443 --token guess --node-name node-3
}

case_03_pods_on_both() {
  outside "$WHERRY" images import --data-dir "$AGENT_DATA" "$IMAGES/box1.tar"
  k create configmap page --from-literal=text=one
  k apply -f - <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - labelSelector: {matchLabels: {app: web}}
            topologyKey: kubernetes.io/hostname
      containers:
      - name: web
        image: $BOX
        imagePullPolicy: Never
        volumeMounts: [{name: page, mountPath: /page}]
      volumes: [{name: page, configMap: {name: page}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
YAML
  k rollout status deployment/web --timeout=60s
  is_on node-1
  is_on node-2
}

case_04_pods_reach_each_other() {
  local one two from to
  one=$(pod_on node-1) two=$(pod_on node-2)
  has "$(field '{.status.podIP}' pod "$two")" '^10\.42\.1\.'
  for pair in "$one $two" "$two $one"; do
    read -r from to <<< "$pair"
    eventually 10 says_quickly "$to" k exec "$from" -- timeout 3 wget -qO- "http://$(field '{.status.podIP}' pod "$to")/"
  done
  # The nodes themselves, too.
  has "$(in_node curl -s --max-time 5 "http://$(field '{.status.podIP}' pod "$two")/")" "$two"
  has "$(outside curl -s --max-time 5 "http://$(field '{.status.podIP}' pod "$one")/")" "$one"
}

case_05_services_and_names_on_both() {
  local ip pod
  ip=$(field '{.spec.clusterIP}' service web)
  for pod in $(pod_on node-1) $(pod_on node-2); do
    for other in $(pod_on node-1) $(pod_on node-2); do
      eventually 20 says_quickly "$other" k exec "$pod" -- timeout 3 wget -qO- "http://$ip/"
    done
    eventually 10 says_quickly "$ip" k exec "$pod" -- nslookup web.default.svc.cluster.local
  done
  eventually 10 says web- outside curl -s --max-time 5 "http://$ip/"
}

case_06_logs_exec_port_forward() {
  local two
  two=$(pod_on node-2)
  has "$(k logs "$two")" "serving as $two"
  same "$(k exec "$two" -- hostname)" "$two"
  same "$(echo through the tunnel | k exec -i "$two" -- cat)" "through the tunnel"
  same "$(k exec "$two" -- sh -c 'exit 7' 2> /dev/null; echo $?)" 7
  # More than any buffer on the way holds.
  same "$(k exec "$two" -- sh -c 'head -c 5000000 /dev/zero' | wc -c)" 5000000
  k port-forward "$two" 18080:80 > "$WORLD/forward.log" 2>&1 &
  eventually 10 says "$two" in_node curl -s --max-time 5 http://127.0.0.1:18080/
  has "$(kn get --raw "/api/v1/namespaces/default/pods/$two/proxy/")" "$two"
}

case_07_a_config_map_follows() {
  local two
  two=$(pod_on node-2)
  same "$(k exec "$two" -- cat /page/text)" one
  k patch configmap page --type merge -p '{"data":{"text":"two"}}'
  eventually 30 says two k exec "$two" -- cat /page/text
}

case_08_the_server_is_killed() {
  local two uid ip
  two=$(pod_on node-2)
  uid=$(field '{.metadata.uid}' pod "$two")
  ip=$(field '{.status.podIP}' pod "$two")
  server_stop KILL
  has "$(outside curl -s --max-time 5 "http://$ip/")" "$two"
  server_start
  eventually 30 says_quickly "$two" k exec "$two" -- hostname
  ready node-2 True
  same "$(field '{.metadata.uid} {.status.containerStatuses[0].restartCount}' pod "$two")" "$uid 0"
}

case_09_the_agent_starts_without_its_server() {
  local two uid ip
  two=$(pod_on node-2)
  uid=$(field '{.metadata.uid}' pod "$two")
  ip=$(field '{.status.podIP}' pod "$two")
  server_stop
  agent_stop KILL
  agent_launch
  eventually 20 grep -q 'starting with what is on disk' "$WORLD/agent.log"
  eventually 20 says "$two" outside curl -s --max-time 2 "http://$ip/"
  server_start
  eventually 40 says_quickly "$two" k exec "$two" -- hostname
  eventually 20 ready node-2 True
  same "$(field '{.metadata.uid} {.status.containerStatuses[0].restartCount}' pod "$two")" "$uid 0"
}
case_10_cordon_and_drain() {
  k cordon node-2
  has "$(k get node node-2)" SchedulingDisabled
  k drain node-2 --ignore-daemonsets --delete-emptydir-data --timeout=60s
  same "$(pod_on node-2)" ""
  k uncordon node-2
  k rollout status deployment/web --timeout=60s
  is_on node-2
}

case_11_a_lost_node_is_noticed_and_comes_back() {
  agent_stop KILL
  eventually 90 ready node-2 Unknown
  eventually 5 says unreachable kn get node node-2 -o 'jsonpath={.spec.taints}'
  eventually 10 same_ready_endpoints 1
  fails_with 'node-2' k exec "$(k get pods -l app=web --field-selector spec.nodeName=node-2 -o 'jsonpath={.items[0].metadata.name}')" -- hostname
  agent_launch
  eventually 40 ready node-2 True
  eventually 20 lacks_taints
  eventually 20 same_ready_endpoints 2
}
lacks_taints() { same "$(kn get node node-2 -o 'jsonpath={.spec.taints}')" ""; }
same_ready_endpoints() {
  same "$(k get endpointslices -l kubernetes.io/service-name=web -o 'jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].targetRef.name}' | wc -w)" "$1"
}

case_12_stops_and_leaves_nothing() {
  k delete deployment web --wait=false
  eventually 40 no_pods
  agent_stop
  server_stop
  outside "$WHERRY" stop --workloads --data-dir "$AGENT_DATA"
  in_node "$WHERRY" stop --workloads --data-dir "$DATA"
  same "$(world_leaks)" ""
  same "$(outside nft list tables)" ""
  same "$(outside ip -o link | awk -F': ' '{print $2}' | sed 's/@.*//' | grep -vxE 'lo|wire' || true)" ""
  same "$(outside ip route show 10.42.0.0/16 | wc -l)" 0
}
no_pods() { same "$(k get pods -l app=web -o name)" ""; }

case_teardown() { world_remember; ls "$AGENT_DATA/agent/pods" 2> /dev/null >> "$WORLD/uids"; }

close() {
  agent_stop KILL
  ls "$AGENT_DATA/agent/pods" 2> /dev/null >> "$WORLD/uids"
  world_close
  rm -rf "$IMAGES"
}
trap close EXIT
trap 'exit 130' INT TERM
IMAGES=$(mktemp -d)
world_open || { echo "cannot make network namespaces"; exit 1; }
AGENT_DATA=$WORLD/d/a  # Below the other, so that the same search finds what is left.
mkdir -p "$AGENT_DATA"
server_start || exit 1
agent_launch
prepare_images || exit 1
mapfile -t cases < <(compgen -A function case_ | grep -E '^case_[0-9]' | sort)
run_cases 1 "${cases[@]}"
if [ "$CASES_FAILED" -gt 0 ]; then
  tail -n 15 "$WORLD/server.log" | sed 's/^/server | /'
  tail -n 15 "$WORLD/agent.log" | sed 's/^/agent | /'
fi
[ -n "${KEEP:-}" ] && echo "kept: $WORLD, $CASES_LOGS" || rm -rf "$CASES_LOGS"
finish_cases
