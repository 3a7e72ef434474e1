//! The event stream of a start: `GET .../progress`. Made of the fleet's changes, not polled.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use berth_common::link::StartStep;
use berth_common::{ServerId, ServerName};
use berth_core::fleet::End;
use berth_core::{Fleet, Phase, Placement, Server, queue};
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::site::Hub;
use crate::web::api::find_user;
use crate::web::api::path::Names;
use crate::web::api::servers::model_text;
use crate::web::error::{ApiError, escape};

/// Sent when nothing happens, so that no proxy on the way takes the stream for dead.
const KEEPALIVE: Duration = Duration::from_secs(8);

/// The default server's stream.
pub async fn default_server(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names(user): Names<String>,
) -> Result<Response, ApiError> {
    open(hub, &caller, &user, "")
}

/// A named server's stream.
pub async fn named_server(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Names((user, server)): Names<(String, String)>,
) -> Result<Response, ApiError> {
    open(hub, &caller, &user, &server)
}

fn open(hub: Arc<Hub>, caller: &Caller, user: &str, server: &str) -> Result<Response, ApiError> {
    caller.require("read:servers")?;
    let name = server.parse::<ServerName>().map_err(|_| ApiError::no_resource())?;
    let user = caller.require_server("read:servers", find_user(&hub, user)?, &name)?;
    let fleet = hub.fleet.fleet();
    let owner = &user.account.name;
    let found = fleet.find(owner, &name);
    let not_starting = || ApiError::bad_request(format!("{owner}/{name} is not starting..."));
    let server = found.ok_or_else(ApiError::no_resource)?;
    let first = match &server.phase {
        _ if hub.is_open(server) => vec![ready(server)],
        Phase::Idle => match &server.last_end {
            Some(end) if end.is_failure() => vec![failed(end)],
            _ => return Err(not_starting()),
        },
        // A running server that is being stopped does not start either.
        Phase::Placed(Placement { stop: Some(_), ready_at: Some(_), .. }) => {
            return Err(not_starting());
        }
        _ => vec![event(0, "Server requested")],
    };
    let over = first.iter().any(is_last);
    Ok(respond(Following {
        id: server.id.clone(),
        queue: first.into_iter().map(frame).collect(),
        said: Vec::new(),
        over,
        hub,
    }))
}

struct Following {
    hub: Arc<Hub>,
    id: ServerId,
    /// Frames to be sent.
    queue: VecDeque<Bytes>,
    /// Messages sent so far: none is repeated.
    said: Vec<String>,
    over: bool,
}

fn respond(following: Following) -> Response {
    let mut following = following;
    following.queue.push_front(Bytes::from_static(b"\n\n"));
    let published = following.hub.fleet.watch();
    let routed = following.hub.routed.subscribe();
    let frames = stream::unfold((following, published, routed), |mut state| async move {
        let (following, published, routed) = &mut state;
        loop {
            if let Some(frame) = following.queue.pop_front() {
                return Some((Ok::<_, Infallible>(frame), state));
            }
            if following.over {
                return None;
            }
            routed.mark_unchanged();
            let fleet = published.borrow_and_update().clone();
            following.look(&fleet);
            if !following.queue.is_empty() {
                continue;
            }
            tokio::select! {
                changed = published.changed() => changed.ok()?,
                changed = routed.changed() => changed.ok()?,
                () = tokio::time::sleep(KEEPALIVE) => {
                    following.queue.push_back(Bytes::from_static(b"\n\n"));
                }
            }
        }
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(frames)).into_response()
}

impl Following {
    /// Queues what is new since the last look.
    fn look(&mut self, fleet: &Fleet) {
        let events = match fleet.servers.get(&self.id) {
            Some(server) => story(&self.hub, fleet, server),
            None => vec![cancelled()],
        };
        for event in events {
            let message = event["message"].as_str().unwrap_or_default().to_owned();
            if self.said.contains(&message) {
                continue;
            }
            self.over |= is_last(&event);
            self.said.push(message);
            self.queue.push_back(frame(event));
        }
    }
}

/// All that there is to say about a start at this moment.
fn story(hub: &Hub, fleet: &Fleet, server: &Server) -> Vec<Value> {
    if hub.is_open(server) {
        let mut events = placed(hub, server);
        events.push(ready(server));
        return events;
    }
    match &server.phase {
        Phase::Waiting { reason, .. } => {
            let place = place_in_queue(fleet, server);
            let text = format!("Waits in place {place}: {} {}", reason.text(), reason.remedy());
            vec![event(0, text.trim_end())]
        }
        Phase::Placed(Placement { stop: Some(stop), .. }) => vec![failed(&stop.end)],
        Phase::Placed(_) => placed(hub, server),
        Phase::Idle => match &server.last_end {
            Some(end) => vec![failed(end)],
            None => vec![cancelled()],
        },
    }
}

fn placed(hub: &Hub, server: &Server) -> Vec<Value> {
    let Some(placement) = server.placement() else { return Vec::new() };
    let decision = server
        .decision
        .as_ref()
        .and_then(|id| hub.storage.read(|reader| reader.decision(id)).ok().flatten());
    let host = &placement.host;
    let why = decision.filter(|decision| decision.host() == Some(host));
    let sentence = why.map_or_else(|| format!("Placed on {host}."), |decision| decision.sentence());
    let mut events = vec![event(10, &sentence)];
    let fetches = hub.fleet.fleet().hosts.get(host).is_some_and(|it| it.is_fetching(&server.id));
    if fetches {
        events.push(event(15, &format!("The image is being fetched to {host}.")));
    }
    for done in &placement.steps {
        let (progress, text) = match done.step {
            StartStep::Fetch => (15, format!("The image was fetched to {host}.")),
            StartStep::Image => (20, format!("The image is on {host}.")),
            StartStep::Spaces => (40, "HOME and the other spaces are there.".to_owned()),
            StartStep::Container => (60, "The container is made.".to_owned()),
            StartStep::Started => (75, "JupyterLab is starting.".to_owned()),
            StartStep::Answers => (95, "JupyterLab answers.".to_owned()),
        };
        events.push(event(progress, &text));
    }
    events
}

/// The server's place among those that wait for the same pool, from 1.
pub fn place_in_queue(fleet: &Fleet, server: &Server) -> u32 {
    queue::place_of(fleet, server, berth_process::clock::now()).unwrap_or(1)
}

fn event(progress: u8, message: &str) -> Value {
    json!({ "progress": progress, "message": message })
}

fn ready(server: &Server) -> Value {
    let url = server.prefix();
    let shown = escape(&url);
    json!({
        "progress": 100,
        "ready": true,
        "message": format!("Server ready at {url}"),
        "html_message": format!("Server ready at <a href=\"{shown}\">{shown}</a>"),
        "url": url,
    })
}

fn failed(end: &End) -> Value {
    if !end.is_failure() {
        return cancelled();
    }
    let message = format!("Spawn failed: {}", model_text(end));
    json!({ "progress": 100, "failed": true, "message": message, "reason": end.reason.code() })
}

fn cancelled() -> Value {
    json!({ "progress": 100, "failed": true, "message": "Spawn cancelled" })
}

fn is_last(event: &Value) -> bool {
    event.get("ready").or_else(|| event.get("failed")).is_some()
}

fn frame(event: Value) -> Bytes {
    format!("data: {event}\n\n").into()
}
