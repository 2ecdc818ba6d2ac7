#!/bin/sh
# Installs Wherry on this machine and starts it. Running it twice changes nothing.
#
#   sudo ./install.sh [server|agent] [FLAGS...]
#   WHERRY_URL=https://server:6443 WHERRY_TOKEN=... sudo -E ./install.sh     joins as an agent
#
# Everything after the script's name goes to the service; `wherry server --help` has the flags.
#
#   WHERRY_URL, WHERRY_TOKEN       join this server with this token: makes the machine an agent
#   WHERRY_*                       kept for the service in /etc/wherry/<name>.env (mode 0600)
#   WHERRY_VERSION                 the release to fetch (default: latest)
#
#   INSTALL_WHERRY_BIN=file        install this binary instead of fetching or building one
#   INSTALL_WHERRY_URL=address     fetch address/<version>/wherry-<arch>, checked against .sha256
#   INSTALL_WHERRY_SHA256=hex      the sum the binary must have, whichever way it came
#   INSTALL_WHERRY_EXEC="..."      flags, or a command with flags, put before those given here
#   INSTALL_WHERRY_BIN_DIR=dir     where the binary goes (default /usr/local/bin)
#   INSTALL_WHERRY_NAME=name       name of the service (default wherry, or wherry-agent)
#   INSTALL_WHERRY_SKIP_ENABLE=1   do not start the service at boot, nor now
#   INSTALL_WHERRY_SKIP_START=1    do not start the service now
#   INSTALL_WHERRY_SKIP_RUNC=1     do not install runc (another runtime is configured)
#   INSTALL_WHERRY_SKIP_HELLO=1    do not run docs/examples/hello.yaml, a page to look at
#   INSTALL_WHERRY_TIMEOUT=180     seconds to wait until the node is Ready
#
# Without INSTALL_WHERRY_BIN and INSTALL_WHERRY_URL the checkout this script lies in is built, after
# installing what the build needs. What this script created is listed in /etc/wherry/installed, one
# "<kind> <name>" a line (file, unit, openrc, pidfile, data), for `wherry uninstall`.
set -eu

config_dir=/etc/wherry
installed=$config_dir/installed

say() { echo "wherry: $*"; }
die() {
  echo "wherry: $*" >&2
  exit 1
}
have() { command -v "$1" > /dev/null 2>&1; }

is_set() {
  case "${1:-}" in "" | 0 | false | no) return 1 ;; *) return 0 ;; esac
}

remember() {
  grep -qxF "$1" "$installed" 2> /dev/null || echo "$1" >> "$installed"
}

# put FILE MODE: writes standard input there unless it has that content; sets changed=1 if it wrote.
# (Not at the end of a pipe: there the variable would be a copy.)
put() {
  put_new=$1.new.$$
  (umask 077; cat > "$put_new")
  chmod "$2" "$put_new"
  if cmp -s "$put_new" "$1"; then
    rm -f "$put_new"
  else
    mv -f "$put_new" "$1"
    changed=1
  fi
  remember "file $1"
}

# ---- What to install

read_request() {
  set -f
  # shellcheck disable=SC2086  # Words, as the user wrote them.
  set -- ${INSTALL_WHERRY_EXEC:-} "$@"
  set +f
  role=server
  [ -n "${WHERRY_URL:-}" ] && role=agent
  case "${1:-}" in
    server | agent) role=$1; shift ;;
    -h | --help) sed -n '2,29s/^# \{0,1\}//p' "$0"; exit 0 ;;
    "" | -*) ;;
    *) die "unknown command '$1'; the service is a server or an agent" ;;
  esac
  if [ "$role" = agent ]; then
    [ -n "${WHERRY_URL:-}" ] || has_flag --server "$@" || die "an agent needs WHERRY_URL, the address of its server"
    [ -n "${WHERRY_TOKEN:-}" ] || has_flag --token "$@" || die "an agent needs WHERRY_TOKEN; on the server it is in /var/lib/wherry/server/token"
    case "${WHERRY_URL:-https://}" in https://*) ;; *) die "WHERRY_URL must start with https://" ;; esac
  fi
  name=${INSTALL_WHERRY_NAME:-wherry$([ "$role" = agent ] && echo -agent || true)}
  bin_dir=${INSTALL_WHERRY_BIN_DIR:-/usr/local/bin}
  binary=$bin_dir/wherry
  runs_pods=1
  has_flag --disable-agent "$@" && runs_pods=""
  kubeconfig=${WHERRY_WRITE_KUBECONFIG:-$config_dir/wherry.yaml}
  data_dir=${WHERRY_DATA_DIR:-/var/lib/wherry}
  find_paths "$@"

  systemd_words='' shell_words=''
  for word in "$role" "$@"; do
    systemd_words="$systemd_words \"$(printf '%s' "$word" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g')\""
    shell_words="$shell_words '$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'"
  done
}

