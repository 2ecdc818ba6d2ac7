# Cases that nothing else may run beside: the server stops, or the whole node is counted.

container_ids() { k get pods -o 'jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[*].containerID} {.status.containerStatuses[*].restartCount}{"\n"}{end}'; }

node_processes() { pgrep -f "serve-$SPACE" | sort; }

# Pods go on without the server and are the same ones after it; a watch goes on where it was.
restart_with() { # SIGNAL
  local before after revision processes began took
  k create deployment web --image=$BOX --replicas=2 > /dev/null
  k expose deployment web --port=80 > /dev/null
  k rollout status deployment/web --timeout=30s
  pod counter 'i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done' > /dev/null
  ready pod/counter
  local address
  address=$(get service/web '{.spec.clusterIP}')
  eventually 5 in_node curl -sf --max-time 2 "http://$address/"
  before=$(container_ids)
  revision=$(k get configmaps -o json | jq -r .metadata.resourceVersion)
  k create configmap before-stop > /dev/null
  server_stop "$1"
  in_node curl -sf --max-time 2 "http://$address/"
  sleep 1
  began=$(milliseconds)
  server_start
  took=$(($(milliseconds) - began))
  echo "ready after $took ms"
  [ "$took" -lt 5000 ]
  in_node curl -sf --max-time 2 "http://$address/"
  k create configmap after-start > /dev/null
  # Resumed from before the stop: both events come, nothing is "too old".
  api "/api/v1/namespaces/$SPACE/configmaps?watch=1&resourceVersion=$revision&timeoutSeconds=2" > "$FILES/watch"
  has "$(cat "$FILES/watch")" '"ADDED".*before-stop'
  has "$(cat "$FILES/watch")" '"ADDED".*after-start'
  wait_for_node
  sleep 2
  after=$(container_ids)
  same "$after" "$before"
  eventually 5 has_log counter '^tick 1$'
  has "$(k logs counter --tail=1)" '^tick [0-9]{2,}$'
  same "$(k exec counter -- echo here)" here
  # And the node still does its work.
  k scale deployment web --replicas=3 > /dev/null
  k rollout status deployment/web --timeout=30s
}

case_alone_restart_term() { restart_with TERM; }
case_alone_restart_kill() { restart_with KILL; }

# While the server is away a container ends, a pod is deleted from the node's point of view much later.
case_alone_exit_while_away() {
  pod once 'sleep 2; exit 4' '' '"restartPolicy": "Never"' > /dev/null
  pod again 'sleep 2; exit 0' > /dev/null
  ready pod/once
  ready pod/again
  server_stop KILL
  sleep 3
  server_start
  eventually 10 is pod/once '{.status.phase}' Failed
  same "$(get pod/once '{.status.containerStatuses[0].state.terminated.exitCode}')" 4
  eventually 15 is pod/again '{.status.containerStatuses[0].restartCount}' 1
}

# Debian's registry, an image of three layers pushed by skopeo, nginx of Debian's packages.
case_alone_registry_nginx() {
  command -v docker-registry > /dev/null || skip "no docker-registry"
  command -v skopeo > /dev/null || skip "no skopeo"
  local image=127.0.0.1:5000/demo/nginx:1 address seen
  nginx_layers "$FILES/nginx" || skip "Debian's nginx packages cannot be had"
  image_tar "$FILES/nginx.tar" $image "$NGINX_CONFIG" "$FILES"/nginx/{1,2,3}
  registry_start 5000
  registry_push "$FILES/nginx.tar" $image
  k create deployment nginx --image=$image --replicas=3 > /dev/null
  k expose deployment nginx --port=80 > /dev/null
  k rollout status deployment/nginx --timeout=60s
  address=$(get service/nginx '{.spec.clusterIP}')
  eventually 5 says 'the page of a cargo boat' in_node curl -sf --max-time 2 "http://$address/"
  seen=$(for _ in $(seq 40); do in_node curl -si --max-time 2 "http://$address/" | grep -i x-served-by; done | sort -u | wc -l)
  same "$seen" 3
  has_event 'Pulled Successfully pulled image "127.0.0.1:5000/demo/nginx:1" in .*Image size: [0-9]+ bytes'
  has "$(k get pods -o 'jsonpath={.items[0].status.containerStatuses[0].imageID}')" 'demo/nginx@sha256:[0-9a-f]{64}'
  IMAGE=127.0.0.1:5000/demo/absent:1 pod absent true > /dev/null
  eventually 20 has_event 'Failed to pull image "127.0.0.1:5000/demo/absent:1": .*not found'
  k set image deployment/nginx nginx=127.0.0.1:5000/demo/nginx:absent > /dev/null
  eventually 20 says ImagePullBackOff newest_waiting
  says 'the page of a cargo boat' in_node curl -sf --max-time 2 "http://$address/"
  k rollout undo deployment/nginx > /dev/null
  k rollout status deployment/nginx --timeout=60s
  registry_stop
}
newest_waiting() {
  k get pods -o json | jq -r '[.items[].status.containerStatuses[0].state.waiting.reason | select(. != null and . != "ErrImagePull")] | sort | last' | sed s/ErrImagePull/ImagePullBackOff/
}

# Thirty pods at once.
case_alone_thirty_pods() {
  k create deployment many --image=$BOX --replicas=30 > /dev/null
  k rollout status deployment/many --timeout=90s
  k delete deployment many > /dev/null
  eventually 60 no_pods
}

# ---- After everything

# The server ends, the pods go on; then the command takes them away.
clean_stop() {
  SPACE=default
  pod last 'exec sleep 100000' > /dev/null
  ready pod/last 60
  world_remember
  server_stop TERM
  [ -n "$(world_processes)" ]
  in_node "$WHERRY" stop --workloads --data-dir "$DATA"
}

clean_leaves_nothing() {
  registry_stop
  same "$(world_leaks)" ''
}
