#!/ bin / bash
#Machines that join : the agent's client, cache, join and tunnel against a real API server in one
#process.Programs : $BUILD / tests / join/*_test.
set -u
passed=0 failed=0 skipped=0
for program in "${BUILD:-build}"/tests/join/*_test; do
  [ -x "$program" ] || continue
  log=$(timeout -k 10 300 "$program" --gtest_brief=1 2>&1)
  code=$?
  echo "$log" | grep -vE '^(\[==|Running main)'
  read -r good bad left < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' <<< "$log" | tail -n 1)
  [ "$code" -ne 0 ] && [ "${bad:-0}" -eq 0 ] && bad=1
  passed=$((passed + ${good:-0})) failed=$((failed + ${bad:-0})) skipped=$((skipped + ${left:-0}))
done
log=$(mktemp)
timeout -k 10 900 "$(dirname "$0")/cluster.sh" 2>&1 | tee "$log" | grep -vE '^[0-9]+ passed'
read -r good bad left < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$log" | tail -n 1)
rm -f "$log"
[ -n "${good:-}" ] || bad=1
passed=$((passed + ${good:-0})) failed=$((failed + ${bad:-0})) skipped=$((skipped + ${left:-0}))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
