# Machines with systemd for the tests of the packages: sourced, with `root`, `here` and the array
# `machines` set, and `test_name`. Gives `work`, a folder that machines and engine see under one name, and clears up.
# shellcheck shell=bash disable=SC2154
engine=$root/examples/engine
work=$(mktemp -d /var/lib/berth-packages.XXXXXX)   # not below /var/tmp: units have their own
chmod 755 "$work"
id=$(basename "$work" | sed "s,.*\.,," | tr "[:upper:]" "[:lower:]")

say()  { echo "$test_name: $*"; }
fail() { echo "$test_name: $*" >&2; exit 1; }
name() { echo "berth-packages-$id-$1"; }
# What is compared with what is expected; the text says what it means.
is() { [ "$2" = "$3" ] || fail "$1: expected '$2', found '$3'"; }
until_ok() {                                         # until_ok SECONDS COMMAND...
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}
leave() {
  local status=$? machine
  for machine in "${machines[@]}"; do
    if [ $status != 0 ]; then
      docker exec "$(name "$machine")" journalctl --no-pager -n 30 -u 'berth-*' 2>/dev/null | sed "s/^/$machine: /" >&2 || true
    fi
    docker rm -f "$(name "$machine")" >/dev/null 2>&1 || true
  done
  docker ps -aq --filter "label=berth.host=$id-n1" --filter "label=berth.host" 2>/dev/null |
    xargs -r docker inspect -f '{{.Id}} {{index .Config.Labels "berth.host"}}' 2>/dev/null |
    awk -v a="$id-n1" -v b="$id-n2" '$2 == a || $2 == b {print $1}' | xargs -r docker rm -f >/dev/null || true
  docker network ls -q --filter "name=berth-$id-" | xargs -r docker network rm >/dev/null 2>&1 || true
  rm -rf --one-file-system "$work"
  exit $status
}
trap leave EXIT

# Starts all machines. They have what rpm needs to resolve the needs of the packages in a folder.
start_machines() {                                   # start_machines FOLDER-OF-PACKAGES
  local machine
  mkdir -p "$work/image" "$work/homes"; chmod 755 "$work/homes"
  cp /etc/ssl/certs/ca-certificates.crt "$work/image"
  DOCKER_BUILDKIT=0 docker build -q --network host -t berth/machine:bookworm -f "$here/machine.Dockerfile" "$work/image" >/dev/null
  # Stand-ins for what an EL system provides, so that rpm resolves our needs. Two packages: Puppet's
  # rpm provider fails where exactly one is installed.
  cat >"$work/el.spec" <<'SPEC'
Name: el-base
Version: 9
Release: 1
Summary: stand-in for an EL system
License: Apache-2.0
AutoReqProv: no
Provides: shadow-utils systemd /bin/sh rtld(GNU_HASH)
%(rpm -qp --requires %{packages} | sed -n 's/^\(\(ld-linux\|lib\)[^ ]*\)$/Provides: \1/p' | sort -u)
%description
x
%files
%package -n el-release
Summary: a second package
%description -n el-release
x
%files -n el-release
SPEC
  rpmbuild -bb --quiet --target x86_64 --define "_topdir $work/el" --define "packages $(echo "$1"/*.rpm)" "$work/el.spec" 2>/dev/null
  for machine in "${machines[@]}"; do
    mkdir -p "$work/$machine"
    docker run -d --name "$(name "$machine")" --network host --cap-add SYS_ADMIN --security-opt seccomp=unconfined \
      --cgroupns=private --tmpfs /run --tmpfs /run/lock --tmpfs /tmp -e container=docker \
      -v /run/docker.sock:/run/docker.sock -v "$work:$work" berth/machine:bookworm >/dev/null
  done
  for machine in "${machines[@]}"; do
    until_ok 30 on "$machine" systemctl is-active -q dbus || fail "systemd on $machine is not up"
    on "$machine" sh -c "rpm -i --force-debian --nodeps $work/el/RPMS/*/*.rpm"
  done
}
on() { local machine=$1; shift; docker exec -i "$(name "$machine")" "$@"; }

"$engine" status >/dev/null 2>&1 || "$engine" up
# Ports of our own, below those the kernel gives out.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1] % 20000 + 10000)')
# What a network of the engine has as its gateway is where containers find the machine.
gateway=$(docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' bridge)
# The engine does not say it of a bridge that was there before it was.
[ -n "$gateway" ] || gateway=$(ip -4 -o addr show docker0 | sed -n 's,.* inet \([0-9.]*\)/.*,\1,p')
