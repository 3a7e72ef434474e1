//! Decisions in sentences.

use super::*;
use crate::example::{NOW, gb, host, id, placed};
use crate::placement::{Fill, Score};

fn decision(outcome: Outcome) -> Decision {
    let server = placed(1, "h1");
    let account = server.account.clone().unwrap();
    let key = (server.id.clone(), server.name.clone());
    let open = Decision::open(
        DecisionId::from_random(1),
        NOW,
        key,
        &account,
        Ask::default(),
        Inputs::default(),
    );
    assert_eq!(open.reason(), Reason::WaitNoHost);
    assert_eq!(open.user, server.owner);
    Decision { outcome, ..open }
}

fn on(name: &str) -> Outcome {
    Outcome::Placed { reason: Reason::PlacedNow, host: host(name), gpus: Vec::new() }
}

fn scored(name: &str, fill: u64, position: u32) -> Scored {
    let score = Score {
        drains: false,
        not_preferred: false,
        image_absent: false,
        fill: Fill::ReservedPart(fill),
        not_last: true,
        position,
    };
    Scored { host: host(name), score, worth: None }
}

#[test]
fn a_decision_says_what_came_of_it() {
    let refused = |detail: &str| {
        let reason = Reason::RefusedNeverFits;
        decision(Outcome::Refused { reason, detail: detail.into() })
    };
    assert_eq!(refused("too much").sentence(), "too much");
    assert_eq!(refused("").sentence(), Reason::RefusedNeverFits.text());
    let mut waits =
        decision(Outcome::Waits { reason: Reason::WaitNoHost, ahead: 2, estimate: None });
    let place = format!("Waits in place 3: {}", Reason::WaitNoHost.text());
    assert_eq!(waits.sentence(), place);
    assert_eq!((waits.host(), waits.nearest_memory()), (None, None));
    waits.nearest = vec![Nearest::Gpus(1), Nearest::Memory(gb(2))];
    assert_eq!(waits.sentence(), format!("{place} A server with 1 GPU would start now."));
    assert_eq!(waits.nearest_memory(), Some(gb(2)));
    let mut placed = decision(on("h1"));
    assert_eq!((placed.host(), placed.reason()), (Some(&host("h1")), Reason::PlacedNow));
    assert_eq!(placed.sentence(), "Placed on h1: the only host with room.");
    placed.chosen = Some(scored("h1", 500, 0));
    assert_eq!(placed.sentence(), "Placed on h1: the only host with room.");
    placed.runner_up = Some(scored("h2", 250, 1));
    assert_eq!(placed.sentence(), "Placed on h1: memory already reserved 50 % there, 25 % on h2.");
    placed.runner_up = Some(scored("h2", 500, 1));
    assert_eq!(placed.sentence(), "Placed on h1: place in the order of hosts 1 there, 2 on h2.");
}

#[test]
fn everything_that_would_help_is_a_sentence() {
    let says = [
        Nearest::Memory(gb(2)),
        Nearest::Gpus(0),
        Nearest::Gpus(1),
        Nearest::Gpus(2),
        Nearest::Profile("cpu".into()),
        Nearest::Stop(id(1)),
        Nearest::From(Timestamp(0)),
        Nearest::HostBack { host: host("h1"), reason: Reason::HostLost },
    ]
    .map(|nearest| nearest.sentence());
    assert_eq!(
        says,
        [
            "A server with 2 GB would start now.",
            "A server without GPU would start now.",
            "A server with 1 GPU would start now.",
            "A server with 2 GPUs would start now.",
            "Profile cpu would start now.",
            "It would start if you stopped one of your servers.",
            "As asked it is possible from 1970-01-01 00:00 UTC on.",
            "It would start if h1 were back (host.lost).",
        ]
    );
}
