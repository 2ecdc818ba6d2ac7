#!/bin/bash
# generate.sh OUT COMMAND... SCHEMA...: runs the schema compiler (COMMAND --out DIR SCHEMA...) and
# brings OUT up to date with what it made. A file that comes out as it was keeps its time, so that
# nothing which includes it is compiled again; a file that is made no more is removed.
set -euo pipefail
out=$1
shift
command=()
while [ $# -gt 0 ] && [[ "$1" != *.schema ]]; do
  command+=("$1")
  shift
done

mkdir -p "$out"
exec 9> "$out/.lock"
flock 9
new=$out/.new
rm -rf "$new"
mkdir -p "$new"
"${command[@]}" --out "$new" "$@"

cd "$out"
find . -path ./.new -prune -o -type f ! -name '.*' -print | while read -r file; do
  [ -e ".new/$file" ] || rm -f "$file"
done
(cd .new && find . -type f) | while read -r file; do
  cmp -s ".new/$file" "$file" && continue
  mkdir -p "$(dirname "$file")"
  mv ".new/$file" "$file"
done
rm -rf .new
touch .stamp
