//! What an agent does, judged by what is true before the engine has it; and words for it.

use berth_agent::reconcile::{Act, Operation, Outcome};
use berth_common::link::{DesiredSet, Verdict};

use super::Agent;
use crate::world::engine::{Engine, MadeState};
use crate::world::nature::Nature;
use crate::world::transcript::server_word;

/// Judges a step by what is true, before the engine has it.
pub(super) fn judge(
    nature: &mut Nature,
    engine: &Engine,
    agent: &Agent,
    operation: &Operation,
    act: &Act,
) {
    let Operation { server, generation, .. } = operation;
    let verdict = agent.in_force.as_ref().and_then(|set| set.servers.get(server));
    let runs = verdict.is_some_and(|desired| {
        desired.generation == *generation && matches!(desired.what, Verdict::Run(_))
    });
    match act {
        Act::Create { .. } | Act::Start { .. } if !runs => {
            let found = format!(
                "{} {} without a Run",
                act.name().unwrap_or(""),
                server_word(server, *generation)
            );
            nature.history.violated("A5-verdict", found);
        }
        Act::Resize { limit, .. } => {
            let told = verdict.is_some_and(|desired| {
                desired.generation == *generation && desired.limit == Some(*limit)
            });
            if !told {
                let found = format!("resize {}", server_word(server, *generation));
                nature.history.violated("A5-verdict", found);
            }
        }
        Act::Create { .. } | Act::Start { .. } | Act::Examine { .. } => {}
        Act::Stop { container, .. } | Act::Remove { container } => {
            let Some((_, made)) = engine.find(container) else { return };
            let named = verdict.is_some_and(|desired| {
                desired.generation > made.generation
                    || desired.generation == made.generation
                        && matches!(desired.what, Verdict::Stop { .. })
            });
            let named = named || nature.history.is_ended(server, made.generation);
            if made.runs() && made.answered && !named {
                let found = format!(
                    "{} {}",
                    act.name().unwrap_or(""),
                    server_word(server, made.generation)
                );
                nature.history.violated("S15-verdict", found);
            }
            if made.generation < *generation {
                nature.transcript.mark("an outlived container was ended");
            }
            if made.state == MadeState::Created && matches!(act, Act::Remove { .. }) {
                nature.transcript.mark(if !agent.made.contains(container) {
                    "the barrier removed what an earlier process had created"
                } else if named {
                    "a stop overtook its start"
                } else {
                    "a created container was removed"
                });
            }
        }
    }
}

/// A desired set in a line.
pub(super) fn set_words(set: &DesiredSet) -> String {
    let mut words = set.revision.to_string();
    for (server, desired) in &set.servers {
        let what = match desired.what {
            Verdict::Run(_) => "run",
            Verdict::Keep => "keep",
            Verdict::Stop { .. } => "stop",
        };
        words.push_str(&format!(", {what} {}", server_word(server, desired.generation)));
        if let Some(limit) = desired.limit {
            words.push_str(&format!(" at {}", limit.memory));
        }
    }
    words
}

/// An outcome in a line.
pub(super) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Created { .. } => "is created",
        Outcome::Spoiled { .. } => "is not as asked for",
        Outcome::Conflict => "meets a name that is taken",
        Outcome::Started { .. } => "is started",
        Outcome::Resized => "has another limit",
        Outcome::Stopped => "is stopped",
        Outcome::Removed => "is removed",
        Outcome::Examined(_) => "is examined",
        Outcome::Gone => "is not there",
        Outcome::Failed(_) => "failed",
        Outcome::TimedOut => "timed out",
    }
}
