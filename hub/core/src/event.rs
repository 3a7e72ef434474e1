//! What can happen to a fleet, and what leaves it. Closed enums: a new kind of event or effect
//! does not compile until everybody has said what to do with it.

use std::sync::Arc;

use berth_common::link::{Account, Report};
use berth_common::{
    ByteCount, DecisionId, Generation, HostId, Reason, ServerId, ServerName, Timestamp,
};

use crate::decision::Decision;
use crate::fleet::{Drain, Host, Intent, Moved, Restored, Rolling, Server};
use crate::floor::FloorHost;
use crate::life::{Evidence, Use};
use crate::packing::Prices;
use crate::queue::{Life, Wait};
use crate::rules::Refusal;
use crate::settings::Settings;
use crate::usage::UsageDay;

/// Names the caller that waits for an answer; the driver keeps the way back to it.
pub type ReplyTo = u64;

/// A fact that enters the core.
#[derive(Debug, Clone)]
pub enum Event {
    /// The site's files were read anew and found good.
    SettingsChanged(Arc<Settings>),
    /// An agent sent a heartbeat over the session of this number. Later sessions have higher ones.
    Reported {
        /// Who, by certificate.
        host: HostId,
        /// Over which connection.
        session: u64,
        /// What.
        report: Box<Report>,
    },
    /// Somebody asks for a server.
    Start(Box<StartRequest>),
    /// Somebody lays down what a server will start with.
    LayDown(Box<LayDown>),
    /// Somebody wants a server to end, or a waiting one to leave the queue.
    Stop {
        /// Which.
        server: ServerId,
        /// Why, for the owner.
        reason: Reason,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// Somebody wants another memory limit for a server that runs.
    Resize {
        /// Which.
        server: ServerId,
        /// How much.
        memory: ByteCount,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// Somebody wants an ended named server to be forgotten.
    Remove {
        /// Which.
        server: ServerId,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// A sign of a server's owner.
    Activity {
        /// Which server.
        server: ServerId,
        /// Of what kind.
        kind: Evidence,
        /// When.
        at: Timestamp,
    },
    /// Everything that the proxy saw until a moment has been told.
    ActivityTold {
        /// Until when.
        until: Timestamp,
    },
    /// What a start of a server used lately.
    Measured {
        /// Which server.
        server: ServerId,
        /// Which start of it.
        generation: Generation,
        /// How much.
        used: Use,
    },
    /// The owner wants a server to be stopped later.
    Extend {
        /// Which.
        server: ServerId,
        /// By how many steps.
        steps: u32,
        /// Whether an administrator asks, who has no budget.
        beyond: bool,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// The mail about a warning, or about a question, has left.
    Mailed {
        /// Which server.
        server: ServerId,
        /// Which start of it.
        generation: Generation,
        /// When the warning was given.
        told_at: Timestamp,
    },
    /// The owner of a waiting server looks at its page.
    Watched {
        /// Which server.
        server: ServerId,
    },
    /// An administrator lets somebody who waits come first, or last.
    Move {
        /// Which.
        server: ServerId,
        /// Where to.
        to: Moved,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// An administrator wants something else with a host.
    Intend {
        /// Which.
        host: HostId,
        /// What.
        intent: Intent,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// An administrator wants hosts rebooted one after the other; `None`: no more of them.
    Roll {
        /// The plan.
        rolling: Option<Box<Rolling>>,
        /// Who waits for the answer.
        reply: Option<ReplyTo>,
    },
    /// Time has passed. Sent every second.
    Tick,
}

/// A wish for a server. The ids are candidates: used only if something new comes of it.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The id if the server is new.
    pub server: ServerId,
    /// The id of the decision to be made.
    pub decision: DecisionId,
    /// The owner's identity on the hosts.
    pub account: Account,
    /// The server's name.
    pub name: ServerName,
    /// What is wished for; what is not said comes from the last start or the profile.
    pub wish: Wish,
    /// Whether a person asks who will look at the page: their turn in the queue is held for them
    /// while they do not. What a program asked for starts by itself.
    pub watched: bool,
    /// Why the owner's account must not start anything, whatever the rules say.
    pub barred: Option<Refusal>,
    /// The client's options, a JSON object; `None` keeps those of the last start.
    pub user_options: Option<String>,
    /// Who waits for the answer.
    pub reply: Option<ReplyTo>,
}

/// What a server will start with, laid down while it does not run.
#[derive(Debug, Clone)]
pub struct LayDown {
    /// The id if the server is new.
    pub server: ServerId,
    /// The owner's identity on the hosts.
    pub account: Account,
    /// The server's name.
    pub name: ServerName,
    /// Whether the server must be new; else it must exist.
    pub new: bool,
    /// What is wished for. Whether it is allowed is looked at when the server starts.
    pub wish: Wish,
    /// The client's options, a JSON object; `None` keeps what was there, the wish too.
    pub user_options: Option<String>,
    /// Who waits for the answer.
    pub reply: Option<ReplyTo>,
}

/// The choices of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The profile, or the default one.
    pub profile: Option<String>,
    /// Memory, or the profile's default.
    pub memory: Option<ByteCount>,
    /// The image's name, or the profile's first.
    pub image: Option<String>,
    /// GPUs, or the profile's default.
    pub gpus: Option<u32>,
    /// The model of its GPUs, or any that the profile offers.
    pub gpu_model: Option<String>,
    /// Whether a wish that says nothing repeats the server's last start.
    pub as_before: bool,
    /// Whether the server is a throw-away one of a rehearsal: rights, hours and quotas are not looked
    /// at, and it never waits. Only the hub wishes so.
    pub rehearsal: bool,
}

/// The answer to a request, given only after what it says is saved.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Accepted: it starts on a host, or waits for one.
    Accepted(Arc<Decision>),
    /// It was started before and does not answer yet; nothing new was done.
    AlreadyPending(ServerId),
    /// It runs; nothing new was done.
    AlreadyRunning(ServerId),
    /// It is being stopped; ask again when that is done.
    Stopping(ServerId),
    /// Refused, and why.
    Refused(Arc<Decision>),
    /// The stop is under way; or, of a removal, it may be running still.
    StopUnderWay,
    /// The new limit is saved and its host is told; how that goes stands with the server.
    Resizing,
    /// No other limit, and why.
    ResizeRefused(Box<ResizeRefusal>),
    /// Nothing runs.
    NotRunning,
    /// What it will start with is saved.
    LaidDown,
    /// There is such a server already.
    Exists,
    /// The person has as many servers that do not run as anybody may have.
    TooMany,
    /// Forgotten.
    Removed,
    /// The stop is put off.
    Extended {
        /// When it comes now.
        stop: Timestamp,
        /// How often it can be put off still.
        left: u32,
    },
    /// It cannot be put off so far any more.
    ExtensionsUsedUp {
        /// How often it can be put off still.
        left: u32,
        /// Of how often.
        of: u32,
    },
    /// Nothing is going to stop it, so nothing can be put off.
    StopsForNothing,
    /// There is no such server.
    NoSuchServer,
    /// The host's intent is saved.
    Intended,
    /// There is no such host.
    NoSuchHost,
    /// Another rolling reboot is under way.
    AnotherPlan,
    /// It has another turn in the queue.
    Moved,
    /// It does not wait, or its place is held already.
    NotWaiting,
}

/// Why a server gets no other memory limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResizeRefusal {
    /// The reason code.
    pub reason: Reason,
    /// With the names and numbers of the case.
    pub detail: String,
    /// The amount nearest to what was asked that would work now; it was tried.
    pub nearest: Option<ByteCount>,
}

/// An act that leaves the core. Rows are saved first; everything else happens only after that.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Must be durable before any other effect of the same step leaves.
    Save(Row),
    /// This host's desired set changed: tell it.
    Tell(HostId),
    /// The set of routes changed: bring the proxy in line.
    RoutesChanged,
    /// Pages that show this server are out of date.
    Changed(ServerId),
    /// Answer a waiting caller.
    Reply(ReplyTo, Answer),
    /// Say in the log, for the administrators.
    Alarm(String),
}

/// Something to be saved.
#[derive(Debug, Clone)]
pub enum Row {
    /// A server, new or changed.
    Server(Arc<Server>),
    /// A server that is no more.
    ServerGone(ServerId),
    /// A host, new or changed.
    Host(Arc<Host>),
    /// A decision.
    Decision(Arc<Decision>),
    /// Hosts as placement sees them from this moment on: what decisions are made from.
    Floor {
        /// The floor's version.
        version: u64,
        /// The moment.
        at: Timestamp,
        /// The hosts that changed since the last such row.
        hosts: Vec<Arc<FloorHost>>,
    },
    /// The site's files, as a version that decisions name.
    Settings(Arc<Settings>),
    /// What leftovers are worth, as a version that decisions name.
    Prices(Arc<Prices>),
    /// A day of a person's use.
    Usage(UsageDay),
    /// The rolling reboot that was ordered last.
    Rolling(Option<Arc<Rolling>>),
    /// A drain, begun, changed or over.
    Drain(Box<Drain>),
    /// How far the hosts were taken in since the store was restored.
    Restored(Arc<Restored>),
    /// How long a server held its place.
    Life(Life),
    /// How a wait turned out.
    Wait(Wait),
}
