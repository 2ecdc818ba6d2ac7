# What people do with kubectl, verb by verb; every case runs with each client.

case_client_create_deployment() {
  has "$(k create deployment web --image=$BOX --replicas=2)" '^deployment.apps/web created$'
  has "$(k rollout status deployment/web --timeout=30s)" 'successfully rolled out'
  is deployment/web '{.status.readyReplicas}' 2
  # What the controller notes in it is no new generation.
  is deployment/web '{.metadata.generation} {.metadata.annotations.deployment\.kubernetes\.io/revision}' '1 1'
  has "$(k get deployment web)" '^web +2/2 +2 +2 '
  has "$(k get pods -l app=web -o wide)" ' 10\.42\.0\.[0-9]+ +node-1 '
  has "$(k get replicasets)" '^web-[a-z0-9]+ +2 +2 +2 '
  fails_with 'deployments.apps "web" already exists' k create deployment web --image=$BOX
}

app_manifest() { # MESSAGE
  cat <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {message: "$1", file.txt: "line one\nline two\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
type: Opaque
stringData: {word: sesame}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
  labels: {app: app}
spec:
  replicas: 1
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: $BOX
        ports: [{containerPort: 80, name: web}]
        env:
        - {name: MESSAGE, valueFrom: {configMapKeyRef: {name: settings, key: message}}}
        - {name: WORD, valueFrom: {secretKeyRef: {name: password, key: word}}}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec:
  selector: {app: app}
  ports: [{port: 8080, targetPort: web}]
YAML
}

case_client_apply() {
  local out
  app_manifest hello > "$FILES/app.yaml"
  out=$(k apply -f "$FILES/app.yaml")
  has "$out" '^configmap/settings created$'
  has "$out" '^secret/password created$'
  has "$out" '^deployment.apps/app created$'
  has "$out" '^service/app created$'
  out=$(k apply -f "$FILES/app.yaml")
  has "$out" '^configmap/settings unchanged$'
  has "$out" '^deployment.apps/app unchanged$'
  has "$out" '^service/app unchanged$'
  k rollout status deployment/app --timeout=30s
  same "$(k exec deployment/app -- sh -c 'echo $MESSAGE $WORD')" 'hello sesame'
  eventually 10 in_node curl -sf --max-time 2 "http://$(get service/app '{.spec.clusterIP}'):8080/"
  app_manifest changed > "$FILES/app.yaml"
  out=$(k apply -f "$FILES/app.yaml")
  has "$out" '^configmap/settings configured$'
  has "$out" '^deployment.apps/app unchanged$'
  same "$(get configmap/settings '{.data.message}')" changed
  has "$(k delete -f "$FILES/app.yaml" --wait=false)" 'service "app" deleted'
}

# As tutorials of 2018 have them.
old_manifest() {
  cat <<YAML
apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: old}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: old}}
    spec:
      containers: [{name: main, image: $BOX}]
---
apiVersion: apps/v1beta1
kind: Deployment
metadata: {name: older}
spec:
  replicas: ${1:-0}
  template:
    metadata: {labels: {app: older}}
    spec:
      containers: [{name: main, image: $BOX}]
---
apiVersion: extensions/v1beta1
kind: Ingress
metadata: {name: old}
spec:
  rules:
  - host: a.example
    http:
      paths:
      - {path: /, backend: {serviceName: old, servicePort: 80}}
---
apiVersion: autoscaling/v2beta1
kind: HorizontalPodAutoscaler
metadata: {name: old}
spec:
  maxReplicas: 3
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: old}
  metrics: [{type: Resource, resource: {name: cpu, targetAverageUtilization: 40}}]
YAML
}

