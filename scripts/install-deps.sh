#!/usr/bin/env bash
# Installs the Debian packages that building and testing Wherry need. Root only; does nothing (and
# touches no network) when everything is present.
#
#   scripts/install-deps.sh            what `make` and `make test` need
#   scripts/install-deps.sh --build    only what `make` needs
#   scripts/install-deps.sh --test     only what `make test` needs on top
#   scripts/install-deps.sh --lint     only what `make lint` needs
#   scripts/install-deps.sh --fuzz     only what `make fuzz-long` needs on top
#   scripts/install-deps.sh --cross    only what `make ARCH=aarch64` needs on top
set -euo pipefail

build=(g++ gcc libc6-dev make cmake ccache pkg-config patch git ca-certificates dpkg-dev python3
       libssl-dev libsqlite3-dev libyaml-cpp-dev libseccomp-dev zlib1g-dev libzstd-dev libcli11-dev)
tests=(libgtest-dev libgmock-dev runc nftables iproute2 docker-registry skopeo busybox-static curl
       openssl jq procps util-linux kmod iputils-ping strace)
lint=(clang clang-tidy clang-format)
fuzz=(clang libclang-rt-14-dev)
cross=(g++-aarch64-linux-gnu qemu-user-static)

usage() {
  sed -n '2,11s/^# \{0,1\}//p' "$0"
}

wanted=()
case "${1:-}" in
  "") wanted=("${build[@]}" "${tests[@]}") ;;
  --build) wanted=("${build[@]}") ;;
  --test) wanted=("${tests[@]}") ;;
  --lint) wanted=("${lint[@]}") ;;
  --fuzz) wanted=("${build[@]}" "${fuzz[@]}") ;;
  --cross) wanted=("${build[@]}" "${cross[@]}") ;;
  --all) wanted=("${build[@]}" "${tests[@]}" "${lint[@]}" "${cross[@]}") ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

if ! command -v apt-get > /dev/null || ! command -v dpkg-query > /dev/null; then
  echo "install-deps: this needs a Debian-like machine; install by hand: ${wanted[*]}" >&2
  exit 1
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" != 0 ]; then
  echo "install-deps: run as root to install: ${missing[*]}" >&2
  exit 1
fi

# The registry package would start a service on port 5000; a test starts its own on a free port.
# A policy file only counts while it is there, and one that exists already is the machine's own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
options=(-y -q --no-install-recommends -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
if ! apt-get install "${options[@]}" "${missing[@]}"; then
  # Most likely lists that are missing or too old.
  apt-get update -q -o Acquire::Retries=3
  apt-get install "${options[@]}" "${missing[@]}"
fi
