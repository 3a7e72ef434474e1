# shellcheck shell=bash
# What up, down and status share: names, folders, and how a process is found.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
# All other ports follow from this one, so that two of these can stand side by side.
port=${BERTH_PORT:-8000}
hub_port=$((port + 81)) link_port=$((port + 443))
state=${BERTH_STATE:-$here/.state}
# Unix sockets have at most 107 bytes of path, and nobody knows how deep this folder lies.
sockets=/run/berth-laptop-$port
bin=${BERTH_BIN:-$root/target/release}
suffix=; [ "$port" = 8000 ] || suffix=-$port
hosts=("laptop1$suffix" "laptop2$suffix" "laptop3$suffix")
url=http://127.0.0.1:$port

say()  { echo "laptop: $*"; }
fail() { echo "laptop: $1" >&2; shift; [ $# = 0 ] || printf '  %s\n' "$@" >&2; exit 1; }

# The tunnel port of the host of this number, from 1.
tunnel_port() { echo $((port + 443 + $1)); }

# All processes in the order in which they start.
processes() {
  local host
  echo hub
  for host in "${hosts[@]}"; do echo "tunnel-$host"; echo "agent-$host"; done
  echo proxy
}

# Does a process of this pid file live? A zombie does not.
lives() {
  local pid stat
  pid=$(cat "$state/run/$1" 2>/dev/null) && [ -n "$pid" ] || return 1
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) && [[ $stat != *") Z "* && $stat != *") X "* ]]
}

berth() { BERTH_URL=unix:$sockets/admin.sock "$bin/berth" "$@"; }
