# shellcheck shell=bash
# What up, down and status share: names, folders, and how a process is found.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
# All other ports follow from this one, so that two of these can stand side by side.
port=${BERTH_PORT:-8010}
hub_port=$((port + 81)) link_port=$((port + 443))
state=${BERTH_STATE:-$here/.state}
# Unix sockets have at most 107 bytes of path, and nobody knows how deep this folder lies.
sockets=${TMPDIR:-/tmp}/berth-site-$(id -u)-$port
bin=${BERTH_BIN:-$root/target/release}
url=http://127.0.0.1:$port
processes=(hub hosts proxy)

say()  { echo "site: $*"; }
fail() { echo "site: $1" >&2; shift; [ $# = 0 ] || printf '  %s\n' "$@" >&2; exit 1; }

# Does a process of this pid file live? A zombie does not.
lives() {
  local pid stat
  pid=$(cat "$state/run/$1" 2>/dev/null) && [ -n "$pid" ] || return 1
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) && [[ $stat != *") Z "* && $stat != *") X "* ]]
}

# The hosts of the inventory, one a line.
hosts() { grep '^names' "$here/inventory.toml" | grep -o '"[^"]*"' | tr -d '"'; }

# The people: name, groups, profile, memory.
people() { grep -v '^#' "$here/people"; }

berth() { BERTH_URL=unix:$sockets/admin.sock "$bin/berth" "$@"; }
