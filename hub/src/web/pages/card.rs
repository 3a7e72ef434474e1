//! One of a person's servers, as a card.

use berth_common::{ByteCount, GpuPart, Timestamp};
use berth_core::fleet::{End, ResizeState};
use berth_core::{Fleet, Phase, Server, ServerState, queue};

use crate::site::Hub;
use crate::web::pages::bar::Bar;
use crate::web::pages::details::Details;
use crate::web::pages::ending::{Ending, more_memory};
use crate::web::pages::farm::FarmPart;
use crate::web::pages::life::Life;
use crate::web::pages::target::May;
use crate::web::pages::ticket;
use crate::web::pages::words::{self, Moment, Relative};
use crate::web::say;

/// A server's card.
#[derive(Debug, Clone)]
pub struct Card {
    /// For the paths of its buttons.
    pub id: String,
    /// Whose and which, for the path of the form.
    pub path: String,
    /// What people call it.
    pub title: String,
    /// Its state as a word.
    pub state: String,
    /// The word's colour.
    pub state_class: &'static str,
    /// The profile's title.
    pub profile: String,
    /// The memory asked for.
    pub memory: ByteCount,
    /// Where it is.
    pub host: Option<String>,
    /// Since when it is in this state, as a span.
    pub since: Option<Relative>,
    /// The newest sign of its owner.
    pub activity: Relative,
    /// What it uses.
    pub used: Option<Used>,
    /// Its GPUs.
    pub gpus: Vec<Gpu>,
    /// The GPUs in words; empty without.
    pub gpu_words: String,
    /// Where it answers.
    pub open: Option<String>,
    /// Its page while it starts, waits or stops.
    pub follow: Option<String>,
    /// How long its host has been silent.
    pub silent_for: Option<String>,
    /// Its place in the queue and why.
    pub waiting: Option<Waiting>,
    /// What keeps it alive and when it will stop.
    pub life: Option<Life>,
    /// Why and when it is to leave its host.
    pub leaving: Option<String>,
    /// Its work on the compute farm.
    pub farm: Option<FarmPart>,
    /// How it ended.
    pub end: Option<Ending>,
    /// The newest of its processes that was killed for want of memory while it runs on.
    pub killed: Option<Killed>,
    /// Whether a restart would give it a newer build of its image.
    pub newer_image: bool,
    /// The spaces that it was started without.
    pub left_out: Vec<String>,
    /// How far a change of its memory is, if that is worth saying.
    pub resize: Option<Resizing>,
    /// Other amounts that its profile has, in words and as a form sends them; none unless it runs.
    pub amounts: Vec<(ByteCount, String)>,
    /// An amount that may have been enough, in words and as a form sends it.
    pub more: Option<(ByteCount, String)>,
    /// Whether it can be stopped and started again in one go.
    pub can_restart: bool,
    /// Whether it can be asked to end.
    pub can_stop: bool,
    /// Whether it can be started and forgotten.
    pub is_idle: bool,
    /// The decision about it.
    pub decision: Option<String>,
    /// Where its owner asks for help, with a ticket filled in.
    pub help: Option<String>,
    /// What is behind its fold, where it has one.
    pub details: Option<Details>,
}

/// Used memory of the limit.
#[derive(Debug, Clone)]
pub struct Used {
    /// In numbers.
    pub used: ByteCount,
    /// The limit.
    pub limit: ByteCount,
    /// The highest use of this start.
    pub peak: Option<ByteCount>,
    /// Drawn.
    pub bar: Bar,
}

/// A GPU that the server holds.
#[derive(Debug, Clone)]
pub struct Gpu {
    /// NVML's name of the model.
    pub model: String,
    /// How busy it is, in percent, if that is known.
    pub busy: Option<u32>,
    /// Its memory: used, and all of it.
    pub memory: Option<(ByteCount, ByteCount)>,
    /// How busy it is, drawn.
    pub bar: Bar,
}

/// A process that was killed for want of memory.
#[derive(Debug, Clone)]
pub struct Killed {
    /// Which, and what it had.
    pub text: String,
    /// When.
    pub at: Moment,
}

/// A change of memory.
#[derive(Debug, Clone)]
pub struct Resizing {
    /// Good news or not.
    pub good: bool,
    /// In words.
    pub text: String,
    /// What the host said of it, as it said it; empty: the words say all.
    pub detail: String,
}

/// A place in the queue.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// From 1.
    pub place: usize,
    /// Why.
    pub why: String,
    /// When it ends.
    pub remedy: String,
    /// The reason's code.
    pub code: &'static str,
    /// Its turn has come: until when a place is held for it.
    pub held: Option<Moment>,
}

