//! Why a server does not run any more, or did not start, and what can be done about it.

use berth_common::{ByteCount, Reason};
use berth_core::fleet::End;
use berth_core::{Fleet, Server};

use crate::web::pages::words::{self, Moment};
use crate::web::say;

/// An ending in words.
#[derive(Debug, Clone)]
pub struct Ending {
    /// The stable code.
    pub code: &'static str,
    /// The reason's sentence.
    pub text: String,
    /// What exactly, if that says more.
    pub detail: String,
    /// The last lines of the server's log, if any came.
    pub log: String,
    /// What to do; empty when there is nothing.
    pub remedy: String,
    /// When.
    pub at: Moment,
    /// The colour.
    pub class: &'static str,
}

impl Ending {
    /// Puts an ending into words. A refusal's detail is its whole sentence; an agent's holds the
    /// log's tail after the first line.
    pub fn of(end: &End) -> Self {
        let refused = end.reason.code().starts_with("refused.");
        let (first, log) = end.detail.split_once('\n').unwrap_or((&end.detail, ""));
        let (text, detail) = if refused {
            words::told(end.reason, &end.detail)
        } else {
            (say::reason(end.reason), first.to_owned())
        };
        Self {
            code: end.reason.code(),
            text,
            detail,
            log: if refused { String::new() } else { log.trim_end().to_owned() },
            remedy: say::remedy(end.reason),
            at: Moment::from(end.at),
            class: class(end),
        }
    }
}

/// The next larger amount of its profile, for a server that ended for want of memory.
pub fn more_memory(fleet: &Fleet, server: &Server) -> Option<(ByteCount, String)> {
    let end = server.last_end.as_ref()?;
    let profile = fleet.settings.profiles.get(&server.ask.profile)?;
    let larger = profile.memory_choices.iter().filter(|choice| **choice > server.ask.memory).min();
    let memory = *larger.filter(|_| end.reason == Reason::StoppedOom)?;
    Some((memory, words::form_amount(memory)))
}

fn class(end: &End) -> &'static str {
    match end.reason {
        Reason::StoppedUser => "",
        Reason::StoppedAdmin | Reason::StoppedHostRestarted => "warn",
        _ => "bad",
    }
}
