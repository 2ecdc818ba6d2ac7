# Makes small images by hand, as tars in the form that `docker save` writes. Sourced.
#
#   image_tar OUT NAME CONFIG-JSON LAYER-DIR...   layers lowest first
#   box_layer DIR        busybox with its applets and /bin/serve, a web page that names its host
#   nginx_layers DIR     DIR/1 (libraries), DIR/2 (nginx), DIR/3 (page and settings) from Debian's
#                        packages, kept in the cache

image_tar() {
  local out=$1 name=$2 config=$3 work ids= files= digest folder n=0
  shift 3
  work=$(mktemp -d)
  for folder in "$@"; do
    n=$((n + 1))
    mkdir "$work/$n"
    tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 \
      -cf "$work/$n/layer.tar" . || return 1
    digest=$(sha256sum < "$work/$n/layer.tar" | cut -d' ' -f1)
    ids="$ids,\"sha256:$digest\"" files="$files,\"$n/layer.tar\""
  done
  printf '{"architecture":"%s","os":"linux","created":"2024-01-01T00:00:00Z","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}}' \
    "$(dpkg --print-architecture 2> /dev/null || echo amd64)" "$config" "${ids#,}" > "$work/config"
  digest=$(sha256sum < "$work/config" | cut -d' ' -f1)
  mv "$work/config" "$work/$digest.json"
  printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":[%s]}]' "$digest" "$name" "${files#,}" \
    > "$work/manifest.json"
  tar -C "$work" -cf "$out" . && rm -rf "$work"
}

box_layer() {
  local applet
  mkdir -p "$1"/{bin,etc,root,tmp,var,usr,home,www}
  chmod 1777 "$1/tmp"
  cp "$(command -v busybox)" "$1/bin/busybox"
  for applet in $(busybox --list); do
    [ -e "$1/bin/$applet" ] || ln -s busybox "$1/bin/$applet"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\nada:x:1001:1002:Ada:/home:/bin/sh\n' > "$1/etc/passwd"
  printf 'root:x:0:\nada:x:1002:\n' > "$1/etc/group"
  cat > "$1/bin/serve" <<'SERVE'
#!/bin/sh
# A web page that names its host; ends at once when told to.
mkdir -p /tmp/www
hostname > /tmp/www/index.html
echo "serving as $(hostname)"
trap 'echo bye; exit 0' TERM INT
httpd -f -p "${PORT:-80}" -h /tmp/www &
wait
SERVE
  chmod 755 "$1/bin/serve"
}

BOX_CONFIG='{"Cmd":["/bin/serve"],"Env":["PATH=/bin","FROM_IMAGE=yes"],"WorkingDir":"/"}'
NGINX_CONFIG='{"Cmd":["/usr/sbin/nginx","-g","daemon off;"],"Env":["PATH=/usr/sbin:/usr/bin:/bin"],"ExposedPorts":{"80/tcp":{}},"StopSignal":"SIGQUIT"}'

nginx_layers() {
  local cache=${WHERRY_CACHE:-$HOME/.cache/wherry}/debian package
  if [ ! -e "$cache/.nginx" ]; then
    command -v apt-get > /dev/null || return 1
    mkdir -p "$cache"
    (cd "$cache" && rm -f ./*.deb && apt-get download -q nginx nginx-common libc6 libcrypt1 libpcre2-8-0 \
      libssl3 zlib1g 2>&1 | grep -v '^W:') || true
    ls "$cache"/nginx_*.deb "$cache"/libc6_*.deb > /dev/null || return 1
    touch "$cache/.nginx"
  fi
  mkdir -p "$1"/{1,2,3}
  for package in "$cache"/{libc6,libcrypt1,libpcre2-8-0,libssl3,zlib1g}_*.deb; do
    dpkg-deb -x "$package" "$1/1" || return 1
  done
  dpkg-deb -x "$cache"/nginx_*.deb "$1/2" && dpkg-deb -x "$cache"/nginx-common_*.deb "$1/2" || return 1
  rm -rf "$1"/*/usr/share/{doc,man,lintian} "$1"/1/usr/lib/*/{gconv,perl*}
  [ -e "$1/1/lib64" ] || ln -s usr/lib64 "$1/1/lib64"
  mkdir -p "$1"/1/{bin,tmp,run} "$1"/3/etc/nginx "$1"/3/var/{www/html,log/nginx,lib/nginx} "$1"/3/run
  cp "$(command -v busybox)" "$1/1/bin/busybox" && ln -s busybox "$1/1/bin/sh"
  printf 'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/false\n' > "$1/3/etc/passwd"
  printf 'root:x:0:\nwww-data:x:33:\n' > "$1/3/etc/group"
  echo 'the page of a cargo boat' > "$1/3/var/www/html/index.html"
  cat > "$1/3/etc/nginx/nginx.conf" <<'CONF'
user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
  access_log /dev/stdout;
  server { listen 80; root /var/www/html; add_header X-Served-By $hostname; }
}
CONF
}

# A registry on loopback in the node's namespace: registry_start PORT, registry_stop; registry_push TAR NAME.
registry_start() {
  cat > "$WORLD/registry.yml" <<CONF
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $WORLD/registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$1"}
CONF
  setsid nsenter --net="/run/netns/$NODE_NS" docker-registry serve "$WORLD/registry.yml" \
    > "$WORLD/registry.log" 2>&1 < /dev/null &
  echo $! > "$WORLD/registry.pid"
  disown
  eventually 10 in_node curl -sf "http://127.0.0.1:$1/v2/"
}

registry_stop() {
  [ -e "$WORLD/registry.pid" ] || return 0
  kill "$(cat "$WORLD/registry.pid")" 2> /dev/null
  rm -f "$WORLD/registry.pid"
}

registry_push() {
  in_node skopeo copy -q --insecure-policy --dest-tls-verify=false "docker-archive:$1" "docker://$2"
}
