# shellcheck shell=bash
# What up, down and status share: names, folders, addresses.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
laptop=$root/examples/laptop
export BERTH_PORT=${BERTH_PORT:-8020} BERTH_STATE=${BERTH_STATE:-$here/.state}
bin=${BERTH_BIN:-$root/target/release}
state=$BERTH_STATE
shared=$state/shared                                 # what servers are given beside HOME
farm=berth-farm-$BERTH_PORT                          # the farm's container
link=bf$BERTH_PORT                                   # the cable to it: at most 15 characters
# A network of its own, so that two of these can stand side by side.
net=10.$((200 + BERTH_PORT / 250 % 50)).$((BERTH_PORT % 250))
host_address=$net.1 farm_address=$net.2 network=$net.0/24
host=laptop1-$BERTH_PORT
url=http://127.0.0.1:$BERTH_PORT

say()  { echo "dask: $*"; }
fail() { echo "dask: $1" >&2; shift; [ $# = 0 ] || printf '  %s\n' "$@" >&2; exit 1; }
berth() { BERTH_URL=unix:/run/berth-laptop-$BERTH_PORT/admin.sock "$bin/berth" "$@"; }
farm_runs() { [ "$(docker inspect -f '{{.State.Running}}' "$farm" 2>/dev/null)" = true ]; }
