# Sourced by build.sh. A private apt: it sees the suites named below, through the mirrors this
# machine is set up for, checks them against the Debian archive keys, and keeps its lists and
# downloads in a folder of its own. The machine's own sources and packages are left alone.

# Prints "kind uri" for each Debian mirror the machine's apt knows; kind is main or security.
machine_mirrors() {
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -r "$file" ] || continue
    sed -e 's/#.*//' -e 's/\[[^]]*\]//' "$file" | awk '$1 == "deb" { print $3, $2 }'
  done | label_mirrors
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -r "$file" ] || continue
    awk -F': *' '
      function flush(  n, i, list) {
        n = split(uris, list, " ")
        for (i = 1; i <= n; i++) if (types ~ /deb( |$)/) print suites, list[i]
        types = uris = suites = ""
      }
      /^#/ { next }
      /^[ \t]*$/ { flush(); next }
      tolower($1) == "types" { types = $2 }
      tolower($1) == "uris" { sub(/^[^:]*: */, ""); uris = $0 }
      tolower($1) == "suites" { suites = $2 }
      END { flush() }' "$file" | awk '{ print $1, $NF }'
  done | label_mirrors
}

label_mirrors() {
  awk '$1 ~ /^(bookworm|trixie|stable|oldstable)(-|$)/ {
    print ($1 ~ /-security$/ ? "security" : "main"), $2 }'
}

mirror_of() {
  machine_mirrors | awk -v kind="$1" '$1 == kind { print $2; exit }'
}

# private_apt_init DIR ARCH: makes the configuration and fetches the lists, once per DIR.
private_apt_init() {
  local dir=$1 arch=$2 main security keyring=/usr/share/keyrings/debian-archive-keyring.gpg suite
  PRIVATE_APT_CONFIG=$dir/apt.conf
  [ -e "$dir/ready" ] && return
  main=$(mirror_of main)
  security=$(mirror_of security)
  if [ -z "$main" ]; then
    echo "third_party: found no Debian mirror in /etc/apt/sources.list or sources.list.d" >&2
    return 1
  fi
  if [ ! -r "$keyring" ]; then
    echo "third_party: $keyring is missing; install debian-archive-keyring" >&2
    return 1
  fi
  mkdir -p "$dir"/{etc,state/lists/partial,cache/archives/partial}
  : > "$dir/state/status"
  : > "$dir/etc/sources.list"
  for suite in bookworm bookworm-updates trixie trixie-updates; do
    echo "deb [signed-by=$keyring] $main $suite main"
    echo "deb-src [signed-by=$keyring] $main $suite main"
  done >> "$dir/etc/sources.list"
  if [ -n "$security" ]; then
    for suite in bookworm-security trixie-security; do
      echo "deb [signed-by=$keyring] $security $suite main"
      echo "deb-src [signed-by=$keyring] $security $suite main"
    done >> "$dir/etc/sources.list"
  fi
  # Binary packages are only wanted for the cross sysroot, and there from bookworm, the release
  # the compiler comes from; the newer suite is for sources.
  [ "$arch" = source ] && sed -i '/^deb /d' "$dir/etc/sources.list" && arch=$(dpkg --print-architecture)
  [ "$arch" = "$(dpkg --print-architecture)" ] || sed -i -e '/^deb-src/d' -e '/ trixie/d' "$dir/etc/sources.list"
  cat > "$PRIVATE_APT_CONFIG" << CONF
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "$(id -un)";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Etc::sourcelist "$dir/etc/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
Dir::State "$dir/state";
Dir::State::status "$dir/state/status";
Dir::Cache "$dir/cache";
CONF
  private_apt apt-get update -qq
  : > "$dir/ready"
}

private_apt() {
  APT_CONFIG=$PRIVATE_APT_CONFIG "$@"
}

# source_versions NAME UPSTREAM-PREFIX: the versions the signed indexes offer whose upstream part is
# pinned by the prefix, newest first, so that Debian's security revisions are picked up.
source_versions() {
  local version sorted=()
  for version in $(private_apt apt-cache showsrc "$1" 2> /dev/null | awk '$1 == "Version:" { print $2 }' | sort -u); do
    case "$version" in "$2"*) sorted+=("$version") ;; esac
  done
  # Few entries; dpkg knows the order.
  local i j swap
  for ((i = 0; i < ${#sorted[@]}; i++)); do
    for ((j = i + 1; j < ${#sorted[@]}; j++)); do
      if dpkg --compare-versions "${sorted[j]}" gt "${sorted[i]}"; then
        swap=${sorted[i]} sorted[i]=${sorted[j]} sorted[j]=$swap
      fi
    done
  done
  printf '%s\n' "${sorted[@]}"
}

# fetch_source NAME UPSTREAM-PREFIX DIR [--tar-only]: unpacks the source, patches applied, in DIR.
# A mirror may list a revision whose files it does not hold; then the next older one is taken.
fetch_source() {
  local name=$1 prefix=$2 dir=$3 version options=() unpacked
  [ "${4:-}" = --tar-only ] && options=(--tar-only --download-only)
  for version in $(source_versions "$name" "$prefix"); do
    rm -rf "$dir.fetch"
    mkdir -p "$dir.fetch"
    if (cd "$dir.fetch" && private_apt apt-get source -qq "${options[@]}" "$name=$version") > "$dir.fetch.log" 2>&1; then
      if [ ${#options[@]} -gt 0 ]; then
        mkdir -p "$dir"
        tar -xf "$dir.fetch"/*.orig.tar.* --strip-components=1 -C "$dir"
      else
        unpacked=$(find "$dir.fetch" -mindepth 1 -maxdepth 1 -type d)
        mv "$unpacked" "$dir"
      fi
      echo "$name $version" >> "$(dirname "$dir")/versions"
      return
    fi
    echo "third_party: the mirror does not hold $name $version" >&2
  done
  [ -r "$dir.fetch.log" ] && tail -n 5 "$dir.fetch.log" >&2
  echo "third_party: cannot fetch the source of $name $prefix" >&2
  return 1
}
