#!/bin/bash
# The real program without pods: faults and bad input. Says what it skips without root.
#   ROUNDS=200 FILTER=kill run.sh      more rounds of kill -9
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=$(readlink -f "${BUILD:-build}")
WHERRY=$(readlink -f "${WHERRY:-$BUILD/wherry}")
[ -x "$WHERRY" ] || { echo "there is no program at $WHERRY"; exit 1; }

source tests/lib/cases.sh
source tests/lib/control_plane.sh
names=()
for file in tests/integration/faults_*.sh; do source "$file"; done
mapfile -t names < <(compgen -A function case_ | grep -vE '^case_(setup|teardown)$' | sort)
case_setup() { FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/wherry.XXXXXX"); echo "$FOLDER" > "$CASES_LOGS/$CASE.folder"; }
case_teardown() {
  FOLDER=$(cat "$CASES_LOGS/$CASE.folder") || return 0
  plane_stop KILL
  [ -n "${KEEP:-}" ] || rm -rf "$FOLDER"
}
run_cases "${JOBS:-1}" "${names[@]}"
[ -n "${KEEP:-}" ] || rm -rf "$CASES_LOGS"
finish_cases