impl Card {
    /// The card of a server at this moment.
    pub fn of(fleet: &Fleet, server: &Server, now: Timestamp) -> Self {
        let state = fleet.server_state(server, now);
        let placement = server.placement();
        let path = words::server_path(&server.owner, &server.name);
        let pending =
            matches!(state, ServerState::Waiting | ServerState::Starting | ServerState::Stopping);
        let reachable = state != ServerState::Unreachable;
        let end = server.last_end.as_ref().filter(|_| state == ServerState::Ended);
        Self {
            id: server.id.to_string(),
            path: path.clone(),
            title: words::server_title(&server.name),
            state: words::state(state),
            state_class: words::state_class(state),
            profile: profile_title(fleet, &server.ask.profile),
            memory: placement.map_or(server.ask.memory, |placement| placement.reservation.memory),
            host: placement.map(|placement| placement.host.to_string()),
            since: since(server, state).map(|since| lasts(state, since, now)),
            activity: Relative::new(
                server.last_activity,
                say::t("last-activity").with("ago", words::ago(server.last_activity, now).text),
            ),
            used: used(fleet, server, now),
            gpus: gpus(fleet, server),
            gpu_words: gpu_words(fleet, server),
            // Also while its host is silent: the proxy may well reach it.
            open: server.is_ready().then(|| server.prefix()),
            follow: pending.then(|| format!("/hub/spawn-pending/{path}")),
            silent_for: (!reachable).then(|| silence(fleet, server, now)).flatten(),
            waiting: waiting(fleet, server, now),
            life: Life::of(fleet, server, &path, now),
            farm: None,
            end: end.map(Ending::of),
            killed: server
                .kills
                .last()
                .filter(|_| server.is_active())
                .map(|kill| Killed { text: words::killed(kill), at: Moment::from(kill.at) }),
            leaving: fleet.leaving(server).map(|leaving| words::leaving(&leaving)),
            newer_image: state == ServerState::Running && fleet.is_outdated(server, now),
            left_out: left_out(fleet, server),
            resize: resize(server),
            amounts: amounts(fleet, server),
            more: more_memory(fleet, server),
            can_restart: state == ServerState::Running,
            can_stop: server.is_active() && state != ServerState::Stopping,
            is_idle: !server.is_active(),
            decision: server.decision.as_ref().map(ToString::to_string),
            help: None,
            details: None,
        }
    }

    /// Whether its turn has come and its place waits for its owner.
    pub fn is_held(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.held.is_some())
    }

    /// Without the buttons that its reader may not press.
    #[must_use]
    pub fn for_who_may(mut self, may: May) -> Self {
        self.open = self.open.filter(|_| may.enter);
        self.can_stop &= may.stop;
        self.can_restart &= may.stop && may.start;
        self.is_idle &= may.start;
        if !may.start {
            self.amounts.clear();
            self.more = None;
        }
        if let Some(life) = &mut self.life {
            life.extend = life.extend.take().filter(|_| may.start);
            if let Some(gpu) = &mut life.gpu {
                gpu.without = gpu.without.take().filter(|_| may.stop && may.start);
            }
        }
        self
    }

    /// With what only the hub knows: work on the farm, and where to ask for help.
    pub fn whole(hub: &Hub, fleet: &Fleet, server: &Server, now: Timestamp) -> Self {
        let (farm, help) = (FarmPart::of(hub, server), ticket::of(hub, fleet, server));
        Self { farm, help, ..Self::of(fleet, server, now) }
    }

    /// The same with its fold.
    pub fn folded(hub: &Hub, fleet: &Fleet, server: &Server, now: Timestamp) -> Self {
        let card = Self::whole(hub, fleet, server, now);
        Self { details: Details::of(fleet, server, &card), ..card }
    }
}

/// A profile's title; the name itself when the files do not have it any more.
pub fn profile_title(fleet: &Fleet, name: &str) -> String {
    fleet
        .settings
        .profiles
        .get(name)
        .map_or_else(|| name.to_owned(), |it| words::written(&fleet.settings, &it.title))
}

/// An image's title; the name itself when the files do not have it any more.
pub fn image_title(fleet: &Fleet, name: &str) -> String {
    let image = fleet.settings.images.get(name);
    image.map_or_else(|| name.to_owned(), |it| words::written(&fleet.settings, &it.title))
}

/// Used memory as the host last said, of this very start.
pub fn used(fleet: &Fleet, server: &Server, now: Timestamp) -> Option<Used> {
    let placement = server.placement()?;
    let seen = fleet.hosts.get(&placement.host)?.heard.as_ref()?.observed.get(&server.id)?;
    let limit = placement.reservation.memory;
    let ready = seen.generation == server.generation && placement.ready_at.is_some();
    ready.then(|| {
        let used = seen.memory_used;
        let peak = server.peaks.as_ref().map(|peaks| peaks.highest(now)).filter(|it| *it > used);
        let bar = Bar::used(used, limit);
        let bar = match peak {
            Some(peak) => bar.with_peak(peak, limit),
            None => bar,
        };
        Used { used, limit, peak, bar }
    })
}

