//! What a ticket about a server begins with, so that whoever helps need not ask: which server, where,
//! when, and why it does not run. Nothing that its log or its owner wrote goes along.

use berth_core::{Fleet, Phase, Server};

use crate::site::Hub;
use crate::web::pages::card::profile_title;
use crate::web::pages::words::{self, Moment};
use crate::web::say;

/// The address of the site's support with a ticket about this server; `None` where the files name
/// none. It changes when the server does, not with time: cards that are followed stay quiet.
pub fn of(hub: &Hub, fleet: &Fleet, server: &Server) -> Option<String> {
    let config = hub.config();
    let support = config.people.support.as_ref()?;
    let name = words::server_path(&server.owner, &server.name);
    let subject = say::t("ticket-subject").with("server", name).to_string();
    let facts = facts(fleet, server, &config.hub.public_url);
    let facts: Vec<_> = facts.into_iter().map(|(what, value)| format!("{what}: {value}")).collect();
    let body = format!("{}\n\n-- \n{}\n", say::t("ticket-what"), facts.join("\n"));
    Some(support.ticket(&subject, &body))
}

fn facts(fleet: &Fleet, server: &Server, site: &str) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut add = |what: &'static str, value: Option<String>| {
        facts.extend(value.map(|value| (say::t(what).to_string(), value)));
    };
    let placement = server.placement();
    let stop = placement.and_then(|placement| placement.stop.as_ref()).map(|stop| &stop.end);
    let end = stop.or(server.last_end.as_ref().filter(|_| !server.is_active()));
    let waits = match &server.phase {
        Phase::Waiting { reason, .. } => Some(*reason),
        _ => None,
    };
    let moment = |at| Moment::from(at).text;
    add("server", Some(format!("{site}/hub/servers/{}", server.id)));
    let profile = profile_title(fleet, &server.ask.profile);
    add("asked-for", Some(format!("{profile}, {}, {}", server.ask.memory, server.ask.image)));
    let host = placement.map(|placement| &placement.host).or(server.last_host.as_ref());
    add("host", host.map(ToString::to_string));
    add("timeline-asked", server.waiting_since().or(placement.map(|it| it.placed_at)).map(moment));
    add("timeline-answers", placement.and_then(|placement| placement.ready_at).map(moment));
    add("timeline-ended", end.map(|end| moment(end.at)));
    let reason = waits.or(end.map(|end| end.reason));
    add("reason", reason.map(|reason| format!("{} ({})", reason.code(), say::reason(reason))));
    let decision = server.decision.as_ref();
    add("decision", decision.map(|decision| format!("{site}/hub/decisions/{decision}")));
    facts
}
