#!/bin/bash
# The real program with real kubectl of two releases: one node in network namespaces of its own, its
# data in a temporary folder, images made by hand. Afterwards nothing may be left on the machine.
#
#   run.sh                       needs root and runc; says what it skips without
#   FILTER=rollout JOBS=1 run.sh     only cases whose name matches
#   KEEP=1                       leaves the folder with the server's log behind
#
# The cases are the functions named case_* in cases_*.sh. Those that exercise kubectl run once per
# release, the others with the newest one; cases_library.sh adds the checks of client libraries, each
# a case, cases_helm.sh the life of a chart. Program to test: $WHERRY.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 1
BUILD=${BUILD:-build}
WHERRY=$(readlink -f "${WHERRY:-$BUILD/wherry}")

source tests/lib/cases.sh
source tests/lib/world.sh
source tests/lib/images.sh
source tests/e2e/kubectl.sh
for file in tests/e2e/cases_*.sh; do source "$file"; done

give_up() {
  echo "skipped all of tests/e2e: $*"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
}

[ "$(id -u)" = 0 ] || give_up "needs root to run pods"
for tool in runc nsenter ip curl busybox jq; do
  command -v $tool > /dev/null || give_up "needs $tool"
done
[ -x "$WHERRY" ] || { echo "there is no program at $WHERRY"; exit 1; }
declare -A CLIENTS=()
while read -r name path; do CLIENTS[$name]=$path; done < <(tests/e2e/clients.sh)
if [ ${#CLIENTS[@]} -eq 0 ] && command -v kubectl > /dev/null; then CLIENTS[any]=$(command -v kubectl); fi
[ ${#CLIENTS[@]} -gt 0 ] || give_up "no kubectl could be had"
NEWEST=$(printf '%s\n' "${!CLIENTS[@]}" | sort -rV | head -n 1)

# Names of the functions with this prefix, "@VARIANT" added for each client when asked.
cases_named() { # PREFIX [VARIANT...]
  local prefix=$1 name variant
  shift
  for name in $(compgen -A function "$prefix" | sort); do
    if [ $# -eq 0 ]; then echo "$name"; fi
    for variant in "$@"; do echo "$name@$variant"; done
  done
}

trap 'world_close; rm -rf "$IMAGES"' EXIT
trap 'exit 130' INT TERM
IMAGES=$(mktemp -d)
world_open || { echo "cannot make network namespaces"; exit 1; }
server_start || exit 1
wait_for_node || exit 1
prepare_images || exit 1

mapfile -t both < <(cases_named case_client_ $(printf '%s\n' "${!CLIENTS[@]}" | sort -V))
mapfile -t once < <(cases_named case_node_; cases_named case_library_; cases_named case_helm_; cases_named case_plane_)
mapfile -t alone < <(cases_named case_alone_)
run_cases "${JOBS:-3}" "${both[@]}" "${once[@]}"
run_cases 1 "${alone[@]}"
[ "$CASES_FAILED" -eq 0 ] || tail -n "${SERVER_TAIL:-15}" "$WORLD/server.log" | sed 's/^/server | /'

unset -f case_setup case_teardown
run_cases 1 clean_stop clean_leaves_nothing
[ -z "${KEEP:-}" ] || echo "kept: $WORLD, logs of the cases in $CASES_LOGS"
[ -n "${KEEP:-}" ] || rm -rf "$CASES_LOGS"
finish_cases
