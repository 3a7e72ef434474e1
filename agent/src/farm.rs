//! Ports of a server that the compute farm reaches: Dask's workers, say, which are jobs there and
//! look for the scheduler in a notebook.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use berth_common::farm::{dashboard_port, worker_job};

use crate::config::Farm;
use crate::policy::{self, Refusal};
use crate::runtime::{Bind, Published};

/// What is published of a server with these ports.
///
/// # Errors
/// When this host's own rules do not allow it.
pub fn published(farm: Option<&Farm>, ports: &[u16]) -> Result<Option<Published>, Refusal> {
    policy::farm_ports(farm, ports)?;
    let farm = farm.filter(|_| !ports.is_empty());
    Ok(farm.map(|farm| Published { address: farm.address, ports: ports.to_vec() }))
}

/// Tells a server its address and ports.
pub fn tell(env: &mut BTreeMap<String, String>, farm: &Farm, ports: &[u16]) {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    env.insert("BERTH_FARM_ADDRESS".into(), farm.host());
    env.insert("BERTH_FARM_PORTS".into(), ports.join(","));
}

/// Dask's configuration: a cluster's scheduler listens where the farm's workers find it.
///
/// # Errors
/// When the file cannot be written.
pub fn dask_file(folder: &Path, farm: &Farm, ports: &[u16]) -> io::Result<Bind> {
    let source = folder.join("dask.yaml");
    std::fs::write(&source, dask(farm, ports))?;
    // The user must read it, whatever the agent's umask is.
    std::fs::set_permissions(&source, Permissions::from_mode(0o644))?;
    let target = "/etc/dask/berth.yaml".into();
    Ok(Bind { source, target, read_only: true, follows: false })
}

/// Every key is one of dask-jobqueue's. By the jobs' name the hub knows whose workers they are; a
/// dashboard is reached through the notebook server.
fn dask(farm: &Farm, ports: &[u16]) -> String {
    let mut text = "# Written by Berth for this start of the server.\njobqueue:\n".to_owned();
    let Some((port, dashboard)) = ports.first().zip(dashboard_port(0)) else { return text };
    let job = worker_job(*port);
    let host = match farm.host() {
        host if host.contains(':') => format!("[{host}]"),
        host => host,
    };
    for system in ["htcondor", "lsf", "moab", "oar", "pbs", "sge", "slurm"] {
        text.push_str(&format!(
            "  {system}:\n    name: {job}\n    scheduler-options:\n      host: tcp://0.0.0.0\n      port: {port}\n      \
             contact_address: tcp://{host}:{port}\n      dashboard_address: 127.0.0.1:{dashboard}\n"
        ));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_address_and_ports() {
        let mut farm = Farm {
            port_range: 20_000..=20_003,
            address: "10.1.0.1".parse().unwrap(),
            name: None,
            networks: vec!["10.1.0.0/16".parse().unwrap()],
        };
        let mut env = BTreeMap::new();
        tell(&mut env, &farm, &[20_000, 20_001]);
        assert_eq!(env["BERTH_FARM_ADDRESS"], "10.1.0.1");
        assert_eq!(env["BERTH_FARM_PORTS"], "20000,20001");
        let said = dask(&farm, &[20_000, 20_001]);
        assert!(said.contains("contact_address: tcp://10.1.0.1:20000\n"), "{said}");
        assert!(said.contains("name: dask-worker-20000\n"), "{said}");
        assert!(said.contains("dashboard_address: 127.0.0.1:8800\n"), "{said}");
        farm.name = Some("ccjn01.example.org".into());
        tell(&mut env, &farm, &[20_000]);
        assert_eq!(env["BERTH_FARM_ADDRESS"], "ccjn01.example.org");
        assert_eq!(published(Some(&farm), &[]).unwrap(), None);
        assert!(published(None, &[20_000]).is_err());
    }
}
