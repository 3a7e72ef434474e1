//! Blows to a site of real processes: `kill -9` at every crash point, restarts and
//! reloads under load, hosts that are cut off. Hosts are fake (`berth-agent run --runtime fake`), each with a real tunnel that
//! leads to a server of the test. `tests/run blows` builds the programs and runs this.

mod disk;
mod drains;
mod network;
mod partitions;
mod points;
mod reloads;
mod restarts;
mod site;