case_client_apply_retired_versions() {
  local out
  old_manifest > "$FILES/old.yaml"
  out=$(k apply -f "$FILES/old.yaml" 2>&1)
  has "$out" '^deployment.extensions/old created$'
  has "$out" '^ingress.extensions/old created$'
  has "$out" 'Warning: extensions/v1beta1 Ingress is deprecated in v1.14\+, unavailable in v1.22\+; use networking.k8s.io/v1 Ingress'
  same "$(get deployment/old '{.apiVersion} {.spec.selector.matchLabels.app}')" 'apps/v1 old'
  same "$(get ingress/old '{.apiVersion} {.spec.rules[0].http.paths[0].backend.service.port.number}')" \
    'networking.k8s.io/v1 80'
  same "$(get hpa/old '{.apiVersion} {.spec.metrics[0].resource.target.averageUtilization}')" \
    'autoscaling/v2 40'
  has "$(k apply -f "$FILES/old.yaml" 2> /dev/null)" '^ingress.extensions/old unchanged$'
  old_manifest 2 > "$FILES/old.yaml"
  has "$(k apply -f "$FILES/old.yaml" 2> /dev/null)" '^deployment.apps/older configured$'
  is deployment/older '{.spec.replicas}' 2
  has "$(k get deployment old)" '^old '
  same "$(kn api-resources --verbs=list | grep -c ' extensions/v1beta1 ')" 0
  has "$(k delete -f "$FILES/old.yaml" --wait=false 2> /dev/null)" 'ingress.extensions "old" deleted'
}

case_client_apply_server_side() {
  local out before
  app_manifest hello > "$FILES/app.yaml"
  out=$(k apply --server-side -f "$FILES/app.yaml")
  has "$out" '^deployment.apps/app serverside-applied$'
  k rollout status deployment/app --timeout=30s
  before=$(get configmap/settings '{.metadata.resourceVersion}')
  k apply --server-side -f "$FILES/app.yaml" > /dev/null
  same "$(get configmap/settings '{.metadata.resourceVersion}')" "$before"
  app_manifest other > "$FILES/other.yaml"
  fails_with 'conflict.*kubectl' k apply --server-side --field-manager=rival -f "$FILES/other.yaml"
  same "$(get configmap/settings '{.data.message}')" hello
  k apply --server-side --field-manager=rival --force-conflicts -f "$FILES/other.yaml" > /dev/null
  same "$(get configmap/settings '{.data.message}')" other
  has "$(k get configmap settings -o yaml --show-managed-fields)" 'manager: rival'
}

case_client_output_forms() {
  k create configmap settings --from-literal=a=1 --from-literal=b=two > /dev/null
  pod one 'exec sleep 1000' > /dev/null
  ready pod/one
  has "$(k get configmap settings)" '^settings +2 +[0-9]+s$'
  same "$(k get configmap settings -o json | jq -r .data.b)" two
  has "$(k get configmap settings -o yaml)" '^  b: two$'
  same "$(k get configmap settings -o 'jsonpath={.data.a}')" 1
  same "$(k get configmap settings -o name)" configmap/settings
  has "$(k get pods -o custom-columns=N:.metadata.name,P:.status.phase)" '^one +Running$'
  same "$(k get pod one -o 'go-template={{.spec.nodeName}}')" node-1
  has "$(k get pods -o wide)" '^one +1/1 +Running +0 '
  has "$(k get pods --show-labels)" 'app=one'
  has "$(k get pods -L app)" ' one$'
  has "$(k get all)" '^pod/one '
  has "$(kn get pods -A)" "^$SPACE +one "
  same "$(k get pods --field-selector=status.phase=Running -o name)" pod/one
  same "$(k get pods --field-selector=spec.nodeName=elsewhere -o name)" ''
  same "$(k get pods -l 'app in (one,two),app!=two' -o name)" pod/one
  same "$(k get configmaps --sort-by=.metadata.name -o name | xargs)" 'configmap/kube-root-ca.crt configmap/settings'
  has "$(k get pods,configmaps)" '^configmap/settings '
  has "$(kn get nodes -o wide)" '^node-1 +Ready .* 192\.0\.2\.1 '
  has "$(kn get namespaces)" "^$SPACE +Active "
  has "$(kn get --raw /readyz)" '^ok$'
  fails_with 'pods "nobody" not found' k get pod nobody
  fails_with "the server doesn't have a resource type \"nothings\"" k get nothings
  has "$(k get pods -l app=nobody 2>&1)" "No resources found in $SPACE namespace"
}

