# What the cases use: `k` is the kubectl of this variant in the namespace of this case.

BOX=example.test/box:1
BOX2=example.test/box:2

kubectl_in() { # CLIENT ARGUMENT...
  local program=${CLIENTS[$1]}
  shift
  HOME=$WORLD/home in_node timeout "${LIMIT:-90}" "$program" --kubeconfig "$KUBECONFIG_FILE" "$@"
}

k() { kubectl_in "${VARIANT:-$NEWEST}" -n "$SPACE" "$@"; }
kn() { kubectl_in "${VARIANT:-$NEWEST}" "$@"; }

# curl with the administrator's certificate: api PATH [OPTION...]
api() {
  local path=$1
  shift
  if [ ! -e "$WORLD/admin.crt" ]; then
    for part in certificate-authority-data:ca.crt client-certificate-data:admin.crt client-key-data:admin.key; do
      sed -n "s/^ *${part%%:*}: *//p" "$KUBECONFIG_FILE" | head -n 1 | base64 -d > "$WORLD/${part#*:}"
    done
  fi
  in_node curl -sS --cacert "$WORLD/ca.crt" --cert "$WORLD/admin.crt" --key "$WORLD/admin.key" \
    "https://127.0.0.1:6443$path" "$@"
}

prepare_images() {
  box_layer "$IMAGES/box"
  mkdir -p "$IMAGES/two" && echo two > "$IMAGES/two/release"
  image_tar "$IMAGES/box1.tar" $BOX "$BOX_CONFIG" "$IMAGES/box" &&
    image_tar "$IMAGES/box2.tar" $BOX2 "$BOX_CONFIG" "$IMAGES/box" "$IMAGES/two" || return 1
  for tar in "$IMAGES"/box?.tar; do
    in_node "$WHERRY" images import --data-dir "$DATA" "$tar" || return 1
  done
}

node_is_ready() {
  [ "$(kubectl_in "$NEWEST" get node node-1 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

wait_for_node() { eventually 20 node_is_ready; }

# Each case has a namespace of its own, named after it.
case_setup() {
  SPACE=$(tr -c 'a-z0-9\n' - <<< "${CASE#case_}")
  SPACE=${SPACE:0:60}
  FILES=$(mktemp -d "$WORLD/case.XXXXXX")  # Goes with the world.
  kn create namespace "$SPACE" > /dev/null
  eventually 10 k get serviceaccount default
}

case_teardown() {
  SPACE=$(tr -c 'a-z0-9\n' - <<< "${CASE#case_}")
  SPACE=${SPACE:0:60}
  world_remember
  k get events --sort-by=.metadata.creationTimestamp 2> /dev/null | tail -n 8
  kn delete namespace "$SPACE" --wait=false > /dev/null 2>&1
  k delete pods --all --grace-period=0 --force --wait=false > /dev/null 2>&1
  return 0
}

# A pod of one container: pod NAME COMMAND [EXTRA-OF-CONTAINER [EXTRA-OF-POD]], extras as JSON members.
pod() {
  jq -n --arg name "$1" --arg command "$2" --arg image "${IMAGE:-$BOX}" \
    --argjson container "{${3:-}}" --argjson spec "{${4:-}}" \
    '{apiVersion: "v1", kind: "Pod", metadata: {name: $name, labels: {app: $name}},
      spec: ({terminationGracePeriodSeconds: 1,
              containers: [{name: "main", image: $image, command: ["sh", "-c", $command]} + $container]}
             + $spec)}' | k create -f -
}

ready() { k wait --for=condition=Ready --timeout="${2:-30}s" "$1" > /dev/null; }
get() { k get "$1" -o "jsonpath=$2"; } # KIND/NAME PATH
is() { [ "$(get "$1" "$2")" = "$3" ] || { get "$1" "$2"; return 1; }; } # KIND/NAME PATH VALUE