has_flag() {
  wanted=$1
  shift
  for flag in "$@"; do
    case "$flag" in "$wanted" | "$wanted"=*) return 0 ;; esac
  done
  return 1
}

# The two files the waiting below reads may be elsewhere.
find_paths() {
  while [ $# -gt 0 ]; do
    case "$1" in
      --write-kubeconfig=*) kubeconfig=${1#*=} ;;
      --write-kubeconfig) kubeconfig=${2:-$kubeconfig} ;;
      --data-dir=*) data_dir=${1#*=} ;;
      --data-dir) data_dir=${2:-$data_dir} ;;
    esac
    shift
  done
}

check_machine() {
  [ "$(uname -s)" = Linux ] || die "Wherry runs on Linux"
  case "$(uname -m)" in
    x86_64 | amd64) arch=x86_64 ;;
    aarch64 | arm64) arch=aarch64 ;;
    *) die "there is no Wherry for $(uname -m); x86_64 and aarch64 are built" ;;
  esac
  [ "$(id -u)" = 0 ] || die "run this as root: sudo $0"
}

# ---- The binary

check_sum() {
  have sha256sum || die "sha256sum is missing; cannot check the binary"
  actual=$(sha256sum "$1" | cut -d' ' -f1)
  [ "$actual" = "$2" ] || die "$1 has the SHA-256 sum $actual, not $2; it is damaged or not the one you want"
}

fetch() {
  if have curl; then
    curl -fsSL --retry 3 -o "$2" "$1"
  elif have wget; then
    wget -q -O "$2" "$1"
  else
    die "neither curl nor wget is here to fetch $1"
  fi || die "cannot fetch $1"
}

download() {
  version=${WHERRY_VERSION:-${INSTALL_WHERRY_VERSION:-latest}}
  address=${INSTALL_WHERRY_URL%/}/$version/wherry-$arch
  say "fetching $address"
  fetch "$address" "$scratch/wherry"
  if [ -z "${INSTALL_WHERRY_SHA256:-}" ]; then
    fetch "$address.sha256" "$scratch/sum"
    check_sum "$scratch/wherry" "$(cut -d' ' -f1 "$scratch/sum")"
  fi
  source_file=$scratch/wherry
}

build_checkout() {
  here=$(cd "$(dirname "$0")" 2> /dev/null && pwd || true)
  if [ ! -r "$here/Makefile" ] || [ ! -d "$here/cmd/wherry" ]; then
    die "nothing to install: set INSTALL_WHERRY_BIN to a binary or INSTALL_WHERRY_URL to a release address, or run this from a checkout"
  fi
  say "building this checkout; a first build takes some minutes"
  "$here/scripts/install-deps.sh" --build || die "installing what the build needs failed"
  make -C "$here" --no-print-directory -j"$(nproc)" ARCH="$arch" || die "the build failed"
  source_file=$here/build/wherry
}

install_binary() {
  if [ -n "${INSTALL_WHERRY_BIN:-}" ]; then
    source_file=$INSTALL_WHERRY_BIN
    [ -r "$source_file" ] || die "INSTALL_WHERRY_BIN: there is no file $source_file"
  elif [ -n "${INSTALL_WHERRY_URL:-}" ]; then
    download
  else
    build_checkout
  fi
  if [ -n "${INSTALL_WHERRY_SHA256:-}" ]; then check_sum "$source_file" "$INSTALL_WHERRY_SHA256"; fi
  mkdir -p "$bin_dir" "$config_dir"
  chmod 755 "$config_dir"
  put "$binary" 755 < "$source_file"
  "$binary" version > /dev/null || die "$binary does not run on this machine"
  # Without a kubectl of its own the machine gets the built-in one under that name.
  if ! have kubectl || grep -q "^file $bin_dir/kubectl$" "$installed" 2> /dev/null; then
    printf '#!/bin/sh\nexec %s kubectl "$@"\n' "$binary" > "$scratch/kubectl"
    before=$changed
    put "$bin_dir/kubectl" 755 < "$scratch/kubectl"
    changed=$before  # The running service does not read it.
  fi
}