case_client_describe() {
  local out
  k create deployment web --image=$BOX > /dev/null
  k expose deployment web --port=80 > /dev/null
  k create configmap settings --from-literal=colour=blue > /dev/null
  k create secret generic password --from-literal=word=sesame > /dev/null
  k rollout status deployment/web --timeout=30s
  out=$(k describe deployment web)
  has "$out" 'ScalingReplicaSet .*Scaled up replica set web-[a-z0-9]+ (from 0 )?to 1'
  has "$out" '^Replicas: +1 desired \| 1 updated \| 1 total \| 1 available \| 0 unavailable'
  out=$(k describe pods -l app=web)
  has "$out" 'Successfully assigned'
  has "$out" 'Normal +Started'
  has "$out" 'State: +Running'
  out=$(eventually 5 k describe service web && k describe service web)
  has "$out" '^Endpoints: +10\.42\.0\.[0-9]+:80'
  has "$(k describe configmap settings)" '^blue$'
  has "$(k describe secret password)" '^word: +6 bytes'
  lacks "$(k describe secret password)" sesame
  has "$(kn describe namespace "$SPACE")" '^Status: +Active'
  has "$(kn describe node node-1)" 'KubeletReady'
}

case_client_scale() {
  k create deployment web --image=$BOX > /dev/null
  has "$(k scale deployment web --replicas=3)" '^deployment.apps/web scaled$'
  k wait --for=jsonpath='{.status.readyReplicas}'=3 deployment/web --timeout=30s
  fails_with '[Ee]xpected replicas to be 2' k scale deployment web --current-replicas=2 --replicas=5
  k scale deployment web --replicas=0
  eventually 20 test -z "$(k get pods -o name; sleep 0.5)" || eventually 30 no_pods
}
no_pods() { [ -z "$(k get pods -o name)" ]; }

case_client_rollout() {
  local out
  k create deployment web --image=$BOX --replicas=2 > /dev/null
  k rollout status deployment/web --timeout=30s
  has "$(k set image deployment/web box=$BOX2)" 'image updated'
  has "$(k rollout status deployment/web --timeout=40s)" 'successfully rolled out'
  same "$(k exec deployment/web -- cat /release)" two
  out=$(k rollout history deployment/web)
  has "$out" '^1 '
  has "$out" '^2 '
  has "$(k rollout history deployment/web --revision=2)" "Image:.*$BOX2"
  has "$(k rollout undo deployment/web)" 'rolled back'
  k rollout status deployment/web --timeout=40s
  same "$(get deployment/web '{.spec.template.spec.containers[0].image}')" $BOX
  lacks "$(k rollout history deployment/web)" '^1 '
  k rollout pause deployment/web
  k set env deployment/web COLOUR=blue
  k rollout resume deployment/web
  k rollout status deployment/web --timeout=40s
  same "$(k exec deployment/web -- sh -c 'echo $COLOUR')" blue
  has "$(k rollout restart deployment/web)" restarted
  k rollout status deployment/web --timeout=40s
  eventually 30 is deployment/web '{.status.replicas}' 2
}

case_client_logs() {
  local out
  pod talk 'echo first; echo second >&2; for i in 1 2 3 4 5 6; do sleep 0.3; echo tick $i; done; exec sleep 1000' > /dev/null
  ready pod/talk
  out=$(LIMIT=10 k logs -f talk | head -n 5 || true)
  has "$out" '^first$'
  has "$out" '^second$'
  has "$out" '^tick 3$'
  eventually 10 has_log talk '^tick 6$'
  same "$(k logs talk --tail=1)" 'tick 6'
  has "$(k logs talk --timestamps --tail=1)" '^20[0-9-]+T[0-9:.]+Z tick 6$'
  has "$(k logs -l app=talk --prefix --tail=1)" '^\[pod/talk/main\] tick 6$'
  same "$(k logs talk --limit-bytes=5)" first
  fails_with 'container nobody is not valid for pod talk' k logs talk -c nobody
  fails_with 'previous terminated container "main" in pod "talk" not found' k logs talk --previous
}
has_log() { has "$(k logs "$1")" "$2"; }

# A follower sees what comes while it watches, and ends with the container.
case_client_logs_follow_ends() {
  pod brief 'echo one; sleep 2; echo two' '' '"restartPolicy": "Never"' > /dev/null
  eventually 20 has_log brief one
  has "$(LIMIT=20 k logs -f brief)" '^two$'
}

