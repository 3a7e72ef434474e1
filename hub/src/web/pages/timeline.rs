//! What happened to a server, with the moment of each.

use berth_common::Timestamp;
use berth_common::link::StartStep;
use berth_core::Server;
use berth_core::fleet::PastStart;

use crate::web::pages::words::{self, Moment};
use crate::web::say::{self, Said};

/// Something that happened to it.
#[derive(Debug, Clone)]
pub struct Happened {
    /// For its address; empty: it has none.
    pub id: String,
    /// What, in words.
    pub what: String,
    /// When.
    pub at: Moment,
}

/// The newest start from the request to the end, as far as it came. Start and end have addresses by
/// the start's number.
pub fn whole(server: &Server) -> Vec<Happened> {
    let start = newest_start(server);
    let asked = Some(server.created).filter(|at| begun(server).is_none_or(|begun| *at <= begun));
    let mut all = Moments::default();
    all.add(asked, String::new(), say::t("timeline-asked"));
    let number = server.generation.0;
    if let Some(start) = start {
        all.placed(&start, format!("start-{number}"));
        start.steps.iter().for_each(|done| all.step(&start, done.step, done.at));
        all.add(start.ready_at, String::new(), say::t("timeline-answers"));
    }
    all.kills(server);
    // While there is a newer start, the end is that of the one before.
    let ended = number.saturating_sub(u64::from(server.placement().is_some()));
    let end = server.last_end.as_ref().map(|end| end.at);
    all.add(end, format!("end-{ended}"), say::t("timeline-ended"));
    all.sorted()
}

/// The start that goes on, in short: asked for, placed, started, it answers.
pub fn brief(server: &Server) -> Vec<Happened> {
    // What waited and has its place now keeps no record of when it was asked for, but the first
    // start's request made the server.
    let first = Some(server.created).filter(|_| server.generation.0 == 1);
    let mut all = Moments::default();
    let none = String::new;
    all.add(server.waiting_since().or(first), none(), say::t("timeline-asked"));
    if let Some(placement) = server.placement() {
        let start = PastStart::of(server.generation, placement);
        all.placed(&start, none());
        let started = start.steps.iter().filter(|done| done.step == StartStep::Started);
        started.for_each(|done| all.step(&start, done.step, done.at));
        all.add(start.ready_at, none(), say::t("timeline-answers"));
    }
    all.kills(server);
    all.sorted()
}

/// The start that goes on, or that was over last while no other is asked for.
fn newest_start(server: &Server) -> Option<PastStart> {
    match server.placement() {
        Some(placement) => Some(PastStart::of(server.generation, placement)),
        None => {
            let last = server.last_start.as_deref().filter(|_| !server.is_active());
            last.filter(|start| start.generation == server.generation).cloned()
        }
    }
}

/// When the newest start was placed, or began to wait.
fn begun(server: &Server) -> Option<Timestamp> {
    newest_start(server).map(|start| start.placed_at).or(server.waiting_since())
}

/// What is told, not yet in its order.
#[derive(Default)]
struct Moments(Vec<(Timestamp, String, Said)>);

impl Moments {
    fn add(&mut self, at: Option<Timestamp>, id: String, what: Said) {
        self.0.extend(at.map(|at| (at, id, what)));
    }

    fn placed(&mut self, start: &PastStart, id: String) {
        let placed = say::t("timeline-placed").with("host", start.host.as_str());
        self.add(Some(start.placed_at), id, placed);
    }

    /// A milestone. The last one, the answer, has a line of its own.
    fn step(&mut self, start: &PastStart, step: StartStep, at: Timestamp) {
        if step == StartStep::Answers {
            return;
        }
        let tenths = at.millis_since(start.placed_at) / 100;
        let later = say::t("timeline-step").with("step", words::step_name(step));
        let later = later.with("seconds", format!("{}.{}", tenths / 10, tenths % 10));
        // The host's clock may be a little ahead: the last thing that happens is the answer.
        let at = start.ready_at.map_or(at, |ready| at.min(ready));
        self.add(Some(at), String::new(), later);
    }

    fn kills(&mut self, server: &Server) {
        let begun = begun(server);
        for kill in server.kills.iter().filter(|kill| begun.is_none_or(|begun| begun <= kill.at)) {
            self.add(Some(kill.at), String::new(), say::t("timeline-killed"));
        }
    }

    fn sorted(mut self) -> Vec<Happened> {
        self.0.sort_by_key(|(at, ..)| *at);
        let happened = |(at, id, what): (Timestamp, String, Said)| Happened {
            id,
            what: what.to_string(),
            at: Moment::from(at),
        };
        self.0.into_iter().map(happened).collect()
    }
}
