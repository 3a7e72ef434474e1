//! Numbers, moments and states as people read them, in the reader's language.

use std::fmt;

use askama::filters::{Escaper, Html, HtmlSafe};
use berth_common::link::{Kernels, Kill, StartStep, Terminals, Victim};
use berth_common::{ByteCount, Reason, Seconds, ServerName, Timestamp};
use berth_core::decision::Nearest;
use berth_core::fleet::{Closed, Leaving, Loan, Mismatch};
use berth_core::life::Evidence;
use berth_core::{Decision, HostState, Outcome, ServerState, Settings};

use crate::web::reader::{Language, Reader};
use crate::web::say;

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
        Self { iso: at.to_string(), text: at.to_minute() }
    }
}

/// A sentence as HTML, with each moment in it a `<time>` element. Sentences, also recorded ones, have
/// moments in one form: [`Timestamp::to_minute`].
pub fn timed(sentence: impl AsRef<str>) -> String {
    const FORM: &str = "0000-00-00 00:00 UTC";
    let is_moment = |text: &str| {
        let mut pairs = text.bytes().zip(FORM.bytes());
        pairs.all(|(c, form)| c == form || (form == b'0' && c.is_ascii_digit()))
    };
    let mut rest = sentence.as_ref();
    let mut html = String::new();
    // Writing into memory cannot fail.
    let plain = |html: &mut String, text: &str| {
        let _ = Html.write_escaped_str(html, text);
    };
    while let Some(place) = rest.find(" UTC") {
        let (before, after) = rest.split_at(place.saturating_add(" UTC".len()));
        let begin = before.len().checked_sub(FORM.len());
        match begin.and_then(|begin| before.split_at_checked(begin)) {
            Some((before, moment)) if is_moment(moment) => {
                let iso = format!("{}T{}Z", &moment[..10], &moment[11..16]);
                plain(&mut html, before);
                html.push_str(&format!("<time datetime=\"{iso}\">{moment}</time>"));
            }
            _ => plain(&mut html, before),
        }
        rest = after;
    }
    plain(&mut html, rest);
    html
}

/// A span in words that change at most once a minute: pages that follow it stay quiet.
pub fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.millis_since(from) / 1000;
    let minutes = seconds - seconds % 60;
    if minutes == 0 {
        return say::t("less-than-a-minute").to_string();
    }
    long(Seconds(minutes))
}

/// A length of time, e.g. `1 d 2 h`.
pub fn long(length: Seconds) -> String {
    let day = match Reader::now().language {
        Language::English => " d",
        Language::French => " j",
    };
    length.to_string().replace('d', day).replace('h', " h").replace('m', " min").replace('s', " s")
}

/// A moment in words that depend on now, as `3 min ago`: HTML that has the moment itself on hover, in
/// UTC, until the browser's script puts local time in its place. The default is shown as nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relative {
    at: Option<Timestamp>,
    /// The words alone.
    pub text: String,
}

impl Relative {
    /// A moment in words that tell of it. To the minute: a page that follows it stays quiet.
    pub fn new(at: Timestamp, text: impl ToString) -> Self {
        let minute = at.0 - at.0.rem_euclid(60_000_000);
        Self { at: Some(Timestamp(minute)), text: text.to_string() }
    }
}

impl fmt::Display for Relative {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = self.at.map(Moment::from) else { return Ok(()) };
        write!(out, "<time class=\"ago\" datetime=\"{}\" title=\"{}\">", at.iso, at.text)?;
        Html.write_escaped_str(&mut *out, &self.text)?;
        out.write_str("</time>")
    }
}

impl HtmlSafe for Relative {}

/// How long ago something was.
pub fn ago(at: Timestamp, now: Timestamp) -> Relative {
    let text = if now.millis_since(at) < 60_000 {
        say::t("just-now").to_string()
    } else {
        say::t("ago").with("span", span(at, now)).to_string()
    };
    Relative::new(at, text)
}