case_client_exec() {
  local out code=0
  pod shell 'exec sleep 1000' > /dev/null
  ready pod/shell
  same "$(k exec shell -- hostname)" shell
  same "$(k exec shell -c main -- sh -c 'echo $FROM_IMAGE; echo warn >&2' 2> "$FILES/err")" yes
  same "$(cat "$FILES/err")" warn
  same "$(echo from outside | k exec -i shell -- cat)" 'from outside'
  k exec shell -- sh -c 'exit 7' || code=$?
  same $code 7
  fails_with 'no-such-program' k exec shell -- no-such-program
  same "$(head -c 300000 /dev/zero | k exec -i shell -- wc -c)" 300000
  same "$(k exec shell -- head -c 3000000 /dev/zero | wc -c)" 3000000
  out=$(terminal "tty; stty size; exit 3" exec -it shell -- sh)
  has "$out" '/dev/pts/0|/dev/console'
  has "$out" '^33 99'
  has "$out" 'exit code 3'
}

# Types TEXT into kubectl ARGUMENT... on a terminal of 33 rows and 99 columns, once there is a prompt.
# In the foreground: a program in a terminal's background is stopped when it reads.
terminal() {
  local text=$1 command screen=$FILES/screen
  shift
  command="stty rows 33 cols 99; nsenter --net=/run/netns/$NODE_NS timeout --foreground 60 ${CLIENTS[$VARIANT]} \
--kubeconfig $KUBECONFIG_FILE -n $SPACE $*"
  : > "$screen"
  (eventually 30 grep -qE '[#$] ' "$screen"; printf '%s\n' "$text"; eventually 30 grep -q 'exit code' "$screen") 2> /dev/null |
    HOME=$WORLD/home script -qefc "$command" "$screen" > /dev/null || true
  tr -d '\r' < "$screen"
}

case_client_copy() {
  pod box 'exec sleep 1000' > /dev/null
  ready pod/box
  mkdir -p "$FILES/in/deep"
  head -c 200000 /dev/urandom > "$FILES/in/deep/data"
  echo note > "$FILES/in/note"
  k cp "$FILES/in" box:/tmp/in
  same "$(k exec box -- cat /tmp/in/note)" note
  k cp box:/tmp/in "$FILES/out" > /dev/null
  cmp "$FILES/in/deep/data" "$FILES/out/deep/data"
}

case_client_attach() {
  local out
  pod echo 'while read line; do echo heard $line; done' '"stdin": true' > /dev/null
  ready pod/echo
  out=$( (sleep 1; echo ahoy; sleep 1) | LIMIT=10 k attach -i echo 2>&1 || true)
  has "$out" '^heard ahoy$'
  has "$(k logs echo)" '^heard ahoy$'
}

case_client_port_forward() {
  local port=$((20000 + RANDOM % 9000)) client
  pod web 'hostname > /tmp/index.html; exec httpd -f -p 80 -h /tmp' > /dev/null
  ready pod/web
  k port-forward pod/web $port:80 > "$FILES/log" 2>&1 &
  client=$!
  eventually 10 grep -q Forwarding "$FILES/log"
  same "$(in_node curl -sf --max-time 5 http://127.0.0.1:$port/)" web
  same "$(in_node curl -sf --max-time 5 http://127.0.0.1:$port/)" web
  in_node curl -s --max-time 5 "http://127.0.0.1:$port/[1-20]" > /dev/null
  end_tree "$client"
  k expose pod web --port=8080 --target-port=80 > /dev/null
  k port-forward service/web $port:8080 > "$FILES/log-service" 2>&1 &
  client=$!
  eventually 10 grep -q Forwarding "$FILES/log-service"
  same "$(in_node curl -sf --max-time 5 http://127.0.0.1:$port/)" web
  end_tree "$client"
}

case_client_expose() {
  k create deployment web --image=$BOX --replicas=2 > /dev/null
  has "$(k expose deployment web --port=80 --name=door)" '^service/door exposed$'
  k rollout status deployment/web --timeout=30s
  eventually 10 in_node curl -sf --max-time 2 "http://$(get service/door '{.spec.clusterIP}')/"
  has "$(k get service door)" '^door +ClusterIP +10\.43\.[0-9.]+ +<none> +80/TCP '
  has "$(k get endpointslices -l kubernetes.io/service-name=door)" 'IPv4 +80 '
}

case_client_run() {
  local out
  has "$(k run one --image=$BOX --labels=colour=blue --env=A=b --port=80)" '^pod/one created$'
  ready pod/one
  same "$(k exec one -- sh -c 'echo $A')" b
  # Like every attach it shows what comes from then on, so the pod waits a moment.
  out=$(k run once --image=$BOX --restart=Never --rm -i --command -- sh -c 'sleep 1; echo printed' 2>&1)
  has "$out" '^printed$'
  fails_with 'not found' k get pod once
  has "$(k run dry --image=$BOX --dry-run=server -o yaml)" 'terminationGracePeriodSeconds: 30'
  fails_with 'not found' k get pod dry
}

