#!/bin/bash
# install.sh with a stand-in for the program, in a mount namespace where the folders it writes to
# are empty; then node.sh with the real one. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1

if [ "$(id -u)" != 0 ] || ! unshare -m true 2> /dev/null; then
  echo "tests/install: SKIPPED, needs root and mount namespaces"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
fi
if [ -z "${INSTALL_TEST_INSIDE:-}" ]; then
  made=""
  [ -d /etc/wherry ] || { mkdir /etc/wherry && made=1; }
  INSTALL_TEST_INSIDE=1 unshare -m --propagation private tests/install/run.sh
  code=$?
  if [ -x "${WHERRY:-}" ]; then
    unshare -mn --propagation private tests/install/node.sh || code=1
  fi
  [ -z "$made" ] || rmdir /etc/wherry
  exit $code
fi

for folder in /etc/wherry /usr/local/bin /run /var/log; do mount -t tmpfs none "$folder"; done
scratch=$(mktemp -d)
trap 'kill $(cat /run/wherry*.pid 2> /dev/null) 2> /dev/null; rm -rf "$scratch"' EXIT
gcc -O1 -static -o "$scratch/program" tests/install/stand_in.c || exit 1

passed=0 failed=0
check() {
  local what=$1
  shift
  if "$@" > "$scratch/check" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $what"
    tail -n 15 "$scratch/check" "$scratch/out"
  fi
}
not() { ! "$@"; }

# install ENV=... -- ARGS...: output in $scratch/out.
shell=sh
install() {
  local settings=(INSTALL_WHERRY_BIN="$scratch/program" INSTALL_WHERRY_TIMEOUT=20 INSTALL_WHERRY_SKIP_RUNC=1)
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    settings+=("$1")
    shift
  done
  [ $# -gt 0 ] && shift
  # shellcheck disable=SC2086  # busybox sh is two words.
  env "${settings[@]}" $shell ./install.sh "$@" > "$scratch/out" 2>&1
}
said() { grep -q -- "$1" "$scratch/out"; }
files() { find /etc/wherry /usr/local/bin /run /var/log -type f -printf '%p %m %s %T@\n' | sort; }

for shell in sh "busybox sh"; do
  command -v "${shell%% *}" > /dev/null || continue
  check "$shell: installs and starts a server" install INSTALL_WHERRY_EXEC="--disable dns" -- --node-name "it's \$x"
  check "$shell: gives the flags in order" grep -qF "[server][--disable][dns][--node-name][it's \$x] -" /var/log/wherry.log
  check "$shell: prints what comes next" said "wherry kubectl get nodes"
  check "$shell: keeps the environment to root" [ "$(stat -c %a /etc/wherry/wherry.env)" = 600 ]
  check "$shell: lists what it made" grep -qx "file /usr/local/bin/wherry" /etc/wherry/installed
  check "$shell: and where the data is" grep -qx "data /var/lib/wherry" /etc/wherry/installed
  check "$shell: runs the hello example" said "127.0.0.1:30080"
  before=$(files)
  pid=$(cat /run/wherry.pid)
  check "$shell: runs again" install INSTALL_WHERRY_EXEC="--disable dns" -- --node-name "it's \$x"
  check "$shell: which changes no file" [ "$(files)" = "$before" ]
  check "$shell: and leaves the example alone" not said "hello example"
  check "$shell: nor the process" kill -0 "$pid"
  check "$shell: takes a changed setting" install WHERRY_SEEN="a b" --
  check "$shell: by a restart" [ "$(cat /run/wherry.pid)" != "$pid" ]
  check "$shell: with it" [ "$(tail -n 1 /var/log/wherry.log)" = "[server] a b" ]

  sed -i '/^example/d' /etc/wherry/installed
  check "$shell: can do without the example" install INSTALL_WHERRY_SKIP_HELLO=1 WHERRY_SEEN="a b" --
  check "$shell: and then does" not said "hello example"

  check "$shell: refuses a wrong sum" not install INSTALL_WHERRY_SHA256=00 --
  check "$shell: and says so" said "SHA-256"
  check "$shell: refuses an agent without a token" not install WHERRY_URL=https://127.0.0.1:1 --
  check "$shell: refuses an agent without TLS" not install WHERRY_URL=http://127.0.0.1:1 WHERRY_TOKEN=x --
  check "$shell: refuses an unknown command" not install -- frob
  check "$shell: refuses a missing file" not install INSTALL_WHERRY_BIN=/nowhere --
  check "$shell: starts an agent" install WHERRY_URL=https://127.0.0.1:1 WHERRY_TOKEN=x --
  check "$shell: under its own name" grep -qx "\[agent\] -" /var/log/wherry-agent.log
  check "$shell: can leave it stopped" install INSTALL_WHERRY_SKIP_START=1 INSTALL_WHERRY_NAME=other --
  check "$shell: stopped it is" [ ! -e /run/other.pid ]
  check "$shell: says when the service dies" not install WHERRY_FAIL=1 INSTALL_WHERRY_NAME=broken --
  check "$shell: with its last words" said "the service ended"

  mkdir -p "$scratch/release/v1"
  cp "$scratch/program" "$scratch/release/v1/wherry-$(uname -m)"
  (cd "$scratch/release/v1" && sha256sum wherry-* > "wherry-$(uname -m).sha256")
  release=(INSTALL_WHERRY_BIN= INSTALL_WHERRY_URL="file://$scratch/release" WHERRY_VERSION=v1 INSTALL_WHERRY_SKIP_START=1)
  check "$shell: takes a release" install "${release[@]}" --
  echo >> "$scratch/release/v1/wherry-$(uname -m)"
  check "$shell: refuses a damaged one" not install "${release[@]}" --

  for file in /run/wherry*.pid; do kill "$(cat "$file")"; done
  rm -rf /etc/wherry/* /usr/local/bin/* /run/*.pid /var/log/*.log "$scratch/release"
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
