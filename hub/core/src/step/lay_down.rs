//! What a server will start with, laid down without a start.

use berth_common::{Generation, Timestamp};

use crate::event::{Answer, Effect, LayDown};
use crate::fleet::{Fleet, Phase, Server};
use crate::rules;
use crate::step::{reply, save_and_show};

/// Nobody needs more servers that do not run, and each is a row for ever.
const MOST_AT_REST: usize = 200;

/// Handles the wish to lay down what a server will start with. Nothing starts, and nothing is
/// reserved.
pub fn lay_down(fleet: &mut Fleet, now: Timestamp, wanted: LayDown, out: &mut Vec<Effect>) {
    let to = wanted.reply;
    let name = &wanted.account.name;
    let answer = match fleet.find(name, &wanted.name) {
        Some(_) if wanted.new => Answer::Exists,
        Some(server) if server.is_active() => Answer::AlreadyRunning(server.id.clone()),
        None if !wanted.new => Answer::NoSuchServer,
        None if fleet.servers_of(name).filter(|it| !it.is_active()).count() >= MOST_AT_REST => {
            Answer::TooMany
        }
        found => {
            let id = found.map(|server| server.id.clone());
            keep(fleet, now, wanted, id, out);
            Answer::LaidDown
        }
    };
    reply(to, answer, out);
}

fn keep(
    fleet: &mut Fleet,
    now: Timestamp,
    wanted: LayDown,
    found: Option<berth_common::ServerId>,
    out: &mut Vec<Effect>,
) {
    let ask = rules::check(fleet, now, &wanted.account, &wanted.wish, found.as_ref()).ask;
    let id = found.unwrap_or_else(|| {
        fleet.insert(Server {
            id: wanted.server.clone(),
            owner: wanted.account.name.clone(),
            name: wanted.name.clone(),
            generation: Generation(0),
            phase: Phase::Idle,
            ask: ask.clone(),
            user_options: "{}".into(),
            account: Some(wanted.account.clone()),
            decision: None,
            created: now,
            last_activity: now,
            peaks: None,
            last_host: None,
            gpu_turn: None,
            last_end: None,
            last_start: None,
            kills: Vec::new(),
            activity_saved: Timestamp::default(),
        });
        wanted.server
    });
    if let (Some(options), Some(server)) = (wanted.user_options, fleet.server_mut(&id)) {
        server.ask = ask;
        server.user_options = options;
    }
    save_and_show(fleet, &id, out);
}
