#!/bin/bash
# Runs fuzz targets under clang's libFuzzer; `make fuzz-long` builds them and calls this.
#
#   scripts/fuzz-long.sh BUILD-FOLDER TARGET...
#
# MINUTES (10) each, JOBS (2) at a time. The inputs that reach all that was reached become
# tests/fuzz/corpus/TARGET, the smallest first and at most CORPUS_KIB (100) in all. A crash, a leak,
# undefined behaviour or an input that takes more than a second is a finding: the input stays in
# BUILD-FOLDER/fuzz-found until somebody takes it away, and the exit code says that there is one.
# Then a line for each target: runs, edges, findings.
set -u
cd "$(dirname "$0")/.." || exit 1

build=$1
shift
export BUILD=$build MINUTES=${MINUTES:-10} CORPUS_KIB=${CORPUS_KIB:-100}
export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
mkdir -p "$build/fuzz-found" "$build/logs"

run_one() {
  local size name=$1 program=$BUILD/fuzz/$1_fuzz kept=tests/fuzz/corpus/$1 log=$BUILD/logs/fuzz-long-$1.log
  local work=$BUILD/fuzz-work/$1 new=$BUILD/fuzz-new/$1
  mkdir -p "$kept" "$work"
  rm -rf "$new" && mkdir -p "$new"
  "$program" -max_total_time=$((MINUTES * 60)) -max_len=4096 -timeout=20 -report_slow_units=1 \
    -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$BUILD/fuzz-found/$name-" \
    "$work" "$kept" > "$log" 2>&1 < /dev/null
  # Slow by the clock may only mean that others had the processor.
  local unit cpu
  for unit in "$BUILD/fuzz-found/$name"-slow-unit-*; do
    [ -e "$unit" ] || continue
    cpu=$({ TIMEFORMAT='%U %S'; time "$program" "$unit" > /dev/null 2>&1; } 2>&1)
    awk '{exit !($1 + $2 < 1)}' <<< "$cpu" && rm "$unit"
  done
  # Edges only: how often each was passed would keep thousands of inputs.
  "$program" -merge=1 -use_counters=0 -max_len=4096 "$new" "$kept" "$work" > "$log.merge" 2>&1 < /dev/null
  # Inputs with a name of somebody's own stay; those named by their hash give way to the new ones.
  find "$kept" -type f -regextype posix-egrep -regex '.*/[0-9a-f]{40}' -delete
  local file bytes named
  named=$(find "$kept" -type f -exec sha1sum {} + | cut -c1-40)
  bytes=$(cat "$kept"/* /dev/null | wc -c)
  while read -r size file; do
    [[ $named == *"$file"* ]] && continue
    bytes=$((bytes + size))
    [ $bytes -gt $((CORPUS_KIB * 1024)) ] && break
    cp "$new/$file" "$kept/$file"
  done < <(find "$new" -type f -printf '%s %f\n' | sort -n)
}
export -f run_one
printf '%s\n' "$@" | xargs -P "${JOBS:-2}" -I{} bash -c 'run_one {}'

findings=0
for name in "$@"; do
  log=$build/logs/fuzz-long-$name.log
  found=$(find "$build/fuzz-found" -name "$name-*" | wc -l)
  findings=$((findings + found))
  printf '%-16s %10s runs %6s edges %3d findings\n' "$name" \
    "$(sed -n 's/^stat::number_of_executed_units: //p' "$log")" \
    "$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2)" "$found"
done
[ $findings -eq 0 ]
