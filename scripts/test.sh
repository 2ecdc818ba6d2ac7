#!/bin/bash
# Runs the test suites and counts.
#
#   scripts/test.sh [--build DIR] [SUITE...]
#
# Suites: unit (the programs DIR/test/*_test), fuzz (DIR/fuzz/*, a few seconds each), and every
# tests/NAME/run.sh but the benchmarks. Without names: all of them. A run.sh finds the program in
# $WHERRY and the build folder in $BUILD, and ends with the line "N passed, N failed[, N skipped]".
# The last line of the output is that line for everything together; the exit code says it again.
set -u
cd "$(dirname "$0")/.." || exit 1

build=build
if [ "${1:-}" = --build ]; then
  build=$2
  shift 2
fi
build=$(mkdir -p "$build" && cd "$build" && pwd)
export BUILD=$build WHERRY=$build/wherry
logs=$build/logs
mkdir -p "$logs"

passed=0 failed=0 skipped=0
failures=()

# add NAME EXIT-CODE PASSED FAILED SKIPPED: a suite that failed without saying which test counts one.
add() {
  local name=$1 code=$2 good=$3 bad=$4 left=$5
  [ "$code" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left))
  [ "$bad" -gt 0 ] && failures+=("$name")
  printf '%-28s %4d passed, %d failed%s\n' "$name" "$good" "$bad" "$([ "$left" -gt 0 ] && echo ", $left skipped")"
}

# number LOG PATTERN: the number in the last line that matches, else 0.
number() {
  local found
  found=$(sed -nE "s/$2/\\1/p" "$1" | tail -n 1)
  echo "${found:-0}"
}

run_unit() {
  local program name log code good bad left
  # shellcheck disable=SC2086  # A list of paths without blanks, from make.
  for program in ${UNIT_PROGRAMS:-"$build"/test/*_test}; do
    [ -x "$program" ] || continue
    name=unit/$(basename "$program" _test)
    log=$logs/unit-$(basename "$program").log
    timeout -k 10 "${UNIT_TIMEOUT:-300}" "$program" --gtest_filter="${TEST_FILTER:-*}" > "$log" 2>&1 < /dev/null
    code=$?
    good=$(number "$log" '^\[  PASSED  \] ([0-9]+) tests?\..*')
    bad=$(number "$log" '^\[  FAILED  \] ([0-9]+) tests?, listed below:.*')
    left=$(number "$log" '^\[  SKIPPED \] ([0-9]+) tests?,? ?.*')
    if [ "$code" -ne 0 ]; then
      grep -vE '^\[ +(OK|RUN|-+) ' "$log" | tail -n 60
      [ "$code" -eq 124 ] && echo "$name: stopped after ${UNIT_TIMEOUT:-300} s"
    fi
    add "$name" "$code" "$good" "$bad" "$left"
  done
}

run_fuzz() {
  local program name log code
  for program in "$build"/fuzz/*_fuzz; do
    [ -x "$program" ] || continue
    name=fuzz/$(basename "$program" _fuzz)
    log=$logs/fuzz-$(basename "$program").log
    timeout -k 10 300 "$program" "tests/fuzz/corpus/$(basename "$program" _fuzz)" > "$log" 2>&1 < /dev/null
    code=$?
    [ "$code" -ne 0 ] && tail -n 40 "$log"
    add "$name" "$code" $((code == 0)) 0 0
  done
}

run_suite() {
  local name=$1 log=$logs/$1.log code line good=0 bad=0 left=0
  echo "== tests/$name"
  "tests/$name/run.sh" 2>&1 < /dev/null | tee "$log"
  code=${PIPESTATUS[0]}
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1)
  if [ -n "$line" ]; then
    read -r good bad left < <(sed -E 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 \4/' <<< "$line")
  elif [ "$code" -eq 0 ]; then
    echo "tests/$name/run.sh did not say how many tests passed"
    code=1
  fi
  add "$name" "$code" "$good" "$bad" "${left:-0}"
}

all_suites() {
  local known=(api sim integration e2e) name script
  echo unit fuzz
  for name in "${known[@]}"; do [ -x "tests/$name/run.sh" ] && echo "$name"; done
  for script in tests/*/run.sh; do
    name=$(basename "$(dirname "$script")")
    [ -x "$script" ] || continue
    case " ${known[*]} bench " in *" $name "*) ;; *) echo "$name" ;; esac
  done
}

suites=("$@")
if [ ${#suites[@]} -eq 0 ]; then read -r -d '' -a suites < <(all_suites; printf '\0'); fi

for suite in "${suites[@]}"; do
  case "$suite" in
    unit) run_unit ;;
    fuzz) run_fuzz ;;
    *)
      if [ -x "tests/$suite/run.sh" ]; then
        run_suite "$suite"
      else
        echo "there is no tests/$suite/run.sh"
      fi ;;
  esac
done

[ ${#failures[@]} -gt 0 ] && echo "failed: ${failures[*]}; logs are in $logs"
if [ "$skipped" -gt 0 ]; then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
