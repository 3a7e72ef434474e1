//! Scenarios: a short script of what people and fate do in a world without other faults, and below
//! it the transcript of what came of it, which is reviewed like code.
//!
//! ```text
//! 2 hosts, 1 people
//! at 10s user001 starts 4 GB
//! at 20s wn01 reboots
//! for 60s
//! ```

use crate::world::World;
use crate::world::chance::Chance;
use crate::world::faults::{Plan, Strike};
use crate::world::invariants::Broken;
use crate::world::nature::Happening;
use crate::world::operators::Chore;
use crate::world::people::Wish;
use crate::world::restores::Restores;

/// Between the script and its transcript.
const LINE: &str = "----";

/// Why a scenario cannot be played.
#[derive(Debug)]
pub enum BadScenario {
    /// A line that is not understood.
    Line(String),
    /// An invariant did not hold.
    Broken(Broken),
}

impl std::fmt::Display for BadScenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => write!(f, "not understood: {line}"),
            Self::Broken(broken) => broken.fmt(f),
        }
    }
}

/// Plays a scenario and returns its script with the transcript below it.
///
/// # Errors
/// When the script is not understood or an invariant does not hold.
pub fn play(text: &str) -> Result<String, BadScenario> {
    let script: Vec<&str> = text.lines().take_while(|line| *line != LINE).collect();
    let mut world = None;
    for line in script.iter().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let bad = || BadScenario::Line((*line).to_owned());
        let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [hosts, "hosts", people, "people"] => {
                let plan =
                    Plan::calm(number(hosts).ok_or_else(bad)?, number(people).ok_or_else(bad)?);
                let mut calm = World::new(plan, Chance::new(1), None, true);
                calm.restores = Some(Restores::scripted());
                calm.begin();
                world = Some(calm);
            }
            [hosts, "hosts", people, "people", gpus, "GPUs", "each"] => {
                let plan =
                    Plan::calm(number(hosts).ok_or_else(bad)?, number(people).ok_or_else(bad)?);
                let plan = Plan { gpus: number(gpus).ok_or_else(bad)?, ..plan };
                let mut calm = World::new(plan, Chance::new(1), None, true);
                calm.restores = Some(Restores::scripted());
                calm.begin();
                world = Some(calm);
            }
            ["at", at, "everybody", what @ .., "within", span] => {
                let world = world.as_mut().ok_or_else(bad)?;
                let (at_ms, span_ms) = (millis(at).ok_or_else(bad)?, millis(span).ok_or_else(bad)?);
                let people = world.people.len() as u64;
                for (number, person) in (0..).zip(0..world.people.len()) {
                    let wish = wish(what).ok_or_else(bad)?;
                    let wait_ms = at_ms + span_ms * number / people;
                    let happening = Happening::PersonWishes { person, wish };
                    world.nature.schedule.after_ms(wait_ms, happening);
                }
            }
            ["for", seconds] => {
                let world = world.as_mut().ok_or_else(bad)?;
                world.pass(number(seconds).ok_or_else(bad)?).map_err(BadScenario::Broken)?;
            }
            ["at", at, who, what @ ..] => {
                let world = world.as_mut().ok_or_else(bad)?;
                let at_ms = millis(at).ok_or_else(bad)?;
                let happening = happening(world, who, what).ok_or_else(bad)?;
                let wait_ms = at_ms.saturating_sub(world.nature.schedule.elapsed_ms());
                world.nature.schedule.after_ms(wait_ms, happening);
            }
            _ => return Err(bad()),
        }
    }
    let lines = world.and_then(|world| world.nature.transcript.lines).unwrap_or_default();
    let mut played = script.join("\n");
    played.push_str(&format!("\n{LINE}\n"));
    // What is only for the reader of a failed seed is left out.
    for line in lines.iter().filter(|line| !line.contains("  · from")) {
        played.push_str(line);
        played.push('\n');
    }
    Ok(played)
}

fn happening(world: &World, who: &str, what: &[&str]) -> Option<Happening> {
    if who == "hub" {
        return match what {
            ["crashes"] => Some(Happening::StrikesHost(Strike::HubCrash, 0)),
            ["is", "backed", "up"] => Some(Happening::BackupIsTaken { again: false }),
            ["is", "restored"] => Some(Happening::IsRestored { again: false }),
            _ => None,
        };
    }
    if let Some(host) = world.machines.iter().position(|machine| machine.id.as_str() == who) {
        let chore = match what {
            ["is", "cordoned"] => Some(Chore::Cordon),
            ["is", "drained", "within", span] => Some(Chore::Drain(millis(span)? / 1000)),
            ["is", "opened"] => Some(Chore::Open),
            ["GPU", gpu, "fails"] => Some(Chore::GpuFails(number(gpu)? as usize)),
            ["GPU", gpu, "vanishes"] => Some(Chore::GpuVanishes(number(gpu)? as usize)),
            ["has", "an", "old", "agent"] => Some(Chore::IsOld),
            ["agent", "is", "upgraded"] => Some(Chore::Upgrade),
            _ => None,
        };
        if let Some(chore) = chore {
            return Some(Happening::Chore(host, chore));
        }
        let strike = match what {
            ["reboots"] => Strike::Reboot,
            ["goes", "off"] => Strike::PowerOff,
            ["is", "cut", "off"] => Strike::Partition,
            ["agent", "crashes"] => Strike::AgentCrash,
            ["engine", "goes", "away"] => Strike::EngineDown,
            ["container", "is", "removed"] => Strike::RemovalByHand,
            ["container", "exits"] => Strike::Exit,
            _ => return None,
        };
        return Some(Happening::StrikesHost(strike, host));
    }
    let person = world.people.iter().position(|person| person.name.as_str() == who)?;
    Some(Happening::PersonWishes { person, wish: wish(what)? })
}

fn wish(what: &[&str]) -> Option<Wish> {
    let named = false;
    Some(match what {
        ["starts", memory, "GB"] => {
            Wish::Start { memory_gb: number(memory)?, other_image: false, named }
        }
        ["starts", memory, "GB", "with", "a", "GPU"] => {
            Wish::StartWithGpu { memory_gb: number(memory)? }
        }
        ["wants", memory, "GB"] => Wish::Resize { memory_gb: number(memory)?, named },
        ["stops"] => Wish::Stop { named },
        ["removes"] => Wish::Remove { named },
        _ => return None,
    })
}

fn number(word: &str) -> Option<u64> {
    word.trim_end_matches('s').parse().ok()
}

/// `10s` or `10.25s`.
fn millis(word: &str) -> Option<u64> {
    let seconds: f64 = word.strip_suffix('s')?.parse().ok()?;
    Some((seconds * 1000.0) as u64)
}