/// For how long something has been so.
pub fn since(at: Timestamp, now: Timestamp) -> Relative {
    Relative::new(at, span(at, now))
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
pub fn server_title(name: &ServerName) -> String {
    if name.is_default() { say::t("my-server").to_string() } else { name.to_string() }
}

/// A server's state as a word.
pub fn state(state: ServerState) -> String {
    let said = match state {
        ServerState::Waiting => say::t("state-waiting"),
        ServerState::Starting => say::t("state-starting"),
        ServerState::Running => say::t("state-running"),
        ServerState::Unreachable => say::t("state-unreachable"),
        ServerState::Stopping => say::t("state-stopping"),
        ServerState::Ended => say::t("state-ended"),
    };
    said.to_string()
}

/// What a sign of activity is called.
pub fn sign(kind: Evidence) -> String {
    let said = match kind {
        Evidence::Notebook => say::t("sign-notebook"),
        Evidence::Browser => say::t("sign-browser"),
        Evidence::Kernel => say::t("sign-kernel"),
        Evidence::Terminal => say::t("sign-terminal"),
        Evidence::Cpu => say::t("sign-cpu"),
        Evidence::Gpu => say::t("sign-gpu"),
        Evidence::Network => say::t("sign-network"),
        Evidence::Cluster => say::t("sign-cluster"),
    };
    said.to_string()
}

/// A reason with what was recorded of the case, which is English: alone where it says all, else
/// beside the reason in the reader's language.
pub fn told(reason: Reason, detail: &str) -> (String, String) {
    if detail.is_empty() {
        (say::reason(reason), String::new())
    } else if Reader::now().language == Language::English {
        (detail.to_owned(), String::new())
    } else {
        (say::reason(reason), detail.to_owned())
    }
}

/// The last part of a server's path on pages about it: `alice` or `alice/n1`.
pub fn server_path(owner: &berth_common::Username, name: &ServerName) -> String {
    if name.is_default() { owner.to_string() } else { format!("{owner}/{name}") }
}

/// A text of the site's files, in the reader's language where they have it in that.
pub fn written(settings: &Settings, text: &str) -> String {
    let french = match Reader::now().language {
        Language::English => None,
        Language::French => settings.french.get(text),
    };
    french.map_or_else(|| text.to_owned(), Clone::clone)
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

/// A host's state as a word.
pub fn host_state(state: HostState) -> String {
    let said = match state {
        HostState::Ready => say::t("host-ready"),
        HostState::Joining | HostState::Mismatch => say::t("host-joining"),
        HostState::Lost => say::t("host-lost"),
        HostState::EngineDown => say::t("host-engine-down"),
        HostState::Undeclared => say::t("host-undeclared"),
        HostState::Doubled => say::t("host-doubled"),
        HostState::Cordoned => say::t("host-cordoned"),
        HostState::Draining => say::t("host-draining"),
        HostState::Drained => say::t("host-drained"),
    };
    said.to_string()
}

/// What a host has less of than is declared, with both numbers.
pub fn mismatch(it: &Mismatch) -> String {
    let said = match it {
        Mismatch::Memory { declared, reported } => {
            say::t("host-mismatch-memory").with("declared", declared).with("reported", reported)
        }
        Mismatch::Gpus { model, declared, reported } => say::t("host-mismatch-gpus")
            .with("model", model)
            .with("declared", declared)
            .with("reported", reported),
    };
    said.to_string()
}

/// Why and when a server is to leave its host, for its owner.
pub fn leaving(leaving: &Leaving<'_>) -> String {
    let said = match (leaving.by, leaving.stops_at()) {
        (_, Some(stop)) => say::t("leaving-stopped").with("by", Moment::from(stop).text),
        (Some(by), None) => say::t("leaving-kept").with("by", Moment::from(by).text),
        (None, None) => say::t("leaving-some-day"),
    };
    let reason = leaving.why().trim_end_matches('.');
    said.with("host", leaving.host.as_str()).with("reason", reason).to_string()
}

/// What goes on in a server's kernels and terminals, as far as its host tells.
pub fn work(kernels: Option<Kernels>, terminals: Option<Terminals>) -> Vec<String> {
    // To the minute: the page stays quiet.
    let quiet = |milliseconds: u64| {
        let micros = i64::try_from(milliseconds.saturating_mul(1000)).unwrap_or(i64::MAX);
        span(Timestamp(0), Timestamp(micros))
    };
    let kernels = kernels.map(|kernels| match kernels.quiet_ms {
        None => say::t("work-no-kernels"),
        Some(silent) => {
            say::t("work-kernels").with("busy", kernels.busy).with("quiet", quiet(silent))
        }
    });
    let terminals = terminals.filter(|terminals| terminals.open > 0).map(|terminals| {
        say::t("work-terminals").with("open", terminals.open).with("working", terminals.working)
    });
    kernels.into_iter().chain(terminals).map(|said| said.to_string()).collect()
}

/// The colour of a host's state.
pub fn host_class(state: HostState) -> &'static str {
    match state {
        HostState::Ready => "is-good",
        HostState::Joining => "is-busy",
        HostState::Lost | HostState::EngineDown => "is-bad",
        HostState::Mismatch
        | HostState::Undeclared
        | HostState::Doubled
        | HostState::Cordoned
        | HostState::Draining
        | HostState::Drained => "is-warn",
    }
}

/// What a start's milestone is called.
pub fn step_name(step: StartStep) -> String {
    let said = match step {
        StartStep::Fetch => say::t("step-fetch"),
        StartStep::Image => say::t("step-image"),
        StartStep::Spaces => say::t("step-spaces"),
        StartStep::Container => say::t("step-container"),
        StartStep::Started => say::t("step-started"),
        StartStep::Answers => say::t("step-answers"),
    };
    said.to_string()
}

/// What a start does until a milestone is reached.
pub fn step_doing(step: StartStep) -> String {
    let said = match step {
        StartStep::Fetch => say::t("doing-fetch"),
        StartStep::Image => say::t("doing-image"),
        StartStep::Spaces => say::t("doing-spaces"),
        StartStep::Container => say::t("doing-container"),
        StartStep::Started => say::t("doing-started"),
        StartStep::Answers => say::t("doing-answers"),
    };
    said.to_string()
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

/// What came of a request, in one sentence, and the numbers of the case where it has none: records
/// are English.
pub fn outcome(decision: &Decision) -> (String, String) {
    if Reader::now().language == Language::English {
        return (decision.sentence(), String::new());
    }
    let (mut text, detail) = match &decision.outcome {
        Outcome::Placed { host, .. } => {
            (say::t("placed-on").with("host", host.as_str()).to_string(), String::new())
        }
        Outcome::Waits { reason, ahead, .. } => {
            let said = say::t("waits-in-place").with("place", ahead.saturating_add(1));
            (said.with("why", say::reason(*reason)).to_string(), String::new())
        }
        Outcome::Refused { reason, detail } => told(*reason, detail),
    };
    if let Some(first) = decision.nearest.first() {
        text = format!("{text} {}", nearest(first));
    }
    (text, detail)
}

/// Something with which a request would start.
pub fn nearest(way: &Nearest) -> String {
    let said = match way {
        Nearest::Memory(memory) => say::t("nearest-memory").with("memory", memory),
        Nearest::Gpus(gpus) => say::t("nearest-gpus").with("count", gpus),
        Nearest::Profile(profile) => say::t("nearest-profile").with("profile", profile),
        Nearest::Stop(_) => say::t("nearest-stop"),
        Nearest::From(at) => say::t("nearest-from").with("moment", Moment::from(*at).text),
        Nearest::HostBack { host, reason } => {
            say::t("nearest-host").with("host", host.as_str()).with("reason", reason.code())
        }
    };
    said.to_string()
}

/// The span within which half of such waits end, if enough is known to say so.
pub fn between(decision: &Decision) -> Option<(String, String)> {
    let Outcome::Waits { estimate: Some(estimate), .. } = &decision.outcome else { return None };
    let rounded = |it: Seconds| {
        let minutes = it.0 - it.0 % 60;
        if minutes == 0 { say::t("less-than-a-minute").to_string() } else { long(Seconds(minutes)) }
    };
    Some((rounded(estimate.from), rounded(estimate.to)))
}

/// One server or several, with the number.
pub fn servers(count: usize) -> String {
    say::t("servers").with("count", count).to_string()
}

/// When a host that the calendar keeps shut opens, and for what.
pub fn opens(closed: &Closed) -> String {
    let said = match &closed.opens {
        Some((at, training)) => {
            say::t("host-opens").with("at", Moment::from(*at).text).with("training", training)
        }
        None => say::t("host-opens-never"),
    };
    said.to_string()
}

/// A process that was killed for want of memory: which, and what the server had.
pub fn killed(kill: &Kill) -> String {
    let who = match &kill.victim {
        None => say::t("killed-process").to_string(),
        Some(Victim { name, notebook, kernel, .. }) => match (notebook.as_str(), kernel.as_str()) {
            ("", "") => name.clone(),
            ("", kernel) => {
                say::t("killed-kernel").with("name", name).with("kernel", kernel).to_string()
            }
            (notebook, _) => {
                let said = say::t("killed-notebook").with("name", name);
                said.with("notebook", notebook).to_string()
            }
        },
    };
    // A limit is reached between two looks: what was seen last may be far below it.
    let said = if kill.by_host { say::t("killed-by-host") } else { say::t("killed-by-limit") };
    said.with("who", who).with("highest", kill.highest).with("limit", kill.limit).to_string()
}

/// Memory that a server was lent.
pub fn lent(loan: &Loan) -> String {
    let said = say::t("memory-lent").with("own", loan.own).with("lent", loan.lent);
    said.with("time", loan.until.to_minute()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_calm_and_never_negative() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert_eq!(span(at(0), at(59)), "less than a minute");
        assert_eq!(span(at(0), at(7_265)), "2 h 1 min");
        assert_eq!(ago(at(0), at(-5)).text, "just now");
        assert_eq!(ago(at(0), at(180)).text, "3 min ago");
        assert_eq!(
            ago(at(0), at(180)).to_string(),
            "<time class=\"ago\" datetime=\"1970-01-01T00:00:00.000000Z\" title=\"1970-01-01 00:00 UTC\">3 min ago</time>"
        );
        assert_eq!(Relative::default().to_string(), "");
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
    fn moments_in_sentences_are_elements_and_the_rest_is_text() {
        let time = "<time datetime=\"2026-11-22T15:27Z\">2026-11-22 15:27 UTC</time>";
        for (sentence, html) in [
            ("It ends at 2026-11-22 15:27 UTC.", format!("It ends at {time}.")),
            ("2026-11-22 15:27 UTC to 2026-11-22 15:27 UTC", format!("{time} to {time}")),
            ("<b>é 2026-11-22 15:27 UTC", format!("&#60;b&#62;é {time}")),
            ("<b>\" UTC", "&#60;b&#62;&#34; UTC".into()),
            ("2026-11-<2 15:27 UTC", "2026-11-&#60;2 15:27 UTC".into()),
            ("ééééééééééé UTC UTC", "ééééééééééé UTC UTC".into()),
            ("15:27 UTC & on", "15:27 UTC &#38; on".into()),
        ] {
            assert_eq!(timed(sentence), html, "{sentence}");
        }
    }

    #[test]
    fn moments_are_read_to_the_minute() {
        let moment = Moment::from("2026-11-22T15:27:58.579722Z".parse::<Timestamp>().unwrap());
        assert_eq!(moment.text, "2026-11-22 15:27 UTC");
    }
}
