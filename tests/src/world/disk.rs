//! The hub's disk. What is committed stays; what production leaves out of its rows is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_common::{
    Epoch, Generation, HostId, Revision, ServerId, ServerName, Timestamp, Username,
};
use berth_core::event::Row;
use berth_core::fleet::restored::Restored;
use berth_core::fleet::{DrainId, Phase, StopOrder};
use berth_core::store::Store;
use berth_core::usage::UsageDay;
use berth_core::{Host, Server};

/// The hub's disk. What is committed stays; what production leaves out of its rows is lost.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// The reign that was begun last.
    pub epoch: Epoch,
    /// Servers.
    pub servers: BTreeMap<ServerId, Server>,
    /// The one of each owner and name.
    pub by_name: BTreeMap<(Username, ServerName), ServerId>,
    /// What people used, by day.
    pub usage: BTreeMap<(Username, u32), UsageDay>,
    /// Hosts.
    pub hosts: BTreeMap<HostId, Host>,
    /// The drain that was begun last.
    pub last_drain: DrainId,
    /// The restore it has been through last.
    pub restored: Option<Arc<Restored>>,
    /// The next commit fails.
    pub fails_next: bool,
}

impl Store for Disk {
    type Error = &'static str;

    fn commit(&mut self, rows: &[Row]) -> Result<(), Self::Error> {
        if std::mem::take(&mut self.fails_next) {
            return Err("the disk is full");
        }
        for row in rows {
            match row {
                Row::Server(server) => {
                    let key = (server.owner.clone(), server.name.clone());
                    self.by_name.insert(key, server.id.clone());
                    self.servers.insert(server.id.clone(), saved_server(server));
                }
                Row::ServerGone(id) => {
                    if let Some(gone) = self.servers.remove(id) {
                        let key = (gone.owner, gone.name);
                        if self.by_name.get(&key) == Some(id) {
                            self.by_name.remove(&key);
                        }
                    }
                }
                Row::Host(host) => {
                    self.hosts.insert(host.id.clone(), saved_host(host));
                }
                Row::Usage(day) => {
                    self.usage.insert((day.user.clone(), day.day), day.clone());
                }
                Row::Drain(drain) => self.last_drain = self.last_drain.max(drain.id),
                Row::Restored(restored) => self.restored = Some(Arc::clone(restored)),
                Row::Decision(_)
                | Row::Floor { .. }
                | Row::Settings(_)
                | Row::Prices(_)
                | Row::Life(_)
                | Row::Wait(_)
                | Row::Rolling(_) => {}
            }
        }
        Ok(())
    }
}

impl Disk {
    /// The highest numbers of a start and of a reign that it has used.
    pub fn highest(&self) -> (Generation, Epoch) {
        let of_servers = self.servers.values().map(|server| server.generation).max();
        let of_restore = self.restored.as_ref().map(|restored| restored.above);
        (of_servers.max(of_restore).unwrap_or_default(), self.epoch)
    }
}

/// A server as its row holds it: what production marks to be skipped is lost.
fn saved_server(server: &Server) -> Server {
    let mut saved = server.clone();
    saved.activity_saved = Timestamp::default();
    if let Phase::Placed(placement) = &mut saved.phase {
        placement.said = Revision::default();
        let life = &mut placement.life;
        (life.kernel_busy, life.unseen, life.due_at) = (None, false, None);
        life.meter = Default::default();
        life.gpu.measured = None;
        if let Some(resize) = &mut placement.resize {
            resize.said = Revision::default();
        }
        if let Some(StopOrder { end: _, said }) = &mut placement.stop {
            *said = Revision::default();
        }
    }
    saved
}

/// A host as its row holds it: every field is named, so that a new one must say whether it lasts.
fn saved_host(host: &Host) -> Host {
    let Host { id, boot_id, intent, drain, address, heard: _, seq: _, session: _, doubled_at: _ } =
        host;
    Host {
        boot_id: boot_id.clone(),
        intent: intent.clone(),
        drain: *drain,
        address: address.clone(),
        ..Host::new(id.clone())
    }
}
