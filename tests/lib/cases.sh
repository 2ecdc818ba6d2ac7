# Runs test cases that are shell functions, and counts them. Sourced.
#
#   run_cases JOBS NAME...   each NAME is "function" or "function@variant"; the variant is $VARIANT
#   finish_cases             prints "N passed, N failed, N skipped" and sets the exit code
#
# A case runs in a shell of its own under `set -eu -o pipefail`, its output goes to a log that is
# shown when it fails. It calls `skip REASON` or `fail REASON` to end early. FILTER (a grep -E
# pattern) chooses among the cases.

CASES_LOGS=${CASES_LOGS:-$(mktemp -d)}
CASES_PASSED=0 CASES_FAILED=0 CASES_SKIPPED=0

fail() {
  echo "FAIL: $*" >&2
  exit 1
}

skip() {
  echo "$*" > "$CASES_LOGS/$CASE.skipped"
  exit 77
}

# eventually SECONDS COMMAND...: until it succeeds; the last output is shown when it never does.
eventually() {
  local end=$((SECONDS + $1)) out
  shift
  while ! out=$("$@" 2>&1); do
    if [ $SECONDS -ge $end ]; then
      echo "never came true: $*" >&2
      echo "$out" >&2
      return 1
    fi
    sleep 0.1
  done
}

# has TEXT PATTERN: the text matches the extended regular expression; says what it was when not.
has() {
  grep -qE -- "$2" <<< "$1" && return 0
  printf 'no match for: %s\nin:\n%s\n' "$2" "$1" >&2
  return 1
}

lacks() {
  grep -qE -- "$2" <<< "$1" || return 0
  printf 'should not match: %s\nin:\n%s\n' "$2" "$1" >&2
  return 1
}

same() {
  [ "$1" = "$2" ] && return 0
  printf 'got:    %s\nwanted: %s\n' "$1" "$2" >&2
  return 1
}

# fails_with PATTERN COMMAND...: it ends with an error and says this.
fails_with() {
  local pattern=$1 out
  shift
  if out=$("$@" 2>&1); then
    printf 'should have failed: %s\n%s\n' "$*" "$out" >&2
    return 1
  fi
  has "$out" "$pattern"
}

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

# Ends a program that runs in the background, with the programs it was started through.
end_tree() {
  local child
  for child in $(pgrep -P "$1"); do end_tree "$child"; done
  kill "$1" 2> /dev/null || true
}

end_jobs() {
  local pid
  for pid in $(jobs -p); do end_tree "$pid"; done
}

run_one_case() { # NAME
  CASE=${1//@/-} VARIANT=
  case $1 in *@*) VARIANT=${1#*@} ;; esac
  local began
  began=$(milliseconds)
  (
    set -eEu -o pipefail
    trap end_jobs EXIT
    trap 'echo "at ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR
    if declare -F case_setup > /dev/null; then case_setup; fi
    "${1%@*}"
  ) > "$CASES_LOGS/$CASE.log" 2>&1 < /dev/null
  local code=$?
  if declare -F case_teardown > /dev/null; then (case_teardown) >> "$CASES_LOGS/$CASE.log" 2>&1 < /dev/null; fi
  echo "$code $(($(milliseconds) - began))" > "$CASES_LOGS/$CASE.result"
}

report_case() { # NAME
  local name=${1//@/-} code took
  read -r code took < "$CASES_LOGS/$name.result"
  case $code in
    0)
      CASES_PASSED=$((CASES_PASSED + 1))
      printf 'ok      %-34s %6d ms\n' "$name" "$took"
      ;;
    77)
      CASES_SKIPPED=$((CASES_SKIPPED + 1))
      printf 'skipped %-34s %s\n' "$name" "$(cat "$CASES_LOGS/$name.skipped")"
      ;;
    *)
      CASES_FAILED=$((CASES_FAILED + 1))
      printf 'FAILED  %-34s %6d ms\n' "$name" "$took"
      tail -n "${CASES_TAIL:-25}" "$CASES_LOGS/$name.log" | sed 's/^/        | /'
      ;;
  esac
}

still_running() {
  local pid
  for pid in "$@"; do kill -0 "$pid" 2> /dev/null && echo "$pid"; done
}

run_cases() {
  local jobs=$1 name running=() chosen=()
  shift
  for name in "$@"; do
    grep -qE -- "${FILTER:-.}" <<< "$name" && chosen+=("$name")
  done
  for name in "${chosen[@]}"; do
    run_one_case "$name" &
    running+=($!)
    # Only the cases are waited for: a server is a child too.
    while [ ${#running[@]} -ge "$jobs" ]; do
      wait -n "${running[@]}"
      mapfile -t running < <(still_running "${running[@]}")
    done
  done
  [ ${#running[@]} -eq 0 ] || wait "${running[@]}"
  for name in "${chosen[@]}"; do report_case "$name"; done
}

finish_cases() {
  echo "$CASES_PASSED passed, $CASES_FAILED failed, $CASES_SKIPPED skipped"
  [ "$CASES_FAILED" -eq 0 ]
}
