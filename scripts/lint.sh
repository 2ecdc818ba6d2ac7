#!/bin/bash
# All checks on the sources. Each step says what it found; the exit code says whether any did.
#
#   scripts/lint.sh                everything; clang-tidy only on files that changed since $LINT_BASE
#   scripts/lint.sh --all          clang-tidy on every file (tens of minutes)
#   scripts/lint.sh --quick        format, house rules and layers only
#   scripts/lint.sh --fix-format   rewrites the files as clang-format wants them
#
# LINT_BASE is a commit, by default the parent of HEAD. BUILD is the build folder, as for make.
set -u
cd "$(dirname "$0")/.." || exit 1

for tool in clang-format clang-tidy clang++ python3; do
  if ! command -v "$tool" > /dev/null; then
    echo "lint: $tool is missing; run scripts/install-deps.sh --lint as root" >&2
    exit 1
  fi
done

mode=${1:-}
build=${BUILD:-build}
bad=0
step() {
  local name=$1
  shift
  if "$@"; then echo "lint: $name: fine"; else echo "lint: $name: NOT fine"; bad=1; fi
}

sources() {
  find pkg cmd tests -name '*.cc' -o -name '*.h' -o -name '*.c' | sort
}

if [ "$mode" = --fix-format ]; then
  sources | xargs -r clang-format -i
  exit
fi

check_format() {
  local wrong
  wrong=$(sources | xargs -r clang-format --dry-run -Werror 2>&1 | sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: error: .*/\1/p' | sort -u)
  [ -z "$wrong" ] && return
  echo "$wrong" | sed 's/$/: run make format/'
  return 1
}

# The second compiler, with its thread-safety analysis, and each header by itself; ccache makes what
# did not change free.
check_clang() {
  make --no-print-directory -k -j"${JOBS:-$(nproc)}" COMPILER=clang OPTIMISE=-O0 BUILD="$build-clang" objects headers
}

changed() {
  if [ "$mode" = --all ]; then
    find pkg cmd -name '*.cc'
  else
    {
      git diff --name-only --diff-filter=d "${LINT_BASE:-HEAD~1}" -- pkg cmd 2> /dev/null
      git ls-files --others --exclude-standard -- pkg cmd
    } | grep '\.cc$' | grep -v '_test\.cc$' | sort -u
  fi
}

check_clang_tidy() {
  local flags
  flags=$(make --no-print-directory COMPILER=clang OPTIMISE=-O0 BUILD="$build-clang" print-flags)
  # shellcheck disable=SC2086  # The flags are words.
  changed | xargs -r -P "${JOBS:-$(nproc)}" -I{} clang-tidy --quiet {} -- $flags 2> /dev/null
}

step "format" check_format
step "house rules and layers" python3 scripts/tidy.py
if [ "$mode" != --quick ]; then
  step "clang and thread safety" check_clang
  step "clang-tidy" check_clang_tidy
fi
exit $bad
