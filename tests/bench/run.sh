#!/bin/bash
# Measures the program and prints a table; beside another cluster when there is one.
#
#   make bench                          Wherry alone
#   make bench ORACLE=DIR|KUBECONFIG    and the same requests to that control plane. A DIR holds
#                                       admin.kubeconfig and "pids" (lines "PID NAME")
#   PODS_ORACLE=DIR                     a whole one-node cluster for the pod rows: also DIR/netns,
#                                       and $POD_IMAGE, an image that is present there
#   ORACLE_MANY=1                       the rows about 10,000 Pods for that control plane too, which
#                                       takes it minutes to get and to lose them
#   IDLE=30 SECONDS_EACH=4 PODS=100 ONE=30 RUNS=1   sizes
#   ONLY=access|api|idle|pods|start     one part
#   PERF_DOC=1                          writes the table into docs/performance.md as well
#
# Run it when nothing else runs on the machine. The pod rows need root.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=$(readlink -f "${BUILD:-build}")
WHERRY=$(readlink -f "${WHERRY:-$BUILD/wherry}")
LOAD=$BUILD/tests/bench/load
FLOOR=$BUILD/tests/bench/floor
[ -x "$WHERRY" ] && [ -x "$LOAD" ] && [ -x "$FLOOR" ] || { echo "bench: build first (make && make test-programs)"; exit 1; }

source tests/lib/cases.sh
source tests/lib/control_plane.sh
source tests/lib/world.sh
source tests/lib/images.sh
source tests/bench/measure.sh

part() { [ -z "${ONLY:-}" ] || [[ " ${ONLY//,/ } " == *" $1 "* ]]; }

FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/wherry.XXXXXX")
ROWS=$FOLDER/rows
: > "$ROWS"
tidy_up() {
  plane_stop KILL
  world_close
  rm -rf "$FOLDER" "${IMAGES:-/nonexistent}"
}
trap tidy_up EXIT
trap 'exit 130' INT TERM

oracle_open
echo "measuring; it takes a few minutes"
size_row
part start && start_rows
part idle && idle_rows
part access && access_rows
part api && floor_rows && api_rows
if part pods; then
  if [ "$(id -u)" = 0 ] && command -v runc > /dev/null; then pod_rows; else echo "bench: no rows about pods without root and runc"; fi
fi
print_table | tee "$FOLDER/table"
[ -z "${PERF_DOC:-}" ] || write_document