/// The GPUs that it holds, as its host last saw them.
fn gpus(fleet: &Fleet, server: &Server) -> Vec<Gpu> {
    let Some(placement) = server.placement() else { return Vec::new() };
    let heard = fleet.hosts.get(&placement.host).and_then(|host| host.heard.as_ref());
    let Some(heard) = heard else { return Vec::new() };
    let gpu = |part: &GpuPart| {
        let device = heard.gpus.iter().find(|device| device.gpu == part.gpu)?;
        let seen = heard.facts.gpus.used.iter().find(|seen| seen.gpu == part.gpu);
        let busy = seen.and_then(|seen| seen.busy);
        Some(Gpu {
            model: device.model.clone(),
            busy,
            memory: seen.and_then(|seen| seen.memory_used).map(|used| (used, device.memory)),
            bar: Bar::percent(busy.unwrap_or(0)),
        })
    };
    placement.gpus.iter().filter_map(gpu).collect()
}

/// How many GPUs it holds or asked for, with their model if that is known.
fn gpu_words(fleet: &Fleet, server: &Server) -> String {
    let count = server.ask.gpus;
    if count == 0 {
        return String::new();
    }
    let words = say::t("gpus").with("count", count).to_string();
    let placed = gpus(fleet, server).into_iter().next().map(|gpu| gpu.model);
    match placed.or_else(|| server.ask.gpu_model.clone()) {
        Some(model) => format!("{words}, {model}"),
        None => words,
    }
}

/// The optional spaces that its host did not have when it started.
fn left_out(fleet: &Fleet, server: &Server) -> Vec<String> {
    let seen = server.placement().and_then(|placement| {
        fleet.hosts.get(&placement.host)?.heard.as_ref()?.observed.get(&server.id)
    });
    let seen = seen.filter(|seen| seen.generation == server.generation);
    seen.map(|seen| seen.left_out.clone()).unwrap_or_default()
}

/// A change of memory that is under way, or was refused.
fn resize(server: &Server) -> Option<Resizing> {
    let placement = server.placement()?;
    let resize = placement.resize.as_ref()?;
    let plain = |good, text| Some(Resizing { good, text, detail: String::new() });
    let memory = resize.limit.memory;
    match (&resize.state, placement.loan().filter(|_| placement.is_lent())) {
        (ResizeState::UnderWay | ResizeState::Done, Some(loan)) => plain(false, words::lent(loan)),
        (ResizeState::UnderWay, _) => {
            plain(true, say::t("resize-under-way").with("memory", memory).to_string())
        }
        (ResizeState::Done, _) => None,
        (ResizeState::Refused { end }, _) => {
            let said = say::t("resize-refused").with("memory", memory);
            let (why, detail) = words::told(end.reason, &end.detail);
            let text = format!("{said} {why} {}", say::remedy(end.reason));
            Some(Resizing { good: false, text: text.trim_end().to_owned(), detail })
        }
    }
}

/// The amounts that a running server can be given instead of its present one.
fn amounts(fleet: &Fleet, server: &Server) -> Vec<(ByteCount, String)> {
    let placement = server.placement().filter(|_| server.is_ready());
    let profile = fleet.settings.profiles.get(&server.ask.profile);
    let (Some(placement), Some(profile)) = (placement, profile) else { return Vec::new() };
    let other = profile.memory_choices.iter().filter(|choice| **choice != placement.own_limit());
    other.map(|choice| (*choice, words::form_amount(*choice))).collect()
}

/// The place of a waiting server among those that wait for the same pool.
pub fn waiting(fleet: &Fleet, server: &Server, now: Timestamp) -> Option<Waiting> {
    let Phase::Waiting { reason, place: held, .. } = &server.phase else { return None };
    let place = usize::try_from(queue::place_of(fleet, server, now).unwrap_or(1)).unwrap_or(1);
    Some(Waiting {
        place,
        why: say::reason(*reason),
        remedy: say::remedy(*reason),
        code: reason.code(),
        held: held.as_ref().map(|held| Moment::from(held.until)),
    })
}

/// How long the host of a server has been silent.
pub fn silence(fleet: &Fleet, server: &Server, now: Timestamp) -> Option<String> {
    let heard = fleet.hosts.get(&server.placement()?.host)?.heard.as_ref()?;
    Some(words::span(heard.at, now))
}

/// For how long a server has been in its state.
fn lasts(state: ServerState, since: Timestamp, now: Timestamp) -> Relative {
    let span = words::span(since, now);
    let said = match state {
        ServerState::Ended => say::t("ended-since").with("span", span),
        _ => say::t("state-since").with("state", words::state(state)).with("span", span),
    };
    Relative::new(since, said)
}

fn since(server: &Server, state: ServerState) -> Option<Timestamp> {
    let placement = server.placement();
    match state {
        ServerState::Waiting => server.waiting_since(),
        ServerState::Starting => placement.map(|placement| placement.placed_at),
        ServerState::Running | ServerState::Unreachable => {
            placement.map(|placement| placement.ready_at.unwrap_or(placement.placed_at))
        }
        ServerState::Stopping => placement.and_then(|p| p.stop.as_ref()).map(|stop| stop.end.at),
        ServerState::Ended => server.last_end.as_ref().map(|end: &End| end.at),
    }
}