case_client_label_annotate() {
  k create configmap thing > /dev/null
  has "$(k label configmap thing colour=blue)" '^configmap/thing labeled$'
  same "$(k get configmaps -l colour=blue -o name)" configmap/thing
  fails_with "already has a value" k label configmap thing colour=red
  k label --overwrite configmap thing colour=red
  k label configmap thing colour-
  same "$(k get configmaps -l colour -o name)" ''
  has "$(k annotate configmap thing note='long text')" annotated
  same "$(get configmap/thing '{.metadata.annotations.note}')" 'long text'
  fails_with 'invalid|must consist' k label configmap thing 'bad key!=x'
}

case_client_patch() {
  k create deployment web --image=$BOX > /dev/null
  has "$(k patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"box","env":[{"name":"A","value":"1"}]}]}}}}')" patched
  same "$(get deployment/web '{.spec.template.spec.containers[0].image}')" $BOX
  k patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"box","env":[{"name":"B","value":"2"}]}]}}}}'
  same "$(get deployment/web '{.spec.template.spec.containers[0].env[*].name}')" 'B A'
  k patch deployment web --type=merge -p '{"spec":{"replicas":2,"revisionHistoryLimit":3}}'
  same "$(get deployment/web '{.spec.replicas} {.spec.revisionHistoryLimit}')" '2 3'
  k patch deployment web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":1},{"op":"test","path":"/spec/replicas","value":1}]'
  same "$(get deployment/web '{.spec.replicas}')" 1
  # The deployment's status may change meanwhile.
  patch_again() { has "$(k patch deployment web --type=merge -p '{"spec":{"replicas":1}}')" 'patched \(no change\)'; }
  eventually 20 patch_again
  k patch deployment web --subresource=scale --type=merge -p '{"spec":{"replicas":2}}'
  same "$(get deployment/web '{.spec.replicas}')" 2
  fails_with 'spec.replicas' k patch deployment web --type=merge -p '{"spec":{"replicas":-1}}'
  EDITOR="sed -i s/revisionHistoryLimit:.*/revisionHistoryLimit:\ 7/" k edit deployment web
  same "$(get deployment/web '{.spec.revisionHistoryLimit}')" 7
}

case_client_delete() {
  k create configmap a > /dev/null
  k create configmap b > /dev/null
  k label configmap b c=d > /dev/null
  has "$(k delete configmap a)" 'configmap "a" deleted'
  k delete configmaps -l c=d
  fails_with 'configmaps "a" not found' k delete configmap a
  k delete configmap a --ignore-not-found
  k create deployment web --image=$BOX --replicas=2 > /dev/null
  k rollout status deployment/web --timeout=30s
  k delete deployment web
  eventually 40 no_pods
  same "$(k get replicasets -o name)" ''
  k create configmap x > /dev/null
  k delete configmaps --all
  eventually 5 k get configmap kube-root-ca.crt
}

case_client_explain() {
  local out
  has "$(k explain pod.spec.containers.image)" '^FIELD: +image <string>'
  out=$(k explain deployment)
  has "$out" '^GROUP: +apps'
  has "$out" '^KIND: +Deployment'
  has "$(k explain deployment.spec --recursive)" 'maxSurge'
  # Every kind that can be listed.
  for kind in $(kn api-resources --verbs=list -o name | grep -v '^events[.]'); do
    has "$(k explain "$kind" --recursive)" '^FIELDS:|^DESCRIPTION:'
  done
  # kubectl takes events.events.k8s.io for a field of the core Event.
  has "$(k explain events --api-version=events.k8s.io/v1 --recursive)" '^FIELDS:'
  out=$(kn api-resources)
  has "$out" '^deployments +deploy +apps/v1 +true +Deployment'
  has "$out" '^pods +po +v1 +true +Pod'
  has "$(kn api-versions)" '^apps/v1$'
  has "$(kn version)" 'Server Version: v1\.36'
  has "$(kn cluster-info)" 'is running at .*https://127.0.0.1:6443'
  has "$(kn auth whoami)" 'system:masters'
  same "$(kn auth can-i create pods)" yes
}