install_runc() {
  if [ -z "$runs_pods" ] || is_set "${INSTALL_WHERRY_SKIP_RUNC:-}" || have runc || [ -x /usr/sbin/runc ]; then
    return 0
  fi
  say "installing runc"
  if have apt-get; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -q --no-install-recommends runc > "$scratch/log" 2>&1 \
      || { apt-get update -q && apt-get install -y -q --no-install-recommends runc; } > "$scratch/log" 2>&1
  elif have dnf; then dnf install -y -q runc > "$scratch/log" 2>&1
  elif have yum; then yum install -y -q runc > "$scratch/log" 2>&1
  elif have zypper; then zypper -q -n install runc > "$scratch/log" 2>&1
  elif have apk; then apk add -q runc > "$scratch/log" 2>&1
  elif have pacman; then pacman -S --noconfirm --needed runc > "$scratch/log" 2>&1
  else die "install runc with this system's package manager, then run this again"
  fi || { tail -n 5 "$scratch/log" >&2; die "installing runc failed"; }
}

# ---- The service

write_environment() {
  env_file=$config_dir/$name.env
  env | grep -E '^(WHERRY_[A-Z0-9_]+|[a-zA-Z]*_(proxy|PROXY))=' \
    | grep -vE '^WHERRY_(VERSION|CACHE)=' | sort \
    | sed -E 's/[\\"$`]/\\&/g; s/^([A-Za-z0-9_]+)=(.*)$/\1="\2"/' > "$scratch/env" || true
  put "$env_file" 600 < "$scratch/env"
}

write_systemd_unit() {
  put "/etc/systemd/system/$name.service" 644 << UNIT
[Unit]
Description=Wherry, Kubernetes in one small binary ($role)
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
EnvironmentFile=-$env_file
ExecStartPre=-/sbin/modprobe overlay
ExecStart=$binary$systemd_words
# Pods outlive the service, and a restart finds them.
KillMode=process
Delegate=yes
Restart=always
RestartSec=200ms
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
UNIT
  remember "unit $name.service"
  [ -z "$changed" ] || systemctl daemon-reload
}

start_systemd() {
  if is_set "${INSTALL_WHERRY_SKIP_ENABLE:-}"; then return 0; fi
  systemctl is-enabled --quiet "$name" 2> /dev/null || systemctl enable --quiet "$name"
  if is_set "${INSTALL_WHERRY_SKIP_START:-}"; then return 0; fi
  if [ -n "$changed" ]; then
    systemctl restart "$name"
  else
    systemctl is-active --quiet "$name" || systemctl start "$name"
  fi
  started=1
}

