#!/bin/bash
# Replays the transcripts beside this script. UPDATE=1 writes the answers that came into them.
set -eu
cd "$(dirname "$0")"
runner=${BUILD:-../../build}/tests/api/runner
if [ $# -eq 0 ]; then set -- *.txt; fi
exec "$runner" ${UPDATE:+--update} "$@"
