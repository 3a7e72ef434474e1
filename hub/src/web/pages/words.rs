//! Numbers, moments and states as people read them: the one place for words that are not in a
//! template.

use berth_common::link::StartStep;
use berth_common::{ByteCount, Reason, Seconds, ServerName, Timestamp};
use berth_core::fleet::Closed;
use berth_core::{HostState, ServerState};

/// A moment for a `<time>` element: exact for machines, UTC for people. The browser's script puts
/// local time in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// ISO 8601.
    pub iso: String,
    /// To the minute, in UTC.
    pub text: String,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        let iso = at.to_string();
        let text = match (iso.get(..10), iso.get(11..16)) {
            (Some(day), Some(time)) => format!("{day} {time} UTC"),
            _ => iso.clone(),
        };
        Self { iso, text }
    }
}

/// A span in words that change at most once a minute: pages that follow it stay quiet.
pub fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.millis_since(from) / 1000;
    let minutes = seconds - seconds % 60;
    if minutes == 0 {
        return "less than a minute".to_owned();
    }
    let short = Seconds(minutes).to_string();
    short.replace('d', " d").replace('h', " h").replace('m', " min")
}

/// How long ago something was.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    if now.millis_since(at) < 60_000 {
        "just now".to_owned()
    } else {
        format!("{} ago", span(at, now))
    }
}

/// Seconds with one decimal, for the steps of a start.
pub fn seconds(from: Timestamp, to: Timestamp) -> String {
    let tenths = to.millis_since(from) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// An amount of memory as a form sends it: exact, and read by `ByteCount`.
pub fn form_amount(amount: ByteCount) -> String {
    let unit = [(1_u64 << 30, "G"), (1 << 20, "M")];
    match unit.iter().find(|(size, _)| amount.0.is_multiple_of(*size) && amount.0 > 0) {
        Some((size, name)) => format!("{}{name}", amount.0 / size),
        None => format!("{}B", amount.0),
    }
}

/// What people call a server.
pub fn server_title(name: &ServerName) -> &str {
    if name.is_default() { "My server" } else { name.as_str() }
}

/// The last part of a server's path on pages about it: `alice` or `alice/n1`.
pub fn server_path(owner: &berth_common::Username, name: &ServerName) -> String {
    if name.is_default() { owner.to_string() } else { format!("{owner}/{name}") }
}

/// The colour of a server's state.
pub fn state_class(state: ServerState) -> &'static str {
    match state {
        ServerState::Running => "is-good",
        ServerState::Starting | ServerState::Stopping => "is-busy",
        ServerState::Waiting | ServerState::Unreachable => "is-warn",
        ServerState::Ended => "",
    }
}

/// The colour of a host's state.
pub fn host_class(state: HostState) -> &'static str {
    match state {
        HostState::Ready => "is-good",
        HostState::Joining => "is-busy",
        HostState::Lost | HostState::EngineDown => "is-bad",
        HostState::Undeclared
        | HostState::Doubled
        | HostState::Cordoned
        | HostState::Draining
        | HostState::Drained => "is-warn",
    }
}

/// What a start's milestone is called.
pub fn step_name(step: StartStep) -> &'static str {
    match step {
        StartStep::Fetch => "Image fetched",
        StartStep::Image => "Image present",
        StartStep::Spaces => "Your spaces checked",
        StartStep::Container => "Container made",
        StartStep::Started => "Container started",
        StartStep::Answers => "JupyterLab answers",
    }
}

/// What a start does until a milestone is reached.
pub fn step_doing(step: StartStep) -> &'static str {
    match step {
        StartStep::Fetch => "Fetching the image, which takes minutes",
        StartStep::Image => "Looking for the image",
        StartStep::Spaces => "Checking your spaces",
        StartStep::Container => "Making the container",
        StartStep::Started => "Starting the container",
        StartStep::Answers => "Waiting for JupyterLab to answer",
    }
}

/// The milestone that a failure kept from being reached. Agents take them in order, so all
/// earlier ones were.
pub fn failed_step(reason: Reason) -> StartStep {
    match reason {
        Reason::FailedImage | Reason::FailedAccount | Reason::FailedPolicy => StartStep::Image,
        Reason::FailedMount => StartStep::Spaces,
        Reason::FailedContainer => StartStep::Container,
        _ => StartStep::Answers,
    }
}

/// One server or several, with the number.
pub fn servers(count: usize) -> String {
    if count == 1 { "1 server".to_owned() } else { format!("{count} servers") }
}

/// When a host that the calendar keeps shut opens, and for what.
pub fn opens(closed: &Closed) -> String {
    match &closed.opens {
        Some((at, training)) => format!("opens {at} ({training})"),
        None => "no training is planned".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_calm_and_never_negative() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert_eq!(span(at(0), at(59)), "less than a minute");
        assert_eq!(span(at(0), at(7_265)), "2 h 1 min");
        assert_eq!(ago(at(0), at(-5)), "just now");
        assert_eq!(ago(at(0), at(180)), "3 min ago");
        assert_eq!(seconds(at(10), at(3)), "0.0 s");
        assert_eq!(seconds(Timestamp(0), Timestamp(1_260_000)), "1.2 s");
    }

    #[test]
    fn amounts_survive_a_form() {
        for bytes in [8_u64 << 30, 3 << 29, 512 << 20, 1_000_000_007] {
            let amount = ByteCount(bytes);
            assert_eq!(form_amount(amount).parse(), Ok(amount));
        }
        assert_eq!(form_amount(ByteCount(8 << 30)), "8G");
    }

    #[test]
    fn moments_are_read_to_the_minute() {
        let moment = Moment::from("2026-11-22T15:27:58.579722Z".parse::<Timestamp>().unwrap());
        assert_eq!(moment.text, "2026-11-22 15:27 UTC");
    }
}
