# What programs do with the client libraries of other languages (libraries.sh): each check of
# client-go, client-node and client-python is a case, in a namespace of its own.

declare -A LIBRARIES=()
while read -r name command; do LIBRARIES[$name]=$command; done < <(tests/e2e/libraries.sh)

# library NAME CHECK: the check's own limits are shorter than this one.
library() {
  [ -n "${LIBRARIES[$1]:-}" ] || skip "client-$1 could not be had, see the start"
  # shellcheck disable=SC2086  # A command and its arguments.
  HOME=$WORLD/home in_node timeout 150 ${LIBRARIES[$1]} "$KUBECONFIG_FILE" "$SPACE" "$BOX" "$2"
}

# Functions case_library_NAME_CHECK, for each check that the program lists.
library_cases() { # NAME
  local check
  if [ -z "${LIBRARIES[$1]:-}" ]; then
    eval "case_library_$1() { library $1 all; }"
    return
  fi
  for check in $(${LIBRARIES[$1]} list); do
    eval "case_library_$1_${check//-/_}() { library $1 $check; }"
  done
}
for name in go node python; do library_cases $name; done

# A program that was told to list first and then to watch, as older releases do.
if [ -n "${LIBRARIES[go]:-}" ]; then
  case_library_go_informer_listed() { KUBE_FEATURE_WatchListClient=false library go informer; }
fi
