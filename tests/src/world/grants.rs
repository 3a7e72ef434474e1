//! Who may have what: a whitelist for GPUs that changes, and a training with people, a pool and hours
//! of its own. Every thirteenth seed has them: the others stay what they were.

use std::collections::{BTreeMap, BTreeSet};

use berth_common::{HostId, Reason, Seconds, Timestamp, Username};
use berth_core::fleet::End;
use berth_core::settings::{Allow, Cite, People, Pool, Profile, Quota, Settings, Training, Window};
use berth_core::{Event, Server};

use crate::world::bugs::Bug;
use crate::world::chance::Chance;
use crate::world::faults::Scale;
use crate::world::people::Wish;

/// Between two changes of the whitelist.
const CHANGES_MS: std::ops::RangeInclusive<u64> = 20_000..=200_000;
/// Between two wishes of one person for what not everybody may have.
const ASKS_MS: std::ops::RangeInclusive<u64> = 20_000..=300_000;

/// In the calm a server of a training that is over stops at most this much later.
const LATE: Seconds = Seconds(60);

/// What the files of a seed grant, and what its hub has taken in of that.
#[derive(Debug)]
pub struct Grants {
    /// Chance of its own, so that seeds without grants stay as they were.
    chance: Chance,
    people: Vec<Username>,
    /// The whitelist as its file has it.
    file: BTreeSet<Username>,
    /// The whitelist as the hub has it.
    known: BTreeSet<Username>,
    training: Training,
}

impl Grants {
    /// Whether a seed has them.
    pub fn has(seed: u64, scale: Scale) -> bool {
        seed % 13 == 7 && matches!(scale, Scale::Small | Scale::Harsh)
    }

    /// The grants of a seed: every second person has GPUs, every third is in the training.
    pub fn of(seed: u64, people: Vec<Username>, now: Timestamp) -> Self {
        let file: BTreeSet<_> = people.iter().step_by(2).cloned().collect();
        let hours = |from, to| Window { from: now.plus(Seconds(from)), to: now.plus(Seconds(to)) };
        let training = Training {
            title: "Course".into(),
            pool: "course".into(),
            windows: vec![hours(120, 300), hours(480, 900)],
            participants: People {
                users: people.iter().step_by(3).cloned().collect(),
                ..People::default()
            },
            expected: 4,
            instructors: BTreeSet::new(),
            quota: Quota::default(),
            stop_after: Seconds(0),
            start_within: Seconds(300),
            cite: Cite::default(),
        };
        let known = file.clone();
        let chance = Chance::new(seed ^ 0x6772_616e_7473_5f6f);
        Self { chance, people, file, known, training }
    }

    /// Puts them into the site's files. The last host is the training's.
    pub fn write(&self, settings: &mut Settings, bug: Option<Bug>) {
        let people = People { users: self.file.clone(), ..People::default() };
        settings.access.allow = vec![Allow {
            profile: "gpu".into(),
            people,
            until: None,
            note: None,
            cite: Cite::default(),
        }];
        let mut training = self.training.clone();
        if bug == Some(Bug::OpensCourses) {
            let all = Window { from: Timestamp(0), to: Timestamp(i64::MAX) };
            training.windows = vec![all];
        }
        settings.trainings = BTreeMap::from([("course".to_owned(), training)]);
        let closed = Pool { trainings_only: true, ..Pool::default() };
        settings.pools.insert("course".into(), closed);
        if let Some(last) = settings.hosts.values_mut().next_back() {
            last.pool = "course".into();
        }
        let usual = settings.profiles.get("notebook").cloned().unwrap_or_default();
        let (pool, training) = ("course".to_owned(), Some("course".to_owned()));
        let profile = Profile { pool, training, default: false, ..usual };
        settings.profiles.insert("course".into(), profile);
    }

    /// When the whitelist changes next.
    pub fn changes_ms(&mut self) -> u64 {
        self.chance.between(CHANGES_MS)
    }

    /// When somebody asks next.
    pub fn asks_ms(&mut self) -> u64 {
        self.chance.between(ASKS_MS)
    }

    /// What a person asks for.
    pub fn wish(&mut self) -> Wish {
        let memory_gb = 1 << self.chance.between(0..=3);
        match self.chance.between(0..=3) {
            0 => Wish::Stop { named: false },
            1 => Wish::StartInCourse { memory_gb },
            _ => Wish::StartWithGpu { memory_gb },
        }
    }

    /// Somebody is put on the whitelist, or taken from it.
    pub fn change(&mut self) {
        let Some(person) = self.chance.pick(&self.people).cloned() else { return };
        if !self.file.remove(&person) {
            self.file.insert(person);
        }
    }

    /// A hub starts, and reads the files.
    pub fn read(&mut self) {
        self.known.clone_from(&self.file);
    }

    /// A hub takes in that files have changed.
    pub fn taken(&mut self, event: &Event) {
        if let Event::SettingsChanged(settings) = event {
            let listed = settings.access.allow.iter().flat_map(|allow| &allow.people.users);
            self.known = listed.cloned().collect();
        }
    }

    /// Whether a start ends because its training is over, or a wait because the person may no longer.
    pub fn may_end(&self, end: &End) -> bool {
        match end.reason {
            Reason::StoppedTraining => self.training.open_window(end.at).is_none(),
            Reason::RefusedAccess | Reason::RefusedPoolClosed => true,
            _ => false,
        }
    }

    /// L4: whether a server should have been stopped long ago, since its training is over.
    pub fn overdue(&self, server: &Server, now: Timestamp) -> Option<String> {
        let runs = server.placement().is_some_and(|placement| placement.stop.is_none());
        let over = self.training.windows.iter().all(|window| window.to.plus(LATE) < now);
        (server.ask.profile == "course" && runs && over)
            .then(|| format!("{} runs at {now}, and its training is over", server.id))
    }

    /// What is wrong with a server that is placed at this moment: who has a GPU is on the whitelist
    /// (S5); the training's pool is for its people, in its hours, and for nobody else (S6).
    pub fn judge(
        &self,
        server: &Server,
        course_host: &HostId,
        now: Timestamp,
    ) -> Option<(&'static str, String)> {
        // Whoever was adopted runs already.
        let placement = server.placement().filter(|it| it.placed_at == now)?;
        server.account.as_ref()?;
        let (id, owner) = (&server.id, &server.owner);
        if !placement.gpus.is_empty() && !self.known.contains(owner) {
            return Some(("S5-whitelist", format!("{id} of {owner} gets a GPU")));
        }
        let in_course = server.ask.profile == "course";
        if in_course != (placement.host == *course_host) {
            let found = format!("{id} with profile {} on {course_host}", server.ask.profile);
            return Some(("S6-training", found));
        }
        let takes_part = self.training.participants.users.contains(owner);
        let on = self.training.open_window(now).is_some();
        (in_course && !(takes_part && on))
            .then(|| ("S6-training", format!("{id} of {owner} is placed, on {on}")))
    }
}
