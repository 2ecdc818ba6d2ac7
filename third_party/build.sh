#!/usr/bin/env bash
# Builds the third-party libraries that Debian has no usable static archive of, from pinned Debian
# sources, into a folder outside the tree that is shared by all checkouts and builds.
#
#   third_party/build.sh [ARCH]        builds unless it is there; ARCH is x86_64 or aarch64
#   third_party/build.sh --dir [ARCH]  prints the folder and builds nothing
#
# The folder has include/, lib/, and for a cross build sysroot/. Its name carries a hash of these
# recipes and of the compiler, so a changed recipe never meets an old result.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

show_only=
[ "${1:-}" = --dir ] && show_only=1 && shift
native=$(uname -m)
arch=${1:-$native}
case "$arch" in
  x86_64 | aarch64) ;;
  *) echo "third_party: unknown ARCH '$arch'; x86_64 and aarch64 are supported" >&2; exit 2 ;;
esac

triplet=$arch-linux-gnu
if [ "$arch" = "$native" ]; then cross=; else cross=$triplet-; fi
cc=${cross}gcc
hash=$({ cat "$here"/*.sh; "$cc" -dumpfullversion 2> /dev/null || true; } | sha256sum | cut -c1-16)
out=${WHERRY_CACHE:-$HOME/.cache/wherry}/third_party/$arch-$hash
if [ -n "$show_only" ]; then echo "$out"; exit 0; fi
[ -e "$out/.done" ] && exit 0

for tool in "$cc" "${cross}g++" cmake apt-get dpkg-source python3; do
  if ! command -v "$tool" > /dev/null; then
    echo "third_party: $tool is missing; run scripts/install-deps.sh${cross:+ --cross} as root" >&2
    exit 1
  fi
done

mkdir -p "$(dirname "$out")"
exec 9> "$out.lock"
flock 9  # Two makes at once: the second waits and finds the work done.
[ -e "$out/.done" ] && exit 0

work=$out.work
rm -rf "$work" "$out"
mkdir -p "$work" "$out/include" "$out/lib"
# shellcheck source=third_party/apt.sh
. "$here/apt.sh"

jobs=${THIRD_PARTY_JOBS:-$(nproc)}
optimise="-O2 -g1 -ffunction-sections -fdata-sections"
include_flags=()
cmake_flags=(-DCMAKE_BUILD_TYPE=None "-DCMAKE_C_FLAGS=$optimise" "-DCMAKE_CXX_FLAGS=$optimise"
             -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_PREFIX="$out"
             -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_SHARED_LIBS=OFF)
say() { echo "third_party: $*" >&2; }

# run NAME COMMAND...: quiet unless it fails.
run() {
  local name=$1
  shift
  if ! "$@" > "$work/$name.log" 2>&1; then
    tail -n 40 "$work/$name.log" >&2
    say "$name failed; the whole log is $work/$name.log"
    return 1
  fi
}

cmake_build() {
  local name=$1
  shift
  run "$name-configure" cmake -S "$work/$name" -B "$work/$name-build" "${cmake_flags[@]}" "$@"
  run "$name-build" cmake --build "$work/$name-build" -j "$jobs"
  run "$name-install" cmake --install "$work/$name-build"
}

# A static sysroot for the other architecture: its -dev packages unpacked side by side. (Enabling a
# second architecture on the machine itself would remove packages that cannot be installed twice.)
make_sysroot() {
  local sysroot=$out/sysroot deb deb_arch=arm64
  say "making the $triplet sysroot"
  private_apt_init "$work/apt-$deb_arch" "$deb_arch"
  (cd "$work" && run sysroot private_apt apt-get install -qq -y --download-only \
    libssl-dev libsqlite3-dev libyaml-cpp-dev libseccomp-dev zlib1g-dev libzstd-dev)
  mkdir -p "$sysroot"
  for deb in "$work/apt-$deb_arch"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$sysroot"; done
  cat > "$out/toolchain.cmake" << TOOLCHAIN
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR $arch)
set(CMAKE_C_COMPILER $triplet-gcc)
set(CMAKE_CXX_COMPILER $triplet-g++)
set(CMAKE_LIBRARY_ARCHITECTURE $triplet)
set(CMAKE_FIND_ROOT_PATH $sysroot)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
TOOLCHAIN
  include_flags=(-isystem "$sysroot/usr/include" -isystem "$sysroot/usr/include/$triplet")
  cmake_flags+=(-DCMAKE_TOOLCHAIN_FILE="$out/toolchain.cmake"
                "-DCMAKE_C_FLAGS=$optimise ${include_flags[*]}"
                "-DCMAKE_CXX_FLAGS=$optimise ${include_flags[*]}")
}

build_fmt() {
  fetch_source fmtlib 9.1.0 "$work/fmt"
  cmake_build fmt -DFMT_TEST=OFF -DFMT_DOC=OFF
}

build_spdlog() {
  fetch_source spdlog 1:1.10.0 "$work/spdlog"
  cmake_build spdlog -DSPDLOG_FMT_EXTERNAL=ON -DSPDLOG_BUILD_EXAMPLE=OFF -DSPDLOG_BUILD_SHARED=OFF \
    -Dfmt_DIR="$out/lib/cmake/fmt" -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=BOTH
}

# Plain HTTP/1.1 over TLS and unix sockets. The authority certificates are always given by us.
build_curl() {
  fetch_source curl 8.14.1 "$work/curl"
  cmake_build curl -DBUILD_STATIC_LIBS=ON -DBUILD_CURL_EXE=OFF -DBUILD_TESTING=OFF \
    -DBUILD_LIBCURL_DOCS=OFF -DBUILD_MISC_DOCS=OFF -DENABLE_CURL_MANUAL=OFF -DHTTP_ONLY=ON \
    -DCURL_USE_OPENSSL=ON -DCURL_ZLIB=ON -DCURL_ZSTD=OFF -DCURL_BROTLI=OFF -DUSE_NGHTTP2=OFF \
    -DCURL_USE_LIBPSL=OFF -DCURL_USE_LIBSSH2=OFF -DUSE_LIBIDN2=OFF -DCURL_DISABLE_NTLM=ON \
    -DCURL_DISABLE_KERBEROS_AUTH=ON -DCURL_DISABLE_NEGOTIATE_AUTH=ON \
    -DCURL_DISABLE_DIGEST_AUTH=ON -DCURL_DISABLE_AWS=ON -DCURL_DISABLE_WEBSOCKETS=ON \
    -DCURL_DISABLE_ALTSVC=ON -DCURL_DISABLE_HSTS=ON -DCURL_DISABLE_DOH=ON \
    -DCURL_DISABLE_COOKIES=ON -DCURL_DISABLE_NETRC=ON -DCURL_DISABLE_SRP=ON \
    -DCURL_DISABLE_IPFS=ON -DCURL_DISABLE_MIME=ON -DCURL_DISABLE_PROGRESS_METER=ON \
    -DCURL_CA_BUNDLE=none -DCURL_CA_PATH=none
}

build_yyjson() {
  fetch_source yyjson 0.10.0 "$work/yyjson" --tar-only
  # shellcheck disable=SC2086  # The flags are words.
  run yyjson "$cc" $optimise -fPIC -c "$work/yyjson/src/yyjson.c" -o "$work/yyjson.o"
  "${cross}ar" rcs "$out/lib/libyyjson.a" "$work/yyjson.o"
  cp "$work/yyjson/src/yyjson.h" "$out/include/"
}

# The single header, split so that its body is compiled once. The settings go into the header
# itself: the body and every includer must agree on them.
build_httplib() {
  fetch_source cpp-httplib 0.18. "$work/httplib"
  run split python3 "$work/httplib/split.py" -o "$work/httplib-split"
  {
    cat << 'SETTINGS'
// Settings of this build: see third_party/build.sh.
#define CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_LISTEN_BACKLOG 1024
#define CPPHTTPLIB_TCP_NODELAY true
#define CPPHTTPLIB_USE_POLL
#define CPPHTTPLIB_SEND_FLAGS MSG_NOSIGNAL
SETTINGS
    cat "$work/httplib-split/httplib.h"
  } > "$out/include/httplib.h"
  # The body looks beside itself first.
  cp "$out/include/httplib.h" "$work/httplib-split/httplib.h"
  # shellcheck disable=SC2086
  run httplib "${cross}g++" -std=c++20 $optimise -fPIC "${include_flags[@]}" -I "$out/include" \
    -c "$work/httplib-split/httplib.cc" -o "$work/httplib.o"
  "${cross}ar" rcs "$out/lib/libhttplib.a" "$work/httplib.o"
}

say "building for $arch into $out"
if [ -n "$cross" ]; then make_sysroot; fi
private_apt_init "$work/apt" source
for library in yyjson fmt spdlog curl httplib; do
  say "$library"
  "build_$library"
done

cp "$work/versions" "$out/versions"
rm -rf "$work" "$out/share" "$out/bin"
: > "$out/.done"
say "done: $(tr '\n' ';' < "$out/versions")"
