//! What the hub hears, with the rare paths that show in it.

use std::fmt::Write;

use berth_common::link::{ObservedState, Report};
use berth_common::{Revision, Timestamp};
use berth_core::Event;
use berth_core::fleet::{HostState, ResizeState};

use super::{Hub, Reign, boot_id};
use crate::world::bugs;
use crate::world::nature::Nature;
use crate::world::transcript::server_word;

/// Bends an event as the planted bug wants it, and notes rare paths.
pub fn prepare(nature: &mut Nature, reign: &Reign, event: Event, now: Timestamp) -> Event {
    let Event::Reported { host, session, mut report } = event else {
        return bugs::told(nature.bug, event);
    };
    bugs::heard(nature.bug, &reign.fleet, &mut report, now);
    for seen in report.engine.iter().flatten() {
        let placement = reign.fleet.servers.get(&seen.server).and_then(|it| it.placement());
        let Some(resize) = placement.and_then(|it| it.resize.as_ref()) else { continue };
        let refused = seen.resize_refused.as_ref().map(|refused| refused.number);
        if resize.state == ResizeState::UnderWay && refused == Some(resize.limit.number) {
            nature.transcript.mark("a host refused another limit");
        }
        if report.applied < resize.said && seen.limit == Some(resize.limit.memory) {
            nature.transcript.mark("a limit was not believed: it was older than the order");
        }
    }
    if let Some(record) = reign.fleet.hosts.get(&host) {
        if session < record.session {
            nature.transcript.mark("a report of an older session came late");
        }
        if reign.fleet.host_state(record, now) == HostState::Lost {
            nature.transcript.mark("a lost host came back");
        }
        if record.heard.as_ref().is_some_and(|heard| report.sent < heard.sent) {
            nature.transcript.mark("a report was overtaken by a newer one");
        }
    }
    if report.engine.is_err() {
        nature.transcript.mark("a report said that the engine does not answer");
    }
    for (server, placement) in reign.fleet.placed_on(&host) {
        let Some(stop) = &placement.stop else { continue };
        let Ok(observed) = &report.engine else { continue };
        if observed.iter().any(|seen| seen.server == server.id) {
            continue;
        }
        if report.pending.iter().any(|pending| pending.server == server.id) {
            nature.transcript.mark("an absence was not believed: an operation was pending");
        } else if report.applied < stop.said || report.applied.epoch != reign.fleet.epoch {
            nature.transcript.mark("an absence was not believed: it was older than the stop");
        }
    }
    nature.say(|| format!("  · from {host}/{session}: {}", report_words(&report)));
    for seen in report.engine.iter().flatten() {
        if matches!(seen.state, ObservedState::Failed(_)) {
            nature.transcript.mark("a report said that a start failed");
        }
    }
    Event::Reported { host, session, report }
}

fn report_words(report: &Report) -> String {
    let mut words = format!("applied {}", report.applied);
    match &report.engine {
        Ok(observed) => {
            for seen in observed {
                let state = match &seen.state {
                    ObservedState::Exited(ending) => format!("exited {}", ending.reason),
                    ObservedState::Failed(ending) => format!("failed {}", ending.reason),
                    state => format!("{state:?}").to_lowercase(),
                };
                let _ = write!(words, ", {} {state}", server_word(&seen.server, seen.generation));
            }
        }
        Err(_) => words.push_str(", engine unknown"),
    }
    for pending in &report.pending {
        let server = server_word(&pending.server, pending.generation);
        let _ = write!(words, ", pending {} {server}", pending.operation);
    }
    words
}

impl Hub {
    /// A planted bug: hosts that are silent are heard to run nothing.
    pub(super) fn take_silence_for_absence(&mut self, nature: &mut Nature) {
        let now = nature.schedule.now();
        let Some(reign) = &self.reign else { return };
        let mut silent = Vec::new();
        for host in reign.fleet.hosts.values() {
            if let Some(heard) = &host.heard
                && reign.fleet.host_state(host, now) == HostState::Lost
            {
                let report = Report {
                    incarnation: heard.incarnation,
                    boot_id: host.boot_id.clone().unwrap_or_else(|| boot_id(0)),
                    sent: heard.sent,
                    applied: Revision { epoch: reign.fleet.epoch, seq: u64::MAX },
                    engine: Ok(Vec::new()),
                    pending: Vec::new(),
                    gpus: Vec::new(),
                    spaces: Vec::new(),
                    capacity: heard.capacity,
                    facts: heard.facts.clone(),
                };
                let (host, session) = (host.id.clone(), host.session);
                silent.push(Event::Reported { host, session, report: Box::new(report) });
            }
        }
        for event in silent {
            self.send(nature, event, None);
        }
    }
}
