#!/bin/bash
# Replays the transcripts beside this script, and who may do what (access.cc).
#   RECORD=KUBECONFIG    writes that server's answers into them
#   AGAINST=KUBECONFIG   compares that server's answers with them
# FILE... replays only these transcripts.
set -eu
cd "$(dirname "$0")"
programs=${BUILD:-../../build}/tests/api
other=(${RECORD:+--record "$RECORD"} ${AGAINST:+--against "$AGAINST"})
parts=1
if [ $# -eq 0 ]; then
  parts=2
  set -- $(ls *.txt | grep -v '^known_differences.txt$')
fi
{
  "$programs/runner" "${other[@]}" "$@" || true
  [ "$parts" -eq 1 ] || "$programs/access" "${other[@]}" || true
} | awk -v parts="$parts" '
  /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { passed += $1; failed += $3; skipped += $5; ++seen; next }
  { print }
  END {
    if (seen < parts) { print "a program ended without its count"; ++failed }
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0
  }'
