#!/bin/sh
# Runs a link command and leaves out one kind of warning: a static program that calls getaddrinfo
# and the like may load shared modules of the C library at run time. We know: the hosts file and DNS,
# which is all we look names up in, are built into it. Everything else the linker says passes.
messages=$(mktemp) || exit 1
trap 'rm -f "$messages"' EXIT
"$@" 2> "$messages"
result=$?
awk '
  /: in function `.*:$/ { held = $0; next }
  /warning: Using .* in statically linked applications requires at runtime the shared libraries/ {
    held = ""; next
  }
  { if (held != "") print held; held = ""; print }
  END { if (held != "") print held }' "$messages" >&2
exit $result
