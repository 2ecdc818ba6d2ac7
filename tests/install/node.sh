#!/bin/bash
# A whole life on one machine with the real program: install.sh, a Ready node with the hello example,
# stop, stop --workloads, uninstall, and nothing left. Runs in mount and network namespaces of its own,
# started by run.sh; the program is $WHERRY.
set -u
cd "$(dirname "$0")/../.." || exit 1

for tool in ip nft curl runc; do
  command -v $tool > /dev/null || { echo "tests/install: SKIPPED, needs $tool"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
done
ip link set lo up
for folder in /etc/wherry /usr/local/bin /run /var/log; do mount -t tmpfs -o mode=755 none "$folder"; done
scratch=$(mktemp -d /var/tmp/wherry-install.XXXXXX)
data=$scratch/data
port=26643
# Whatever fails, no pod stays: they outlive this script otherwise.
finish() {
  [ ! -x /usr/local/bin/wherry ] || /usr/local/bin/wherry uninstall > /dev/null 2>&1
  rm -rf "$scratch"
}
trap finish EXIT

passed=0 failed=0
check() {
  local what=$1
  shift
  if "$@" > "$scratch/check" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $what"
    tail -n 15 "$scratch/check"
  fi
}
not() { ! "$@"; }
install() {
  INSTALL_WHERRY_BIN=$WHERRY INSTALL_WHERRY_TIMEOUT=60 ./install.sh --data-dir "$data" --https-listen-port $port
}
k() { /usr/local/bin/wherry kubectl "$@"; }
page() { curl -sf -m 5 http://127.0.0.1:30080/ | grep -q "^pod  *hello-"; }
page_soon() {
  for _ in $(seq 100); do
    page && return 0
    sleep 0.1
  done
  return 1
}
shims() { find /proc/[0-9]*/cwd -lname "$data*" 2> /dev/null | grep -q . || pgrep -f "$data" > /dev/null; }
# What uninstall has to leave as it was. Other programs on the machine have control groups too, so of
# those only the pods' count.
picture() {
  nft list ruleset
  ip -o link | cut -d@ -f1 | cut -d: -f2
  ip route
  sort /proc/self/mounts
  find /sys/fs/cgroup -type d -path '*kubepods*' | grep -E "$1" || true
  find /etc/wherry /usr/local/bin /run /var/log "$data" -printf '%p %m\n' 2> /dev/null | sort
}

picture '^$' > "$scratch/before"
check "installs, and the node is Ready" install
check "with a page on the NodePort" page
uids=$(k get pods -A -o jsonpath='{.items[*].metadata.uid}' | tr ' ' '|')
started=$(k get pods -o jsonpath='{.items[*].status.containerStatuses[0].containerID}')
check "which stands in two pods" [ "$(k get pods -l app=hello -o name | wc -l)" = 2 ]
check "installs again" install
check "a container answers exec" k exec deployment/hello -- /wherry hello --get 127.0.0.1:8080/readyz
check "and has its log" eval 'k logs deployment/hello | grep -q "serves on port 8080"'
check "stops" /usr/local/bin/wherry stop
check "while the page stays" page
check "starts again" install
check "with the pods as they were" [ "$(k get pods -o jsonpath='{.items[*].status.containerStatuses[0].containerID}')" = "$started" ]
check "stops with its pods" /usr/local/bin/wherry stop --workloads
check "and then no page is there" not page
check "comes back" install
check "with its page" page_soon
check "says what uninstall would do" eval '/usr/local/bin/wherry uninstall --dry-run | grep -q "would remove $data"'
check "uninstalls" /usr/local/bin/wherry uninstall
picture "${uids:-none}" > "$scratch/after"
check "leaves nothing behind" diff "$scratch/before" "$scratch/after"
check "no process either" not shims

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
