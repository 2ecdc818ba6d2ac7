#!/bin/bash
# Replays the transcripts beside this script.
#   RECORD=KUBECONFIG    writes that server's answers into them
#   AGAINST=KUBECONFIG   compares that server's answers with them
set -eu
cd "$(dirname "$0")"
runner=${BUILD:-../../build}/tests/api/runner
if [ $# -eq 0 ]; then set -- $(ls *.txt | grep -v '^known_differences.txt$'); fi
exec "$runner" ${RECORD:+--record "$RECORD"} ${AGAINST:+--against "$AGAINST"} "$@"
