//! Marks: rare paths that a run must have taken, so that nobody believes in what never happened.

use berth_common::Reason;
use berth_core::Outcome;
use berth_core::event::Row;
use berth_core::fleet::StopOrder;

/// What an alarm was about.
pub fn mark_of_alarm(text: &str) -> &'static str {
    if text.contains("adopted") {
        "a container was adopted"
    } else if text.starts_with("memory lent") {
        "memory was lent"
    } else if text.starts_with("every host has told") {
        "all hosts were taken in after a restore"
    } else {
        "two agents spoke for one host"
    }
}

/// Why an order to end a server was given, if no person asked: for the marks.
pub fn mark_of(row: &Row) -> Option<&'static str> {
    match row {
        Row::Decision(decision) => match decision.outcome {
            Outcome::Placed { reason: Reason::PlacedFromQueue, .. } => {
                Some("a server waited and was then placed")
            }
            Outcome::Refused { .. } => Some("a request was refused"),
            _ => None,
        },
        Row::Server(server) => {
            if let Some(StopOrder { end, .. }) = server.placement().and_then(|p| p.stop.as_ref()) {
                return end
                    .detail
                    .contains("vanished")
                    .then_some("a container that was to be kept vanished");
            }
            let reason = server.last_end.as_ref().map(|end| end.reason);
            (!server.is_active() && reason == Some(Reason::StoppedHostRestarted))
                .then_some("a reboot released a server")
        }
        Row::Restored(_) => Some("a host was taken in after a restore"),
        Row::ServerGone(_) => Some("a server was removed"),
        Row::Host(_)
        | Row::Floor { .. }
        | Row::Settings(_)
        | Row::Usage(_)
        | Row::Prices(_)
        | Row::Life(_)
        | Row::Wait(_)
        | Row::Drain(_)
        | Row::Rolling(_) => None,
    }
}
