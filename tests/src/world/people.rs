//! People: they start, click twice, stop, change their minds, and forget what they do not need.

use berth_common::link::Account;
use berth_common::{ByteCount, DecisionId, Reason, ServerId, ServerName, Username};
use berth_core::event::Wish as Choices;
use berth_core::{Answer, Event, Fleet, StartRequest};

use crate::world::accounts;
use crate::world::hub::Hub;
use crate::world::nature::{Happening, Nature};

const GB: u64 = 1 << 30;

/// One person.
#[derive(Debug)]
pub struct Person {
    /// The account.
    pub name: Username,
    index: usize,
}

/// What a person wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A server with so much memory in GB.
    Start { memory_gb: u64, other_image: bool, named: bool },
    /// The default server, with so much memory in GB and a GPU.
    StartWithGpu { memory_gb: u64 },
    /// The default server, with so much memory in GB and in the training.
    StartInCourse { memory_gb: u64 },
    /// Its end.
    Stop { named: bool },
    /// Another memory limit for it while it runs, in GB.
    Resize { memory_gb: u64, named: bool },
    /// To forget it.
    Remove { named: bool },
    /// That it stops later.
    Extend { named: bool },
}

/// Who waits for an answer, and to what.
#[derive(Debug, Clone)]
pub struct Caller {
    name: Username,
    wish: Wish,
    server: Option<ServerId>,
}

impl Person {
    /// A person of this number.
    pub fn new(index: usize, name: Username) -> Self {
        Self { name, index }
    }

    /// Has thought, and does something.
    pub fn acts(&self, nature: &mut Nature, hub: &mut Hub) {
        let named = nature.chance.permille(250);
        let start = Wish::Start {
            memory_gb: 1 << nature.chance.between(0..=4),
            other_image: nature.chance.permille(300),
            named,
        };
        let (stop, remove) = (Wish::Stop { named }, Wish::Remove { named });
        let resize = Wish::Resize { memory_gb: 1 << nature.chance.between(0..=4), named };
        let again = Wish::Resize { memory_gb: 1 << nature.chance.between(0..=4), named };
        let wishes: &[Wish] = match nature.chance.between(0..=99) {
            0..28 => &[start],
            28..36 => &[resize],
            36..38 => &[resize, again],
            38..40 => &[resize, stop],
            40..55 => &[start, start],
            55..75 => &[stop],
            75..82 => &[start, stop],
            82..88 => &[stop, start],
            88..92 => &[stop, stop],
            92..97 => &[remove],
            _ => &[start, stop, start],
        };
        self.wishes(nature, hub, wishes[0]);
        let mut wait = 0;
        for wish in &wishes[1..] {
            // Sometimes a double click, sometimes a change of mind within seconds.
            wait += if nature.chance.permille(500) {
                nature.chance.between(1..=300)
            } else {
                nature.chance.between(300..=6_000)
            };
            let happening = Happening::PersonWishes { person: self.index, wish: *wish };
            nature.schedule.after_ms(wait, happening);
        }
    }

    /// The person's servers, as the hub shows them.
    pub fn servers(&self, hub: &Hub) -> Vec<ServerId> {
        let servers = hub.fleet().map(|fleet| {
            fleet.servers_of(&self.name).map(|server| server.id.clone()).collect::<Vec<_>>()
        });
        servers.unwrap_or_default()
    }

    /// Asks the hub for something; without a hub there is only an error page.
    pub fn wishes(&self, nature: &mut Nature, hub: &mut Hub, wish: Wish) {
        let name = name_of(wish);
        if hub.fleet().is_none() {
            return;
        }
        let found = hub.find(&self.name, &name).map(|s| (s.id.clone(), s.generation));
        nature.say(|| format!("{} wishes: {}", self.name, words(wish)));
        let mut caller =
            Caller { name: self.name.clone(), wish, server: found.as_ref().map(|f| f.0.clone()) };
        let event = match wish {
            Wish::Start { memory_gb, .. }
            | Wish::StartWithGpu { memory_gb }
            | Wish::StartInCourse { memory_gb } => {
                let other_image = matches!(wish, Wish::Start { other_image: true, .. });
                let profile = match wish {
                    Wish::StartWithGpu { .. } => Some("gpu".to_owned()),
                    Wish::StartInCourse { .. } => Some("course".to_owned()),
                    _ => None,
                };
                let image = if other_image { "other" } else { "base" };
                caller.server = None;
                Event::Start(Box::new(StartRequest {
                    server: ServerId::from_random(nature.chance.bits()),
                    decision: DecisionId::from_random(nature.chance.bits()),
                    account: account(self, nature.has_strange_people),
                    name,
                    wish: Choices {
                        profile,
                        memory: Some(ByteCount(memory_gb * GB)),
                        image: Some(image.into()),
                        ..Choices::default()
                    },
                    watched: false,
                    barred: None,
                    user_options: None,
                    reply: None,
                }))
            }
            Wish::Stop { .. } => {
                let Some((server, generation)) = found else { return };
                let now = nature.schedule.now();
                nature.history.asked_to_stop(&server, generation, now);
                Event::Stop { server, reason: Reason::StoppedUser, reply: None }
            }
            Wish::Resize { memory_gb, .. } => {
                let Some((server, _)) = found else { return };
                Event::Resize { server, memory: ByteCount(memory_gb * GB), reply: None }
            }
            Wish::Remove { .. } => {
                let Some((server, _)) = found else { return };
                nature.history.asked_to_remove(&server);
                Event::Remove { server, reply: None }
            }
            Wish::Extend { .. } => {
                let Some((server, _)) = found else { return };
                Event::Extend { server, steps: 1, beyond: false, reply: None }
            }
        };
        hub.send(nature, event, Some(caller));
    }
}

