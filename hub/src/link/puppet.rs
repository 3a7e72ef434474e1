//! A host that joins with its Puppet certificate as proof, once. Whether the certificate is good was
//! looked at in the handshake; here is the question whether the host that it names may still join.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::net::SocketAddr;

use berth_common::HostId;
use berth_process::clock::now;
use berth_process::file;
use berth_store::Act;
use tonic::Status;

use crate::audit;
use crate::site::Hub;

/// The host that may have certificates for this proof, which is used up then.
///
/// # Errors
/// What is in the way, and what to do.
pub async fn admit(
    hub: &Hub,
    guest: Option<&str>,
    address: Option<SocketAddr>,
) -> Result<HostId, Status> {
    let ip = address.map(|address| tracing::field::display(address.ip()));
    let name = guest.ok_or_else(|| {
        Status::unauthenticated("this connection shows no Puppet certificate; is puppet_ca set?")
    })?;
    let host = declared(hub, name).ok_or_else(|| {
        Status::failed_precondition(format!("no file in hosts.d declares the host {name}"))
    })?;
    let again = || {
        let text = format!(
            "{host} was enrolled before; make a token with `berth host add {host}` to join anew"
        );
        Status::already_exists(text)
    };
    let known = hub.fleet.fleet().hosts.get(&host).is_some_and(|known| known.boot_id.is_some());
    if known {
        tracing::warn!(%host, address = ip, "a Puppet certificate was refused: the host has joined");
        return Err(again());
    }
    let unavailable = |error: &dyn std::fmt::Display| Status::unavailable(error.to_string());
    // A file that must not be there yet: two that ask at once do not both get certificates.
    let folder = hub.config().hub.state.join("enrolled-by-puppet");
    file::make_folder(&folder, 0o700).map_err(|error| unavailable(&error))?;
    let mark = OpenOptions::new().write(true).create_new(true).open(folder.join(host.as_str()));
    match mark.and_then(|mark| mark.sync_all()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(again()),
        Err(error) => return Err(unavailable(&error)),
    }
    let from = address.map_or_else(|| "link".to_owned(), |address| address.ip().to_string());
    let act = Act::new(now(), &format!("host:{host}"), "host-join", &from).on(host.as_str());
    let act = act.because("its Puppet certificate");
    audit::record(hub, act).await.map_err(|error| unavailable(&error))?;
    tracing::info!(%host, address = ip, "host joined with its Puppet certificate");
    Ok(host)
}

/// A declared host of this name, or of its first part: Puppet names machines in full.
fn declared(hub: &Hub, name: &str) -> Option<HostId> {
    let first = name.split('.').next().unwrap_or(name);
    let hosts = &hub.config().settings.hosts;
    let mut ids = [name, first].into_iter().filter_map(|name| name.parse::<HostId>().ok());
    ids.find(|id| hosts.contains_key(id))
}
