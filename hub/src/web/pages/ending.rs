//! Why a server does not run any more, or did not start, and what can be done about it.

use berth_common::Reason;
use berth_core::fleet::End;

use crate::web::pages::words::Moment;

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
    pub remedy: &'static str,
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
        let (text, detail) =
            if refused { (end.detail.as_str(), "") } else { (end.reason.text(), first) };
        Self {
            code: end.reason.code(),
            text: text.to_owned(),
            detail: detail.to_owned(),
            log: if refused { String::new() } else { log.trim_end().to_owned() },
            remedy: end.reason.remedy(),
            at: Moment::from(end.at),
            class: class(end),
        }
    }
}

fn class(end: &End) -> &'static str {
    match end.reason {
        Reason::StoppedUser => "",
        Reason::StoppedAdmin | Reason::StoppedHostRestarted => "warn",
        _ => "bad",
    }
}