write_openrc_script() {
  put "/etc/init.d/$name" 755 << SCRIPT
#!/sbin/openrc-run
description="Wherry, Kubernetes in one small binary ($role)"
supervisor=supervise-daemon
respawn_delay=1
command=$binary
command_args="$(printf '%s' "$shell_words" | sed 's/[\\"$`]/\\&/g')"
output_log=/var/log/$name.log
error_log=/var/log/$name.log
rc_ulimit="-n 1048576"
depend() {
  need net
  use dns
}
start_pre() {
  modprobe overlay 2> /dev/null || true
  set -o allexport
  [ ! -f $env_file ] || . $env_file
  set +o allexport
}
SCRIPT
  remember "openrc $name"
  remember "file /var/log/$name.log"
}

start_openrc() {
  if is_set "${INSTALL_WHERRY_SKIP_ENABLE:-}"; then return 0; fi
  rc-update -q add "$name" default || true
  if is_set "${INSTALL_WHERRY_SKIP_START:-}"; then return 0; fi
  if [ -n "$changed" ]; then rc-service -q "$name" restart; else rc-service -q "$name" start || true; fi
  started=1
}

# No service manager (a container, a tiny image): a process of its own session with a pid file.
plain_pid() {
  pid=$(cat "$pid_file" 2> /dev/null || true)
  [ -n "$pid" ] && [ "$(readlink "/proc/$pid/exe" 2> /dev/null | sed 's/ (deleted)$//')" = "$binary" ]
}

start_plain() {
  pid_file=/run/$name.pid
  log_file=/var/log/$name.log
  if is_set "${INSTALL_WHERRY_SKIP_ENABLE:-}" || is_set "${INSTALL_WHERRY_SKIP_START:-}"; then
    say "there is no service manager; start it with: $binary$shell_words"
    return 0
  fi
  started=1
  if plain_pid; then
    [ -n "$changed" ] || return 0
    kill -TERM "$pid"
    tries=0
    while plain_pid && [ $tries -lt 100 ]; do
      sleep 0.1
      tries=$((tries + 1))
    done
    plain_pid && die "the running service (process $pid) does not stop"
  fi
  # The shell only replaces itself, so the pid it writes is the service's.
  eval "setsid sh -c 'echo \$\$ > \"\$0\"; exec \"\$@\"' \"\$pid_file\" \"\$binary\" $shell_words" \
    >> "$log_file" 2>&1 < /dev/null &
  remember "pidfile $pid_file"
  remember "file $log_file"
  tries=0
  while ! plain_pid && [ $tries -lt 20 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
}

install_service() {
  write_environment
  if [ -d /run/systemd/system ] && have systemctl; then
    manager=systemd
    write_systemd_unit
    start_systemd
  elif have rc-service && have openrc-run; then
    manager=openrc
    write_openrc_script
    start_openrc
  else
    manager=plain
    start_plain
  fi
}

# ---- Until it works

service_runs() {
  case "$manager" in
    systemd) ! systemctl is-failed --quiet "$name" ;;
    openrc) rc-service -q "$name" status > /dev/null 2>&1 ;;
    plain) plain_pid ;;
  esac
}

show_log() {
  case "$manager" in
    systemd) journalctl -u "$name" -n 20 --no-pager 2> /dev/null || true ;;
    *) tail -n 20 "/var/log/$name.log" 2> /dev/null || true ;;
  esac >&2
}

client() {
  KUBECONFIG=$kubeconfig "$binary" kubectl "$@"
}

wait_until_ready() {
  timeout=${INSTALL_WHERRY_TIMEOUT:-180}
  deadline=$(($(date +%s) + timeout))
  until [ -r "$kubeconfig" ] && client get --raw=/readyz > /dev/null 2>&1 && service_runs; do
    service_runs || { show_log; die "the service ended; its last words are above"; }
    [ "$(date +%s)" -lt "$deadline" ] || { show_log; die "the API server is not ready after $timeout s"; }
    sleep 0.2
  done
  [ -n "$runs_pods" ] || return 0
  until [ -n "$(client get nodes -o name 2> /dev/null)" ]; do
    [ "$(date +%s)" -lt "$deadline" ] || { show_log; die "no node registered within $timeout s"; }
    sleep 0.2
  done
  left=$((deadline - $(date +%s)))
  client wait --for=condition=Ready nodes --all --timeout="$((left > 1 ? left : 1))s" > "$scratch/log" 2>&1 \
    || { cat "$scratch/log" >&2; show_log; die "the node is not Ready"; }
}

# The example of a fresh server: a Deployment and a Service that answers on port 30080. Once it ran here
# it is the user's: deleted, it stays so when this runs again.
run_hello() {
  if [ -z "$runs_pods" ] || is_set "${INSTALL_WHERRY_SKIP_HELLO:-}" || grep -qx "example hello" "$installed"; then
    return 0
  fi
  here=$(cd "$(dirname "$0")" 2> /dev/null && pwd || true)
  hello=$here/docs/examples/hello.yaml
  [ -r "$hello" ] || return 0  # The script came alone.
  say "running the hello example"
  client apply -f "$hello" > "$scratch/log" 2>&1 \
    || { cat "$scratch/log" >&2; die "the hello example was refused (INSTALL_WHERRY_SKIP_HELLO=1 leaves it out)"; }
  client wait --for=condition=Available deployment/hello --timeout=60s > "$scratch/log" 2>&1 || {
    cat "$scratch/log" >&2
    client get pods -l app=hello -o wide >&2 || true
    die "the hello example does not become available; look with: wherry kubectl describe pods"
  }
  remember "example hello"
  hello_runs=1
}

next_commands() {
  if [ -z "$started" ]; then
    say "installed; not started, as asked"
    return 0
  fi
  if [ "$role" = agent ]; then
    service_runs || { show_log; die "the agent ended; its last words are above"; }
    say "this machine joins ${WHERRY_URL:-its server}; look there with: wherry kubectl get nodes"
    return 0
  fi
  say "ready. Next:"
  echo "  wherry kubectl get nodes"
  echo "  export KUBECONFIG=$kubeconfig     # for kubectl, helm and others"
  [ -z "$hello_runs" ] || echo "  curl http://127.0.0.1:30080       # the hello example; away: kubectl delete deployment,service hello"
  echo "  another machine:  WHERRY_URL=https://<this machine>:6443 WHERRY_TOKEN=\$(sudo cat $data_dir/server/token) ./install.sh"
  echo "  all of it away:   wherry uninstall"
}

main() {
  changed='' started='' hello_runs=''
  read_request "$@"
  check_machine
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  mkdir -p "$config_dir"
  [ -e "$installed" ] || : > "$installed"
  remember "data $data_dir"
  case "$kubeconfig" in "$config_dir"/*) ;; *) remember "file $kubeconfig" ;; esac
  install_binary
  install_runc
  install_service
  if [ -n "$started" ] && [ "$role" = server ]; then
    wait_until_ready
    run_hello
  fi
  next_commands
}

main "$@"
