# The rows of the table. Sourced by run.sh.

# row NAME WHERRY ORACLE BETTER TARGET: BETTER is "more" or "less"; a value that is missing is "".
# What the machine alone takes for it is in $AT_BEST, if that was measured.
row() { printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" "${AT_BEST:-}" | tee -a "$ROWS" | cut -f1-3 | tr '\t' ' '; }

print_table() {
  awk -F'\t' '
    BEGIN { printf "\n| %-46s | %12s | %12s | %8s | %-14s | %10s |\n", "measure", "wherry", "oracle", "ratio", "target", "floor"
            print "| --- | ---: | ---: | ---: | --- | ---: |" }
    { ratio = ""
      if ($2 + 0 > 0 && $3 + 0 > 0) ratio = sprintf("%.1fx", $4 == "more" ? $2 / $3 : $3 / $2)
      printf "| %-46s | %12s | %12s | %8s | %-14s | %10s |\n", $1, $2 == "" ? "-" : $2, $3 == "" ? "-" : $3, ratio, $5, $6 }' "$ROWS"
}

write_document() {
  mkdir -p docs
  {
    echo "# Performance"
    echo
    echo "Made by \`make bench\` on $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1))," \
      "$(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo), Linux $(uname -r)." \
      "A ratio above 1 says that Wherry does better."
    cat "$FOLDER/table"
  } > docs/performance.md
}

value() { sed -nE "s/.*(^| )$1=([^ ]*).*/\2/p" <<< "$2"; }

# The middle of RUNS runs of a load, by one of its numbers.
middle() { # NAME LOAD-ARGUMENT...
  local name=$1 run
  shift
  for run in $(seq "${RUNS:-1}"); do value "$name" "$("$LOAD" "$@")"; done | sort -g | awk '{a[NR] = $1} END {if (NR) print a[int((NR + 1) / 2)]}'
}

oracle_open() {
  ORACLE_CONFIG= ORACLE_PIDS=
  [ -n "${ORACLE:-}" ] || return 0
  if [ -d "$ORACLE" ]; then
    ORACLE_CONFIG=$ORACLE/admin.kubeconfig
    [ ! -e "$ORACLE/pids" ] || ORACLE_PIDS=$(cut -d' ' -f1 "$ORACLE/pids")
  else
    ORACLE_CONFIG=$ORACLE
  fi
  "$LOAD" "$ORACLE_CONFIG" get /version 1 0.2 > /dev/null || { echo "bench: the oracle does not answer"; exit 1; }
}

size_row() { row "program, MiB" "$(stat -c %s "$WHERRY" | awk '{printf "%.1f", $1 / 1048576}')" "" less "<= 15"; }

# ---- Start

start_rows() {
  local port=$((20000 + RANDOM % 9000)) config=$FOLDER/start.yaml out
  local server=("$WHERRY" server --disable-agent --bind-address 127.0.0.1 --https-listen-port $port
    --data-dir "$FOLDER/start" --write-kubeconfig "$config" --log-level off)
  out=$("$LOAD" - start $port 1 "${server[@]}")
  row "first start until readyz, ms" "$(value p50 "$out")" "" less "<= 1000"
  out=$("$LOAD" - start $port 7 "${server[@]}")
  row "second start until readyz, ms" "$(value p50 "$out")" "" less "<= 300"
  # The same with a thousand Pods in the store.
  plane_start
  "$LOAD" "$FOLDER/admin.yaml" seed default 1000 > /dev/null
  plane_stop TERM
  server[8]=$FOLDER/d
  out=$("$LOAD" - start $port 5 "${server[@]}")
  row "start with 1,000 Pods until readyz, ms" "$(value p50 "$out")" "" less "<= 300"
  rm -rf "$FOLDER/d" "$FOLDER/start"
}

# ---- Memory, CPU, wake-ups and disk of processes

memory_of() { # Rss|Pss PID...: MiB
  local what=$1
  shift
  for pid in "$@"; do awk -v w="$what:" '$1 == w {print $2}' "/proc/$pid/smaps_rollup" 2> /dev/null; done |
    awk '{s += $1} END {printf "%.1f", s / 1024}'
}

# "CPU-ns WAKE-UPS BYTES-WRITTEN" so far, of all threads.
counters_of() {
  local pid
  for pid in "$@"; do
    cat /proc/"$pid"/task/*/schedstat 2> /dev/null | awk '{s += $1} END {printf "%.0f 0 0\n", s}'
    cat /proc/"$pid"/task/*/status 2> /dev/null | awk '/^voluntary_ctxt/ {s += $2} END {print 0, s + 0, 0}'
    awk '/^write_bytes/ {print 0, 0, $2}' "/proc/$pid/io"
  done | awk '{a += $1; b += $2; c += $3} END {printf "%.0f %.0f %.0f\n", a, b, c}'
}

# idle_of PID...: sets IDLE_RSS IDLE_PSS IDLE_CPU (% of a core) IDLE_WAKE (a second) IDLE_DISK (MB a day)
idle_of() {
  local before after seconds=${IDLE:-30}
  IDLE_RSS=$(memory_of Rss "$@") IDLE_PSS=$(memory_of Pss "$@")
  before=$(counters_of "$@")
  sleep "$seconds"
  after=$(counters_of "$@")
  read -r IDLE_CPU IDLE_WAKE IDLE_DISK < <(awk -v s="$seconds" '
    NR == 1 {for (i = 1; i < 4; i++) was[i] = $i}
    NR == 2 {printf "%.2f %.1f %.1f\n", ($1 - was[1]) / 1e7 / s, ($2 - was[2]) / s, ($3 - was[3]) / s * 86400 / 1e6}' \
    <<< "$before"$'\n'"$after")
}

idle_rows() {
  plane_start
  sleep 5
  idle_of "$(cat "$FOLDER/pid")"
  local mine=("$IDLE_RSS" "$IDLE_PSS" "$IDLE_CPU" "$IDLE_WAKE" "$IDLE_DISK")
  IDLE_RSS= IDLE_PSS= IDLE_CPU= IDLE_WAKE= IDLE_DISK=
  [ -z "$ORACLE_PIDS" ] || idle_of $ORACLE_PIDS
  row "control plane idle, RSS MiB" "${mine[0]}" "$IDLE_RSS" less "<= 30"
  row "control plane idle, PSS MiB" "${mine[1]}" "$IDLE_PSS" less ""
  row "control plane idle, CPU % of a core" "${mine[2]}" "$IDLE_CPU" less "<= 0.2"
  row "control plane idle, wake-ups a second" "${mine[3]}" "$IDLE_WAKE" less "<= 20"
  row "control plane idle, MB written a day" "${mine[4]}" "$IDLE_DISK" less "<= 5"
  plane_stop TERM
  rm -rf "$FOLDER/d"
}

# ---- Requests

both() { # NAME VALUE BETTER TARGET LOAD-ARGUMENT...
  local name=$1 value=$2 better=$3 target=$4 theirs=
  shift 4
  [ -z "$ORACLE_CONFIG" ] || theirs=$(middle "$value" "$ORACLE_CONFIG" "$@")
  row "$name" "$(middle "$value" "$FOLDER/admin.yaml" "$@")" "$theirs" "$better" "$target"
}

# What a request costs the servers: the client, who shares the processors, is not in it.
cpu_of() { # PID...: ticks of 10 ms so far
  local pid sum=0
  for pid; do
    sum=$((sum + $(sed 's/.*) //' "/proc/$pid/stat" | awk '{print $12 + $13}')))
  done
  echo $sum
}
cpu_each() { # PIDS CONFIG LOAD-ARGUMENT... SECONDS: microseconds, the middle of three
  local pids=$1 before rate i
  shift
  for i in 1 2 3; do
    before=$(cpu_of $pids)
    rate=$(value per_second "$("$LOAD" "$@")")
    awk -v ticks=$(($(cpu_of $pids) - before)) -v rate="$rate" -v seconds="${SECONDS_EACH:-4}" \
      'BEGIN {printf "%.0f\n", ticks * 10000 / (rate * seconds)}'
  done | sort -n | sed -n 2p
}
both_cpu() { # NAME TARGET LOAD-ARGUMENT...
  local name=$1 target=$2 theirs=
  shift 2
  [ -z "$ORACLE_PIDS" ] || theirs=$(cpu_each "$ORACLE_PIDS" "$ORACLE_CONFIG" "$@")
  row "$name" "$(cpu_each "$(cat "$FOLDER/pid")" "$FOLDER/admin.yaml" "$@")" "$theirs" less "$target"
}
cpu_rows() { # SPACE
  local s=${SECONDS_EACH:-4} pods=/api/v1/namespaces/$1/pods
  both_cpu "CPU of the server: GET of a Pod, us" "" get "$pods/seed-0" 8 "$s"
  both_cpu "LIST of 1,000 Pods, us" "" get "$pods" 4 "$s"
  both_cpu "the same, compressed, us" "" get "$pods" 4 "$s" 'Accept-Encoding: gzip'
  both_cpu "durable create, 64 clients, us" "" create "$1" 64 "$s"
}

# ---- Floors: the same load where there is nothing but TLS, the loopback or the disk

floor_of() { # BYTES CONNECTIONS: answers of so many bytes a second, of the smallest TLS server
  "$FLOOR" serve "$1" "$FOLDER/floor.yaml" 300 > "$FOLDER/floor.out" &
  local pid=$!
  eventually 10 grep -q serves "$FOLDER/floor.out"
  middle per_second "$FOLDER/floor.yaml" get / "$2" "${SECONDS_EACH:-4}"
  kill $pid
  wait $pid 2> /dev/null
}
floor_commits() { # ROWS: of each transaction
  value per_second "$("$FLOOR" commit "$1" "${SECONDS_EACH:-4}" "$FOLDER/floor")"
  rm -rf "$FOLDER/floor"
}
bytes_of() { value bytes "$("$LOAD" "$FOLDER/admin.yaml" get "$1" 1 1 "${@:2}")"; }

floor_rows() {
  local out
  out=$("$FLOOR" copy 2)
  row "floor: memcpy, one core, MB/s" "$(value copy_mb "$out")" "" more ""
  row "floor: AES-128-GCM, one core, MB/s" "$(value seal_mb "$out")" "" more ""
}

api_rows() {
  local s=${SECONDS_EACH:-4} space config file=$FOLDER/admin.yaml
  plane_start
  space=bench-$RANDOM
  for config in "$file" $ORACLE_CONFIG; do
    make_space "$config" $space && "$LOAD" "$config" seed $space 1000 > /dev/null
  done
  AT_BEST=$(floor_of "$(bytes_of "/api/v1/namespaces/$space/pods/seed-0")" 8) \
    both "GET of a Pod, 8 connections, a second" per_second more ">= 15x" get "/api/v1/namespaces/$space/pods/seed-0" 8 "$s"
  both "GET of a Pod, 1 connection, p50 ms" p50 less "" get "/api/v1/namespaces/$space/pods/seed-0" 1 2
  list_rows "/api/v1/namespaces/$space/pods"
  row "with 1,000 Pods, after the reads, RSS MiB" "$(memory_of Rss "$(cat "$FOLDER/pid")")" \
    "$([ -z "$ORACLE_PIDS" ] || memory_of Rss $ORACLE_PIDS)" less ">= 10x"
  fair_rows "/api/v1/namespaces/$space/pods"
  AT_BEST=$(floor_commits 1) both "durable creates, 1 client, a second" per_second more "" create $space 1 "$s"
  AT_BEST=$(floor_commits 8) both "durable creates, 8 clients, a second" per_second more ">= 5x" create $space 8 "$s"
  AT_BEST=$(floor_commits 64) both "durable creates, 64 clients, a second" per_second more ">= 10x" create $space 64 "$s"
  cpu_rows $space
  for config in "$file" $ORACLE_CONFIG; do make_space "$config" $space-fan; done
  AT_BEST=$(value last_p50 "$("$FLOOR" fan 1 500 30)") both "one event to 1 watcher, p50 ms" last_p50 less "" fan "/api/v1/namespaces/$space-fan/configmaps" 1 30
  AT_BEST=$(value last_p50 "$("$FLOOR" fan 1000 500 30)") both "one event to 1,000 watchers, p50 ms" last_p50 less ">= 5x" fan "/api/v1/namespaces/$space-fan/configmaps" 1000 30
  for config in $ORACLE_CONFIG; do remove_space "$config" $space; remove_space "$config" $space-fan; done
  plane_stop TERM
  rm -rf "$FOLDER/d"
  memory_rows
}

# Who asks, what they may, what is admitted: beside the same request without any of it. CPU time, in
# the machinery: HTTP, TLS and the disk are not in it.
access_rows() {
  local out name
  out=$("$BUILD/tests/bench/access")
  for name in 'certificate:who asks, by certificate' 'token:who asks, by ServiceAccount token' 'authorise:what they may, 1,000 bindings' \
    'get:GET of a Pod with both' 'get_open:the same, nothing asked' 'create:dry-run create of a Pod, admission too' 'create_open:the same, nothing asked'; do
    row "${name#*:}, CPU us" "$(value "${name%%:*}" "$out")" "" less "$([ "${name%%:*}" != authorise ] || echo '<= 2')"
  done
}

list_rows() { # PATH
  local s=${SECONDS_EACH:-4} table='Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
  local gzip='Accept-Encoding: gzip' protobuf='Accept: application/vnd.kubernetes.protobuf'
  AT_BEST=$(floor_of "$(bytes_of "$1")" 4) \
    both "LIST of 1,000 Pods, 4 connections, a second" per_second more ">= 20x" get "$1" 4 "$s"
  AT_BEST=$(floor_of "$(bytes_of "$1" "$gzip")" 4) \
    both "the same, compressed as clients in Go ask for" per_second more ">= 20x" get "$1" 4 "$s" "$gzip"
  both "the same as protobuf" per_second more "" get "$1" 4 "$s" "$protobuf"
  both "as protobuf, compressed" per_second more "" get "$1" 4 "$s" "$protobuf" "$gzip"
  both "the same as a Table" per_second more "" get "$1" 4 "$s" "$table"
  both "as a Table, compressed" per_second more "" get "$1" 4 "$s" "$table" "$gzip"
  both "its first 100, 4 connections, a second" per_second more "" get "$1?limit=100" 4 "$s"
}

# One user's GETs, alone and while another one lists 1,000 Pods over 64 connections.
fair_rows() { # PATH
  local config s=${SECONDS_EACH:-4}
  for config in "$FOLDER/admin.yaml" $ORACLE_CONFIG; do
    with_config "$config" /apis/rbac.authorization.k8s.io/v1/clusterrolebindings -o /dev/null -H 'Content-Type: application/json' \
      -d '{"metadata":{"name":"bench"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},
        "subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"bench-loud"},{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"bench-quiet"}]}'
  done
  FAIR=0 both "GET of a user alone, p99 ms" p99 less "" fair "$1" "$1/seed-0" "$s"
  both "GET beside a user with 64 lists, p99 ms" p99 less "" fair "$1" "$1/seed-0" "$s"
}

# What ten thousand Pods of 5 kB and a thousand idle watches cost, and a list of the former.
memory_rows() {
  local before after pid space=bench-many file=$FOLDER/admin.yaml
  plane_start
  pid=$(cat "$FOLDER/pid")
  make_space "$file" $space
  before=$(memory_of Rss "$pid")
  "$LOAD" "$file" seed $space 10000 > /dev/null
  after=$(memory_of Rss "$pid")
  row "memory of a stored Pod of 5 kB, KiB" "$(awk "BEGIN {printf \"%.1f\", ($after - $before) * 1024 / 10000}")" "" less "<= 12"
  # Before the lists: what they give back would hide what the watches take.
  before=$(memory_of Rss "$pid")
  "$LOAD" "$file" watches /api/v1/namespaces/$space/configmaps 1000 30 > "$FOLDER/watches" &
  eventually 25 grep -q opened "$FOLDER/watches"
  after=$(memory_of Rss "$pid")
  row "memory of an idle watch, KiB" "$(awk "BEGIN {printf \"%.1f\", ($after - $before) * 1024 / 1000}")" "" less "<= 20"
  wait $!
  local many="/api/v1/namespaces/$space/pods" s=${SECONDS_EACH:-4} ORACLE_CONFIG=$ORACLE_CONFIG
  [ -n "${ORACLE_MANY:-}" ] || ORACLE_CONFIG=
  if [ -n "$ORACLE_CONFIG" ]; then make_space "$ORACLE_CONFIG" $space && "$LOAD" "$ORACLE_CONFIG" seed $space 10000 > /dev/null; fi
  both "LIST of 10,000 Pods, 4 connections, a second" per_second more "" get "$many" 4 "$s"
  both "the same, compressed" per_second more "" get "$many" 4 "$s" 'Accept-Encoding: gzip'
  both "its pages of 500, 4 connections, a second" per_second more "" pages "$many" 500 4 "$s"
  [ -z "$ORACLE_CONFIG" ] || remove_space "$ORACLE_CONFIG" $space
  row "after them, RSS MiB" "$(memory_of Rss "$pid")" "" less ""
  plane_stop TERM
  rm -rf "$FOLDER/d"
}

# With curl and the kubeconfig's identity: there may be no kubectl.
with_config() { # KUBECONFIG PATH CURL-OPTION...
  local config=$1 path=$2 part FOLDER=$FOLDER/other
  shift 2
  mkdir -p "$FOLDER"
  plane_other "$config"
  in_case_netns curl -sS "${IDENTITY[@]}" "$URL$path" "$@"
}
in_case_netns() { if [ -n "${VIA_NETNS:-}" ]; then nsenter --net="$VIA_NETNS" "$@"; else "$@"; fi; }

make_space() {
  with_config "$1" /api/v1/namespaces -o /dev/null -H 'Content-Type: application/json' \
    -d '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"'"$2"'"}}'
  # Pods are admitted once the ServiceAccount is there.
  eventually 20 space_ready "$1" "$2"
}
space_ready() { with_config "$1" "/api/v1/namespaces/$2/serviceaccounts/default" -f -o /dev/null; }
remove_space() { with_config "$1" "/api/v1/namespaces/$2" -o /dev/null -X DELETE; }

# ---- Pods

# pods_of KUBECONFIG NETNS IMAGE: sets ONE and CROWD to the lines that load prints
pods_of() {
  VIA_NETNS=$2
  local space=bench-$RANDOM
  make_space "$1" $space
  # Once without counting: images unpack, caches fill.
  in_case_netns "$LOAD" "$1" pods $space "$3" 3 > /dev/null
  with_config "$1" "/api/v1/namespaces/$space/pods" -o /dev/null -X DELETE
  make_space "$1" $space-one
  ONE_LINE=$(in_case_netns "$LOAD" "$1" pods $space-one "$3" "${ONE:-30}")
  sleep 2
  make_space "$1" $space-many
  CROWD_LINE=$(in_case_netns "$LOAD" "$1" crowd $space-many "$3" "${PODS:-100}")
  AFTER_CROWD=$space-many
  VIA_NETNS=
}

pod_rows() {
  IMAGES=$(mktemp -d)
  box_layer "$IMAGES/box"
  image_tar "$IMAGES/box.tar" example.test/box:1 "$BOX_CONFIG" "$IMAGES/box" || return 1
  bare_runc
  world_open && server_start --log-level off || return 1
  eventually 20 in_node "$WHERRY" images import --data-dir "$DATA" "$IMAGES/box.tar" > /dev/null
  sleep 5
  idle_of "$SERVER_PID"
  local mine=("$IDLE_RSS" "$IDLE_PSS" "$IDLE_CPU" "$IDLE_WAKE" "$IDLE_DISK") one crowd theirs=()
  pods_of "$KUBECONFIG_FILE" "/run/netns/$NODE_NS" example.test/box:1
  one=$ONE_LINE crowd=$CROWD_LINE
  local rss shims
  rss=$(memory_of Rss "$SERVER_PID")
  shims=$(shim_memory)
  IDLE_RSS= IDLE_PSS= IDLE_CPU= IDLE_WAKE= IDLE_DISK= ONE_LINE= CROWD_LINE=
  if [ -n "${PODS_ORACLE:-}" ]; then
    idle_of $(cut -d' ' -f1 "$PODS_ORACLE/pids")
    pods_of "$PODS_ORACLE/admin.kubeconfig" "$PODS_ORACLE/netns" "${POD_IMAGE:-127.0.0.1:5000/e2e-test-images/agnhost:2.63.0}"
  fi
  row "whole node idle, RSS MiB" "${mine[0]}" "$IDLE_RSS" less "<= 30"
  row "whole node idle, PSS MiB" "${mine[1]}" "$IDLE_PSS" less ""
  row "whole node idle, CPU % of a core" "${mine[2]}" "$IDLE_CPU" less "<= 0.2"
  row "whole node idle, wake-ups a second" "${mine[3]}" "$IDLE_WAKE" less "<= 20"
  row "whole node idle, MB written a day" "${mine[4]}" "$IDLE_DISK" less "<= 5"
  row "pod from create to Running, p50 ms" "$(value p50 "$one")" "$(value p50 "$ONE_LINE")" less "bare runc + 60"
  row "pod from create to Running, p99 ms" "$(value p99 "$one")" "$(value p99 "$ONE_LINE")" less ""
  row "${PODS:-100} pods at once: half run after, ms" "$(value half "$crowd")" "$(value half "$CROWD_LINE")" less ""
  row "${PODS:-100} pods at once: all run after, ms" "$(value last "$crowd")" "$(value last "$CROWD_LINE")" less ""
  row "with them: server RSS MiB" "$rss" "" less ""
  row "with them: a shim, private kB" "$shims" "" less ""
  stop_workloads
}

shim_memory() {
  world_remember
  local pid
  for pid in $(world_processes); do
    [ "$(cat "/proc/$pid/comm")" = sleep ] ||
      awk '/^Private/ {s += $2} END {if (NR) print s}' "/proc/$pid/smaps_rollup" 2> /dev/null
  done | awk '$1 < 4000 {n++; s += $1} END {if (n) printf "%.0f", s / n}'
}

stop_workloads() {
  server_stop TERM
  in_node "$WHERRY" stop --workloads --data-dir "$DATA" > /dev/null
}

# The same file system and command, by the runtime alone.
bare_runc() {
  local bundle=$FOLDER/bundle out
  mkdir -p "$bundle"
  cp -a "$IMAGES/box" "$bundle/rootfs"
  (cd "$bundle" && runc spec) || return 0
  jq '.process.args = ["sleep", "100000"] | .process.terminal = false' "$bundle/config.json" > "$bundle/new" &&
    mv "$bundle/new" "$bundle/config.json"
  "$LOAD" - runc "$bundle" 3 > /dev/null
  out=$("$LOAD" - runc "$bundle" "${ONE:-30}")
  row "bare runc run, p50 ms" "$(value p50 "$out")" "" less ""
  row "bare runc run, p99 ms" "$(value p99 "$out")" "" less ""
}
