# What the node does with pods; run with the newer client only.

case_node_volumes_and_environment() {
  local out
  k create configmap settings --from-literal=colour=blue --from-literal=size=9 > /dev/null
  k create secret generic password --from-literal=word=sesame > /dev/null
  pod one 'exec sleep 1000' '
    "env": [
      {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
      {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
      {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
      {"name": "BOTH", "value": "$(POD)-$(WORD)"},
      {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "password", "key": "word"}}},
      {"name": "JOINED", "value": "$(WORD)/$(POD)/$$(POD)/$(NOBODY)"}],
    "envFrom": [{"configMapRef": {"name": "settings"}, "prefix": "SET_"}],
    "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}},
    "volumeMounts": [
      {"name": "settings", "mountPath": "/settings"},
      {"name": "secret", "mountPath": "/secret", "readOnly": true},
      {"name": "about", "mountPath": "/about"},
      {"name": "scratch", "mountPath": "/scratch"},
      {"name": "settings", "mountPath": "/single", "subPath": "colour"},
      {"name": "host", "mountPath": "/host"}]' '
    "volumes": [
      {"name": "settings", "configMap": {"name": "settings"}},
      {"name": "secret", "secret": {"secretName": "password", "defaultMode": 256}},
      {"name": "about", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
      {"name": "scratch", "emptyDir": {"medium": "Memory"}},
      {"name": "host", "hostPath": {"path": "'"$WORLD"'/shared", "type": "DirectoryOrCreate"}}]' > /dev/null
  ready pod/one
  out=$(k exec one -- env)
  has "$out" '^POD=one$'
  has "$out" '^IP=10\.42\.0\.'
  has "$out" '^CPU=250$'
  has "$out" '^SET_colour=blue$'
  has "$out" '^JOINED=sesame/one/\$\(POD\)/\$\(NOBODY\)$'
  has "$out" '^KUBERNETES_SERVICE_HOST=10\.43\.0\.1$'
  same "$(k exec one -- cat /settings/colour /settings/size /single)" "$(printf 'blue9blue')"
  has "$(k exec one -- sh -c 'ls -lL /secret/word; cat /secret/word')" '^-r-------- .*'
  has "$(k exec one -- cat /about/labels)" '^app="one"$'
  has "$(k exec one -- mount)" 'on /scratch type tmpfs'
  k exec one -- sh -c 'echo from pod > /host/note'
  same "$(cat "$WORLD/shared/note")" 'from pod'
  has "$(k exec one -- cat /var/run/secrets/kubernetes.io/serviceaccount/namespace)" "^$SPACE$"
  k patch configmap settings --type=merge -p '{"data":{"colour":"red"}}' > /dev/null
  eventually 90 says red k exec one -- cat /settings/colour
  same "$(k exec one -- cat /single)" blue
}
says() { # TEXT COMMAND...
  local wanted=$1
  shift
  same "$("$@")" "$wanted"
}

case_node_cgroup_limits() {
  local uid folder
  pod one 'exec sleep 1000' '"resources": {"limits": {"cpu": "250m", "memory": "64Mi"}}' > /dev/null
  ready pod/one
  is pod/one '{.status.qosClass}' Guaranteed
  uid=$(get pod/one '{.metadata.uid}')
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    folder=$(find /sys/fs/cgroup -type d -path "*pod$uid*" | head -n 1)
    same "$(cat "$folder/memory.max")" 67108864
  else
    folder=$(find /sys/fs/cgroup/memory -type d -path "*pod$uid*" | head -n 1)
    same "$(cat "$folder/memory.limit_in_bytes")" 67108864
    folder=$(find /sys/fs/cgroup/cpu -type d -path "*pod$uid*" | head -n 1)
    same "$(cat "$folder/cpu.cfs_quota_us")" 25000
  fi
}

case_node_out_of_memory() {
  pod big 'head -c 100000000 /dev/zero | tail -c 90000000 > /dev/null; echo code $?; exit 137' \
    '"resources": {"limits": {"memory": "24Mi"}}' '"restartPolicy": "Never"' > /dev/null
  eventually 30 is pod/big '{.status.phase}' Failed
  same "$(get pod/big '{.status.containerStatuses[0].state.terminated.reason}')" OOMKilled
}

case_node_probes() {
  local address
  pod web 'echo ok > /tmp/index.html; sleep 2; exec httpd -f -p 80 -h /tmp' '
    "startupProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1, "failureThreshold": 20},
    "readinessProbe": {"httpGet": {"path": "/ready", "port": 80}, "periodSeconds": 1}' > /dev/null
  k expose pod web --port=80 > /dev/null
  eventually 20 is pod/web '{.status.phase}' Running
  same "$(get pod/web '{.status.containerStatuses[0].started}')" false
  eventually 20 is pod/web '{.status.containerStatuses[0].started}' true
  same "$(get pod/web '{.status.containerStatuses[0].ready}')" false
  eventually 10 has_event 'Readiness probe failed: HTTP probe failed with statuscode: 404'
  has_event 'Startup probe failed: '
  address=$(get service/web '{.spec.clusterIP}')
  fails_with '' in_node curl -sf --max-time 2 "http://$address/"
  k exec web -- touch /tmp/ready
  ready pod/web
  eventually 5 in_node curl -sf --max-time 2 "http://$address/"
  k exec web -- rm /tmp/ready
  eventually 15 is pod/web '{.status.containerStatuses[0].ready}' false
  eventually 5 refused "http://$address/"
  is pod/web '{.status.containerStatuses[0].restartCount}' 0
}
has_event() { has "$(k get events -o 'jsonpath={range .items[*]}{.reason} {.message}{"\n"}{end}')" "$1"; }
refused() { ! in_node curl -sf --max-time 2 "$1"; }

case_node_liveness_restarts() {
  pod sick 'touch /tmp/alive; trap "exit 0" TERM; while :; do sleep 0.2; done' '
    "livenessProbe": {"exec": {"command": ["test", "-e", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 2}' > /dev/null
  ready pod/sick
  k exec sick -- rm /tmp/alive
  eventually 20 is pod/sick '{.status.containerStatuses[0].restartCount}' 1
  has_event 'Unhealthy Liveness probe failed'
  has_event 'Killing Container main failed liveness probe, will be restarted'
  ready pod/sick
}

case_node_restart_policy() {
  pod never 'exit 3' '' '"restartPolicy": "Never"' > /dev/null
  pod done 'echo fine' '' '"restartPolicy": "OnFailure"' > /dev/null
  pod loop 'exit 1' > /dev/null
  eventually 15 is pod/never '{.status.phase}' Failed
  same "$(get pod/never '{.status.containerStatuses[0].state.terminated.exitCode}')" 3
  eventually 15 is pod/done '{.status.phase}' Succeeded
  has "$(k get pod done)" ' 0/1 +Completed +0 '
  eventually 30 is pod/loop '{.status.containerStatuses[0].state.waiting.reason}' CrashLoopBackOff
  has "$(get pod/loop '{.status.containerStatuses[0].state.waiting.message}')" \
    '^back-off 10s restarting failed container=main pod=loop_'
  eventually 30 is pod/loop '{.status.containerStatuses[0].restartCount}' 2
  has "$(k logs loop --previous 2>&1)" '^$'
  has_event 'BackOff Back-off restarting failed container main in pod loop_'
}

case_node_image_errors() {
  local reason
  IMAGE=127.0.0.1:1/nobody:1 pod absent true > /dev/null
  IMAGE=UPPER//case pod wrong true > /dev/null
  IMAGE=example.test/absent:1 pod never true '"imagePullPolicy": "Never"' > /dev/null
  eventually 20 has_event 'Failed Failed to pull image "127.0.0.1:1/nobody:1": .*'
  eventually 20 is pod/absent '{.status.containerStatuses[0].state.waiting.reason}' ImagePullBackOff
  has "$(get pod/absent '{.status.containerStatuses[0].state.waiting.message}')" 'Back-off pulling image "127.0.0.1:1/nobody:1"'
  has_event 'Failed Error: ErrImagePull'
  eventually 20 is pod/wrong '{.status.containerStatuses[0].state.waiting.reason}' InvalidImageName
  has "$(get pod/wrong '{.status.containerStatuses[0].state.waiting.message}')" \
    'Failed to apply default image tag "UPPER//case": couldn.t parse image name "UPPER//case": invalid reference format'
  eventually 20 is pod/never '{.status.containerStatuses[0].state.waiting.reason}' ErrImageNeverPull
  is pod/absent '{.status.phase}' Pending
}

# Two layers over one another, a part of them, and what may not be done there.
case_node_image_volume() {
  local low=$FILES/notes-low high=$FILES/notes-high
  mkdir -p "$low/docs/old" "$high/docs"
  echo first > "$low/docs/one"
  echo hidden > "$low/docs/old/two"
  echo second > "$high/docs/three"
  cp "$(command -v busybox)" "$high/docs/tool"
  : > "$high/docs/.wh.old"
  image_tar "$FILES/notes.tar" example.test/notes:1 '{}' "$low" "$high"
  in_node "$WHERRY" images import --data-dir "$DATA" "$FILES/notes.tar" > /dev/null
  pod reader 'exec sleep 1000' '"volumeMounts": [{"name": "notes", "mountPath": "/notes"},
      {"name": "notes", "mountPath": "/part", "subPath": "docs"}, {"name": "notes", "mountPath": "/file", "subPath": "docs/three"}]' \
    '"volumes": [{"name": "notes", "image": {"reference": "example.test/notes:1", "pullPolicy": "IfNotPresent"}}]' > /dev/null
  ready pod/reader
  same "$(k exec reader -- sh -c 'ls /notes/docs; cat /part/one /file')" "$(printf 'one\nthree\ntool\nfirst\nsecond')"
  has "$(k exec reader -- sh -c 'touch /part/new' 2>&1)" 'Read-only file system'
  has "$(k exec reader -- sh -c '/notes/docs/tool true' 2>&1)" 'Permission denied'
  pod lost 'exec sleep 1000' '"volumeMounts": [{"name": "notes", "mountPath": "/notes"}]' \
    '"volumes": [{"name": "notes", "image": {"reference": "example.test/none:1", "pullPolicy": "Never"}}]' > /dev/null
  eventually 20 is pod/lost '{.status.containerStatuses[0].state.waiting.reason}' ErrImageNeverPull
}

case_node_create_errors() {
  pod config true '"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "a"}}}]' > /dev/null
  k create -f - > /dev/null <<< '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "command"},
    "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "'$BOX'", "command": ["/no/such/program"]}]}}'
  pod volume true '' '"volumes": [{"name": "v", "configMap": {"name": "absent"}}]' > /dev/null
  eventually 20 is pod/config '{.status.containerStatuses[0].state.waiting.reason}' CreateContainerConfigError
  same "$(get pod/config '{.status.containerStatuses[0].state.waiting.message}')" 'configmap "absent" not found'
  eventually 20 is pod/command '{.status.containerStatuses[0].state.terminated.reason}' StartError
  same "$(get pod/command '{.status.containerStatuses[0].state.terminated.exitCode}')" 128
  has "$(get pod/command '{.status.containerStatuses[0].state.terminated.message}')" 'no such file or directory'
  eventually 20 has_event 'FailedMount MountVolume.SetUp failed for volume "v" : configmap "absent" not found'
  k create configmap absent --from-literal=a=b > /dev/null
  eventually 60 is pod/config '{.status.containerStatuses[0].restartCount}{.status.phase}' 0Running ||
    eventually 30 is pod/config '{.status.containerStatuses[0].lastState.terminated.exitCode}' 0
}

case_node_init_containers() {
  pod good 'cat /share/note; exec sleep 1000' '"volumeMounts": [{"name": "share", "mountPath": "/share"}]' '
    "volumes": [{"name": "share", "emptyDir": {}}],
    "initContainers": [
      {"name": "first", "image": "'$BOX'", "command": ["sh", "-c", "echo first > /share/note"], "volumeMounts": [{"name": "share", "mountPath": "/share"}]},
      {"name": "second", "image": "'$BOX'", "command": ["sh", "-c", "echo second >> /share/note"], "volumeMounts": [{"name": "share", "mountPath": "/share"}]}]' > /dev/null
  pod bad 'exit 0' '' '"initContainers": [{"name": "first", "image": "'$BOX'", "command": ["sh", "-c", "exit 5"]}]' > /dev/null
  ready pod/good
  eventually 20 says "$(printf 'first\nsecond')" k logs good  # Running is before its first word.
  has "$(k get pod bad)" 'Init:(Error|CrashLoopBackOff|0/1)'
  eventually 20 is pod/bad '{.status.initContainerStatuses[0].restartCount}' 1
  is pod/bad '{.status.phase}' Pending
}

case_node_several_containers() {
  k create -f - > /dev/null <<< '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "two"}, "spec": {
    "terminationGracePeriodSeconds": 1, "shareProcessNamespace": false, "hostname": "boat",
    "containers": [
      {"name": "web", "image": "'$BOX'", "env": [{"name": "PORT", "value": "8000"}]},
      {"name": "client", "image": "'$BOX'", "command": ["sleep", "1000"]}]}}'
  ready pod/two
  has "$(k get pod two)" ' 2/2 +Running '
  eventually 5 says boat k exec two -c client -- wget -qO- http://127.0.0.1:8000/
  has "$(k logs two --all-containers --prefix)" 'pod/two/web\] serving as boat'
  has "$(k exec two -- hostname 2>&1)" 'Defaulted container "web" out of: web, client'
}

case_node_security() {
  local out
  k create -f - > /dev/null <<< '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tight"}, "spec": {
    "securityContext": {"runAsUser": 1001, "fsGroup": 2000, "runAsNonRoot": true},
    "terminationGracePeriodSeconds": 1,
    "volumes": [{"name": "data", "emptyDir": {}}],
    "containers": [{"name": "main", "image": "'$BOX'", "command": ["sleep", "1000"],
      "volumeMounts": [{"name": "data", "mountPath": "/data"}],
      "securityContext": {"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}'
  ready pod/tight
  out=$(k exec tight -- sh -c 'id; touch /x 2>&1; touch /data/y; ls -ln /data; grep -E "CapEff|NoNewPrivs|Seccomp:" /proc/self/status')
  has "$out" 'uid=1001.*groups=.*2000'
  has "$out" 'Read-only file system'
  has "$out" ' 1001 +2000 .* y$'
  has "$out" 'CapEff:.0000000000000000'
  has "$out" 'NoNewPrivs:.1'
  pod plain 'exec sleep 1000' > /dev/null
  ready pod/plain
  has "$(k exec plain -- grep Cap /proc/self/status)" 'CapEff:.00000000a80425fb'
}

case_node_host_port() {
  pod web 'hostname > /tmp/index.html; exec httpd -f -p 80 -h /tmp' '"ports": [{"containerPort": 80, "hostPort": 8099}]' > /dev/null
  ready pod/web
  eventually 5 says web outside curl -sf --max-time 2 http://$NODE_IP:8099/
  says web in_node curl -sf --max-time 2 http://$NODE_IP:8099/
  pod second true '"ports": [{"containerPort": 80, "hostPort": 8099}]' > /dev/null
  eventually 10 has_event "FailedScheduling 0/1 nodes are available: 1 node\(s\) didn't have free ports"
  k delete pod web --wait=true > /dev/null
  eventually 15 is pod/second '{.spec.nodeName}' node-1
}

case_node_services() {
  local address port seen
  k create deployment web --image=$BOX --replicas=3 > /dev/null
  k expose deployment web --type=NodePort --port=80 > /dev/null
  k rollout status deployment/web --timeout=30s
  address=$(get service/web '{.spec.clusterIP}') port=$(get service/web '{.spec.ports[0].nodePort}')
  eventually 5 in_node curl -sf --max-time 2 "http://$address/"
  seen=$(for _ in $(seq 40); do in_node curl -sf --max-time 2 "http://$address/"; done | sort -u | wc -l)
  same "$seen" 3
  has "$(outside curl -sf --max-time 2 "http://$NODE_IP:$port/")" '^web-'
  has "$(in_node curl -sf --max-time 2 "http://127.0.0.1:$port/" || in_node curl -sf --max-time 2 "http://$NODE_IP:$port/")" '^web-'
  pod client 'exec sleep 1000' > /dev/null
  ready pod/client
  has "$(k exec client -- timeout 3 wget -qO- "http://$address/")" '^web-'
  has "$(k exec client -- timeout 3 wget -qO- "http://$NODE_IP:$port/")" '^web-'
  # A pod reaches itself through its own Service.
  k scale deployment web --replicas=1 > /dev/null
  eventually 30 says 1 pods_ready app=web
  eventually 5 says 1 endpoints_of web
  has "$(k exec deployment/web -- timeout 3 wget -qO- "http://$address/")" '^web-'
  # Nobody behind it: refused at once.
  k scale deployment web --replicas=0 > /dev/null
  eventually 30 says 0 endpoints_of web
  eventually 5 refused_quickly "http://$address/"
}
pods_ready() { k get pods -l "$1" -o json | jq '[.items[] | select(.metadata.deletionTimestamp == null)] | length'; }
endpoints_of() { k get endpoints "$1" -o json | jq '[.subsets[]?.addresses[]?] | length'; }
refused_quickly() { local code=0; in_node curl -s --max-time 5 "$1" || code=$?; same $code 7; }

case_node_udp_service() {
  local address
  # No applet of busybox answers UDP, so the machine's own Perl does, seen through a hostPath.
  command -v perl > /dev/null || skip "no perl"
  k create -f - > /dev/null <<< '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "echo", "labels": {"app": "echo"}},
    "spec": {"terminationGracePeriodSeconds": 0, "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
    "containers": [{"name": "main", "image": "'$BOX'", "ports": [{"containerPort": 7, "protocol": "UDP"}],
      "volumeMounts": [{"name": "host", "mountPath": "/host", "readOnly": true}], "command": ["chroot", "/host", "perl", "-e",
      "use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 7, Proto => q(udp)); while ($s->recv($m, 99)) { $s->send($m) }"]}]}}'
  k expose pod echo --port=7 --protocol=UDP > /dev/null
  ready pod/echo
  eventually 5 says 1 endpoints_of echo
  address=$(get service/echo '{.spec.clusterIP}')
  eventually 5 says ahoy in_node timeout 2 bash -c "exec 3<> /dev/udp/$address/7; echo ahoy >&3; head -c 5 <&3"
}

case_node_reaches_outside() {
  pod client 'exec sleep 1000' > /dev/null
  ready pod/client
  outside busybox httpd -f -p $OUTSIDE_IP:8123 -h "$FILES" &
  local server=$!
  echo far > "$FILES/index.html"
  eventually 5 says far k exec client -- timeout 3 wget -qO- http://$OUTSIDE_IP:8123/
  end_tree $server
}

case_node_heals() {
  local pid uid name
  k create deployment web --image=$BOX --replicas=3 > /dev/null
  k rollout status deployment/web --timeout=30s
  name=$(k get pods -l app=web -o 'jsonpath={.items[0].metadata.name}')
  uid=$(get "pod/$name" '{.metadata.uid}')
  # The oldest process in the container's cgroup is its first.
  pid=$(find /sys/fs/cgroup -path "*pod$uid*/*" -name cgroup.procs -exec cat {} + | sort -un |
    while read -r one; do grep -q serve "/proc/$one/cmdline" 2> /dev/null && echo "$one" && break; done)
  kill -KILL "$pid"
  eventually 20 is "pod/$name" '{.status.containerStatuses[0].restartCount}' 1
  eventually 20 is "pod/$name" '{.status.containerStatuses[0].ready}' true
  same "$(get "pod/$name" '{.status.containerStatuses[0].lastState.terminated.exitCode}')" 137
  k delete pod "$name" --wait=false > /dev/null
  eventually 30 is deployment/web '{.status.readyReplicas}' 3
  eventually 40 says 3 k get pods -l app=web -o 'go-template={{len .items}}'
  # One too many goes again.
  pod extra 'exec sleep 1000' > /dev/null
  k label pod extra app=web --overwrite "$(k get pods -l app=web -o 'jsonpath=pod-template-hash={.items[0].metadata.labels.pod-template-hash}')" > /dev/null
  eventually 30 says 3 k get pods -l app=web -o 'go-template={{len .items}}'
}

case_node_unschedulable() {
  pod picky true '' '"nodeSelector": {"disk": "ssd"}' > /dev/null
  pod huge true '"resources": {"requests": {"cpu": "64"}}' > /dev/null
  eventually 10 has_event "FailedScheduling 0/1 nodes are available: 1 node\(s\) didn't match Pod's node affinity/selector"
  eventually 10 has_event 'FailedScheduling 0/1 nodes are available: 1 Insufficient cpu'
  same "$(get pod/picky '{.status.conditions[?(@.type=="PodScheduled")].reason}')" Unschedulable
  kn label node node-1 disk=ssd > /dev/null
  eventually 5 is pod/picky '{.spec.nodeName}' node-1
  kn label node node-1 disk- > /dev/null
}

case_node_graceful_deletion() {
  local began
  pod polite 'trap "echo going; sleep 1; exit 0" TERM; while :; do sleep 0.1; done' '' '"terminationGracePeriodSeconds": 10' > /dev/null
  pod deaf 'trap "" TERM; while :; do sleep 0.1; done' '' '"terminationGracePeriodSeconds": 2' > /dev/null
  ready pod/polite
  ready pod/deaf
  began=$(milliseconds)
  k delete pod polite > /dev/null
  [ $(($(milliseconds) - began)) -lt 8000 ]
  k delete pod deaf > /dev/null
  has_event 'Killing Stopping container main'
}

case_node_hooks() {
  pod hooked 'trap "exit 0" TERM; while :; do sleep 0.1; done' '
    "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "echo up > /host/up"]}},
                  "preStop": {"exec": {"command": ["sh", "-c", "echo down > /host/down"]}}},
    "volumeMounts": [{"name": "host", "mountPath": "/host"}]' '
    "volumes": [{"name": "host", "hostPath": {"path": "'"$FILES"'"}}], "terminationGracePeriodSeconds": 5' > /dev/null
  ready pod/hooked
  same "$(cat "$FILES/up")" up
  k delete pod hooked > /dev/null
  same "$(cat "$FILES/down")" down
}

case_node_built_in_client() {
  local w="in_node $WHERRY kubectl --kubeconfig $KUBECONFIG_FILE -n $SPACE"
  app_manifest hello > "$FILES/app.yaml"
  has "$($w apply -f "$FILES/app.yaml")" '^deployment.apps/app created$'
  has "$($w apply -f "$FILES/app.yaml")" '^deployment.apps/app unchanged$'
  $w wait --for=condition=Available deployment/app --timeout=30s
  has "$($w get pods)" '^app-.* 1/1 +Running '
  has "$($w logs deployment/app)" '^serving as app-'
  same "$($w exec deployment/app -- sh -c 'echo $MESSAGE')" hello
  has "$($w delete -f "$FILES/app.yaml")" 'deleted'
  has "$($w version)" 'v1\.36'
}
