//! A server that runs, for the tests that begin with one.

use berth_common::link::Account;
use berth_common::{Generation, GpuPart, Resources, Revision, ServerId, ServerName, Timestamp};
use berth_core::fleet::{Ask, Phase, Placement, Server};

/// A first start of this person on `h1`, which has been ready since a moment and holds what `ask`
/// says; its GPUs are called `GPU-0` and so on.
pub fn server(id: u64, account: Account, ask: Ask, since: Timestamp) -> Server {
    let part =
        |number| GpuPart { gpu: format!("GPU-{number}").parse().unwrap(), milli: ask.gpu_milli };
    let placement = Placement {
        host: "h1".parse().unwrap(),
        reservation: Resources { memory: ask.memory, cpu_milli: 0 },
        gpus: (0..ask.gpus).map(part).collect(),
        farm_ports: Vec::new(),
        expected: ask.memory,
        expected_known: false,
        placed_at: since,
        said: Revision::default(),
        image: None,
        ready_at: Some(since),
        steps: Vec::new(),
        life: Box::default(),
        asked_to_leave: None,
        held_since: None,
        used: Default::default(),
        resize: None,
        loan: None,
        stop: None,
    };
    Server {
        id: ServerId::from_random(id),
        owner: account.name.clone(),
        name: ServerName::default_server(),
        generation: Generation(1),
        phase: Phase::Placed(placement),
        ask,
        user_options: "{}".into(),
        account: Some(account),
        decision: None,
        created: since,
        last_activity: since,
        peaks: None,
        last_host: None,
        gpu_turn: None,
        last_end: None,
        last_start: None,
        kills: Vec::new(),
        activity_saved: Timestamp::default(),
    }
}
