#!/bin/bash
# Puts the client libraries of other languages, and the programs here that use them, into a cache:
# client-go and helm compiled, client-node and client-python with the packages that their lock files pin.
#
#   libraries.sh          prints "NAME COMMAND..." for each that is there now
#
# What cannot be had is said on stderr, "libraries: NAME is left out: WHY". A second run is quick.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cache=${WHERRY_CACHE:-$HOME/.cache/wherry}/libraries

leave_out() { echo "libraries: $1 is left out: $2" >&2; }

# The folder of a library is named by what it is made from.
folder_of() { # NAME FILE...
  local name=$1
  shift
  echo "$cache/$name-$(cat "$@" | sha256sum | cut -c1-16)"
}

# make NAME FOLDER FUNCTION: the function fills FOLDER.new; what it says is shown when it fails.
make() {
  local log
  [ -e "$2" ] && return 0
  rm -rf "$2.new" && mkdir -p "$2.new" || return 1
  if log=$("$3" "$2.new" 2>&1); then
    mv "$2.new" "$2"
  else
    rm -rf "$2.new"
    leave_out "$1" "$(tail -n 3 <<< "$log" | xargs -0)"
    return 1
  fi
}

# at_least WANTED HAVE: versions.
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# go_program NAME PACKAGE: built in the module in NAME/, whose go.sum pins what it needs.
go_program() {
  local folder wanted name=$1 package=$2
  wanted=$(sed -n 's/^go //p' "$here/$name/go.mod")
  command -v go > /dev/null || { leave_out "$name" "no go on this machine"; return 1; }
  # Nothing may fetch another toolchain.
  export GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false"
  at_least "$wanted" "$(go env GOVERSION | sed 's/^go//')" || { leave_out "$name" "needs Go $wanted"; return 1; }
  folder=$(folder_of "$name" $(find "$here/$name" -maxdepth 1 -name 'go.*' -o -maxdepth 1 -name '*.go' | sort))
  compile_go() { (cd "$here/$name" && go build -trimpath -ldflags '-s -w' -o "$1/$name" "$package"); }
  make "$name" "$folder" compile_go && PROGRAM=$folder/$name
}

library_go() { go_program client-go . && echo "go $PROGRAM"; }
library_helm() { go_program helm helm.sh/helm/v3/cmd/helm && echo "helm $PROGRAM"; }

install_node() {
  cp "$here"/client-node/package*.json "$1" && cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --silent
}

library_node() {
  local folder
  command -v npm > /dev/null || { leave_out client-node "no npm on this machine"; return; }
  at_least 20 "$(node --version | sed 's/^v//')" || { leave_out client-node "needs Node.js 20"; return; }
  folder=$(folder_of client-node "$here"/client-node/package*.json)
  make client-node "$folder" install_node || return
  # A module's packages are looked for beside it.
  cp "$here"/client-node/*.js "$folder" && echo "node node $folder/main.js"
}

# A virtual environment knows its own path, so it is made where it stays.
install_python() {
  local final=${1%.new}
  rm -rf "$final.env" && python3 -m venv "$final.env" &&
    "$final.env/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
      -r "$here/client-python/requirements.txt"
}

library_python() {
  local folder
  command -v python3 > /dev/null || { leave_out client-python "no python3 on this machine"; return; }
  python3 -c 'import venv, ensurepip' 2> /dev/null || { leave_out client-python "python3 has no venv"; return; }
  folder=$(folder_of client-python "$here/client-python/requirements.txt")
  make client-python "$folder" install_python && echo "python $folder.env/bin/python $here/client-python/main.py"
}

library_go
library_node
library_python
library_helm
exit 0
