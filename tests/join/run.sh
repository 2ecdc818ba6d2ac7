#!/bin/bash
# Machines that join: the agent's client, cache, join and tunnel against a real API server in one
# process ($BUILD/tests/join/*_test), then a server and an agent as they are (cluster.sh).
set -u
passed=0 failed=0 skipped=0

# count CODE LOG: adds what the last line of the log says; one that says nothing has failed.
count() {
  local good= bad= left=
  read -r good bad left < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$2" | tail -n 1)
  [ "$1" -ne 0 ] && [ "${bad:-0}" -eq 0 ] && bad=1
  [ -n "$good" ] || bad=1
  passed=$((passed + ${good:-0})) failed=$((failed + ${bad:-0})) skipped=$((skipped + ${left:-0}))
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for program in "${BUILD:-build}"/tests/join/*_test; do
  [ -x "$program" ] || continue
  timeout -k 10 300 "$program" --gtest_brief=1 > "$log" 2>&1
  code=$?
  grep -vE '^(\[==|Running main|[0-9]+ passed)' "$log"
  count $code "$log"
done
timeout -k 10 900 "$(dirname "$0")/cluster.sh" 2>&1 | tee "$log" | grep -vE '^[0-9]+ passed'
count "${PIPESTATUS[0]}" "$log"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
