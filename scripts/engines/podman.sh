#!/usr/bin/env bash
# A real container engine for the engine tests, with no registry. As root on Debian; needs no systemd.
#
#   podman.sh up               install Podman, make the session image, start the Docker-compatible API on a unix socket
#   podman.sh down             stop the API service, remove this store's containers and networks
#   podman.sh clean            down, and remove the store (the cached image stays)
#   podman.sh env              print the shell exports that tests need
#   podman.sh podman ARGS...   run the podman command line on this store
#
# It has its own configuration and image store: the machine's /etc/containers and default store are left alone.
# The image is Debian with Python, git and CA certificates; JupyterLab is brought in by read-only mounts. It is cached
# as an archive named by a hash of its recipe.
#
# Settings (environment):
#   STUDIOLO_ENGINES_DIR     state             (default /var/lib/studiolo-engines)
#   STUDIOLO_ENGINES_CACHE   cached archives   (default ~/.cache/studiolo-engines)
#   STUDIOLO_ENGINES_SUITE   Debian suite      (default: this machine's)
set -euo pipefail

D="${STUDIOLO_ENGINES_DIR:-/var/lib/studiolo-engines}/podman"
CACHE="${STUDIOLO_ENGINES_CACHE:-$HOME/.cache/studiolo-engines}"
# shellcheck source=/dev/null
. /etc/os-release
SUITE="${STUDIOLO_ENGINES_SUITE:-$VERSION_CODENAME}"
INCLUDE=python3,python3-venv,ca-certificates,git,procps
IMAGE="localhost/studiolo-session:$SUITE"
SOCK="$D/podman.sock"
export CONTAINERS_CONF="$D/containers.conf" CONTAINERS_STORAGE_CONF="$D/storage.conf"

say() { printf 'podman: %s\n' "$*" >&2; }
. "$(dirname "$0")/packages.sh"
alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

install_podman() {
  install_packages "$D/apt.log" \
    podman conmon runc netavark aardvark-dns catatonit iptables nftables debootstrap ca-certificates curl \
    docker-registry
}

write_conf() {
  # - explicit ulimits: without CAP_SYS_RESOURCE the defaults, above the caller's hard limits, fail every start
  # - runc: crun cannot use a layout with cgroup v1 and v2 side by side
  # - cgroupfs, file, k8s-file: there is no systemd and no journald
  local files
  files="$(ulimit -Hn)"
  [ "$files" = unlimited ] && files=65536
  mkdir -p "$D/networks" "$D/storage" "$D/run"
  cat >"$D/containers.conf" <<E
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=10000:10000"]
log_driver = "k8s-file"
[network]
network_backend = "netavark"
network_config_dir = "$D/networks"
default_subnet_pools = [{"base" = "10.95.0.0/16", "size" = 24}]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
E
  cat >"$D/storage.conf" <<E
[storage]
driver = "overlay"
graphroot = "$D/storage"
runroot = "$D/run"
E
}

mirror() {
  { awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/*.sources 2>/dev/null
    awk '$1=="deb"{for(i=2;i<=NF;i++) if ($i ~ /:\/\//) {print $i; exit}}' /etc/apt/sources.list 2>/dev/null; } | head -n 1
}

make_image() {
  podman image exists "$IMAGE" && return
  local recipe archive
  recipe="$( { echo "$SUITE $INCLUDE"; declare -f make_image; } | sha256sum | cut -c1-16)"
  archive="$CACHE/session-$recipe.tar.gz"
  mkdir -p "$CACHE"
  if ! [ -s "$archive" ]; then
    say "making the image from Debian $SUITE"
    rm -rf "$D/rootfs"
    debootstrap --variant=minbase --include="$INCLUDE" "$SUITE" "$D/rootfs" "$(mirror)" >"$D/debootstrap.log" 2>&1 ||
      { tail -n 20 "$D/debootstrap.log" >&2; exit 1; }
    rm -rf "$D/rootfs"/var/cache/apt/archives/*.deb "$D/rootfs"/var/lib/apt/lists/*
    tar -C "$D/rootfs" --one-file-system -cz . >"$archive.part"
    mv "$archive.part" "$archive"
    rm -rf "$D/rootfs"
  fi
  podman import --change 'ENV LANG=C.UTF-8' --change 'CMD ["/bin/bash"]' "$archive" "$IMAGE" >"$D/import.log" 2>&1 ||
    { tail -n 20 "$D/import.log" >&2; exit 1; }
}

up() {
  [ "$(id -u)" = 0 ] || { say "run it as root: control groups and packages need it"; exit 1; }
  mkdir -p "$D"
  install_podman
  write_conf
  make_image
  if ! { alive "$D/service.pid" && [ -S "$SOCK" ]; }; then
    rm -f "$SOCK"
    # Started in its own folder: conmon leaves files named "oom" in the service's working folder.
    (cd "$D" && exec podman system service --time=0 "unix://$SOCK" >"$D/service.log" 2>&1 </dev/null) &
    echo $! >"$D/service.pid"
    for _ in $(seq 300); do [ -S "$SOCK" ] && break; sleep .1; done
  fi
  curl -fsS --max-time 30 --unix-socket "$SOCK" http://d/_ping >/dev/null
  say "up: unix://$SOCK, $IMAGE"
}

down() {
  [ -d "$D" ] || return 0
  if alive "$D/service.pid"; then kill "$(cat "$D/service.pid")" 2>/dev/null || true; fi
  rm -f "$D/service.pid" "$SOCK"
  [ -s "$D/storage.conf" ] || return 0
  podman rm -fa -t 2 >/dev/null 2>&1 || true
  podman network prune -f >/dev/null 2>&1 || true
}

case "${1:-up}" in
  up) up ;;
  down) down ;;
  clean) down; podman system reset -f >/dev/null 2>&1 || true; rm -rf "$D" ;;
  env) printf 'export STUDIOLO_TEST_PODMAN=%q\nexport STUDIOLO_TEST_PODMAN_IMAGE=%q\nexport CONTAINERS_CONF=%q\nexport CONTAINERS_STORAGE_CONF=%q\n' \
    "unix://$SOCK" "$IMAGE" "$CONTAINERS_CONF" "$CONTAINERS_STORAGE_CONF" ;;
  podman) shift; exec podman "$@" ;;
  *) sed -n '2,17p' "$0"; exit 2 ;;
esac