case_client_watch() {
  local client
  k get configmaps --watch > "$FILES/watch" 2>&1 &
  client=$!
  eventually 10 grep -q kube-root-ca.crt "$FILES/watch"
  k create configmap seen > /dev/null
  eventually 5 grep -qE '^seen +0 ' "$FILES/watch"
  k patch configmap seen --type=merge -p '{"data":{"a":"b"}}' > /dev/null
  eventually 5 grep -qE '^seen +1 ' "$FILES/watch"
  end_tree "$client"
  LIMIT=3 k get configmaps --watch-only --output-watch-events > "$FILES/only" 2>&1 &
  sleep 1
  k delete configmap seen > /dev/null
  eventually 5 grep -qE '^DELETED +seen ' "$FILES/only"
}

case_client_wait() {
  local began
  pod late 'sleep 1; touch /tmp/ok; exec sleep 1000' \
    '"readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/ok"]}, "periodSeconds": 1}' > /dev/null
  has "$(k wait --for=condition=Ready pod/late --timeout=20s)" 'condition met'
  k delete pod late --wait=false > /dev/null
  k wait --for=delete pod/late --timeout=20s
  k create deployment web --image=$BOX > /dev/null
  k wait --for=condition=Available deployment/web --timeout=30s
  k create configmap no > /dev/null
  began=$SECONDS
  fails_with 'timed out' k wait --for=jsonpath='{.data.x}'=1 configmap/no --timeout=1s
  [ $((SECONDS - began)) -lt 8 ]
}

case_client_diff() {
  local out code=0
  app_manifest hello > "$FILES/app.yaml"
  k apply -f "$FILES/app.yaml" > /dev/null
  k diff -f "$FILES/app.yaml"
  app_manifest other > "$FILES/app.yaml"
  out=$(k diff -f "$FILES/app.yaml") || code=$?
  same $code 1
  has "$out" '^\+  message: other'
  same "$(get configmap/settings '{.data.message}')" hello
}

case_client_create_forms() {
  echo content > "$FILES/note.txt"
  k create configmap files --from-file="$FILES/note.txt" --from-literal=k=v
  same "$(get configmap/files '{.data.note\.txt}')" content
  k create secret generic hush --from-literal=word=sesame
  same "$(get secret/hush '{.data.word}' | base64 -d)" sesame
  k create serviceaccount robot
  has "$(k create token robot)" '^ey[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$'
  k create service clusterip plain --tcp=80:8080
  same "$(get service/plain '{.spec.ports[0].targetPort}')" 8080
  k replace -f <(k get configmap files -o json | jq '.data.k = "w"')
  same "$(get configmap/files '{.data.k}')" w
  fails_with 'unknown field "spec.replica' k create --validate=strict -f - <<< \
    '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},"spec":{"replica":1}}'
}

# A user's certificate, from the request to its use, and one that is refused.
case_client_certificate() {
  local name
  openssl ecparam -name prime256v1 -genkey -noout -out "$FILES/user.key"
  openssl req -new -key "$FILES/user.key" -subj /O=dev/CN=jane -out "$FILES/user.csr"
  for name in "$SPACE-yes" "$SPACE-no"; do
    k create -f - << YAML
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: $name}
spec:
  request: $(base64 -w0 < "$FILES/user.csr")
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: 3600
  usages: [client auth]
YAML
  done
  has "$(k get csr "$SPACE-yes")" ' kubernetes.io/kube-apiserver-client +system:admin +60m +Pending$'
  has "$(k certificate approve "$SPACE-yes")" "certificatesigningrequest.certificates.k8s.io/$SPACE-yes approved"
  has "$(k certificate deny "$SPACE-no")" "certificatesigningrequest.certificates.k8s.io/$SPACE-no denied"
  certificate_issued() { [ -n "$(get "csr/$SPACE-yes" '{.status.certificate}')" ]; }
  eventually 10 certificate_issued
  has "$(k get csr "$SPACE-yes")" ' Approved,Issued$'
  has "$(k get csr "$SPACE-no")" ' Denied$'
  get "csr/$SPACE-yes" '{.status.certificate}' | base64 -d > "$FILES/user.crt"
  has "$(in_node curl -sk --cert "$FILES/user.crt" --key "$FILES/user.key" https://127.0.0.1:6443/api/v1/nodes)" 'User .{1,2}jane.{1,2} cannot list'
  k delete csr "$SPACE-yes" "$SPACE-no"
}