/// The wait until a person acts, who sleeps from 19 to 7 o'clock where the plan has nights.
pub fn awake_ms(nature: &Nature, wait_ms: u64) -> u64 {
    const HOUR_MS: u64 = 3_600_000;
    let now_ms = nature.schedule.now().as_millis().unsigned_abs();
    let hour = (now_ms + wait_ms) / HOUR_MS % 24;
    if nature.plan.has_nights && !(7..19).contains(&hour) {
        wait_ms + 12 * HOUR_MS
    } else {
        wait_ms
    }
}

impl Caller {
    /// Hears the hub's answer: from now on it is a promise.
    pub fn hears(self, nature: &mut Nature, answer: &Answer, fleet: &Fleet) {
        let now = nature.schedule.now();
        nature.say(|| format!("{} hears: {}", self.name, answer_words(answer)));
        match (self.wish, answer) {
            (_, Answer::Accepted(decision)) => {
                nature.history.start_acknowledged(&decision.server, fleet, now);
            }
            (Wish::Start { .. }, Answer::AlreadyPending(_) | Answer::AlreadyRunning(_)) => {
                nature.transcript.mark("a second click started nothing");
            }
            (Wish::Start { .. }, Answer::Stopping(_)) => {
                nature.transcript.mark("a start came while the server was stopping");
            }
            (Wish::Resize { .. }, Answer::Resizing) => {
                nature.transcript.mark("a server got another limit");
            }
            (Wish::Stop { .. }, Answer::StopUnderWay | Answer::NotRunning) => {
                if let Some(server) = &self.server {
                    nature.history.stop_acknowledged(server, fleet);
                }
            }
            (Wish::Extend { .. }, Answer::Extended { stop, .. }) => {
                nature.transcript.mark("a stop was put off");
                let server = self.server.and_then(|id| fleet.servers.get(&id));
                if let (Some(server), Some(lives)) = (server, &mut nature.history.lives) {
                    lives.promise(server, *stop);
                }
            }
            (Wish::Extend { .. }, Answer::ExtensionsUsedUp { .. }) => {
                nature.transcript.mark("a stop could not be put off any more");
            }
            (Wish::Remove { .. }, Answer::Removed) => {
                if let Some(server) = self.server {
                    nature.history.removal_acknowledged(server);
                }
            }
            _ => {}
        }
    }
}

/// The server of a person that a wish is about: the default one, or the one named `n1`.
fn name_of(wish: Wish) -> ServerName {
    let (Wish::Start { named, .. }
    | Wish::Resize { named, .. }
    | Wish::Stop { named }
    | Wish::Remove { named }
    | Wish::Extend { named }) = wish
    else {
        return ServerName::default_server();
    };
    if named {
        "n1".parse().unwrap_or_else(|_| ServerName::default_server())
    } else {
        ServerName::default_server()
    }
}

fn account(person: &Person, strange: bool) -> Account {
    let id = 10_000 + person.index as u32;
    let home = format!("/home/{}", person.name);
    let name = person.name.clone();
    let mut account = Account { name, uid: id, gid: id, groups: Vec::new(), home };
    if strange {
        accounts::bend(&mut account, person.index);
    }
    account
}

fn words(wish: Wish) -> String {
    match wish {
        Wish::Start { memory_gb, .. } => format!("start with {memory_gb} GB"),
        Wish::StartWithGpu { memory_gb } => format!("start with {memory_gb} GB and a GPU"),
        Wish::StartInCourse { memory_gb } => format!("start in the course with {memory_gb} GB"),
        Wish::Resize { memory_gb, .. } => format!("another limit, {memory_gb} GB"),
        Wish::Stop { .. } => "stop".into(),
        Wish::Remove { .. } => "remove".into(),
        Wish::Extend { .. } => "extend".into(),
    }
}

fn answer_words(answer: &Answer) -> String {
    match answer {
        Answer::Accepted(decision) | Answer::Refused(decision) => decision.sentence(),
        Answer::AlreadyPending(_) => "it is starting already".into(),
        Answer::AlreadyRunning(_) => "it runs already".into(),
        Answer::Stopping(_) => "it is being stopped".into(),
        Answer::StopUnderWay => "the stop is under way".into(),
        Answer::Resizing => "its limit is being changed".into(),
        Answer::ResizeRefused(refusal) => refusal.detail.clone(),
        Answer::NotRunning => "nothing runs".into(),
        Answer::LaidDown => "it is laid down".into(),
        Answer::Exists => "there is one already".into(),
        Answer::TooMany => "there are too many".into(),
        Answer::Removed => "it is removed".into(),
        Answer::NoSuchServer => "there is no such server".into(),
        Answer::Extended { stop, left } => format!("it stops at {stop}, {left} left"),
        Answer::ExtensionsUsedUp { .. } => "it cannot be put off".into(),
        Answer::StopsForNothing => "nothing stops it".into(),
        Answer::Intended => "the host's intent is saved".into(),
        Answer::NoSuchHost => "there is no such host".into(),
        Answer::AnotherPlan => "another rolling reboot is under way".into(),
        Answer::Moved => "it has another turn".into(),
        Answer::NotWaiting => "it does not wait".into(),
    }
}
