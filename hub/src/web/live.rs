//! Parts of pages kept up to date by server-sent events: rendered anew when something changed,
//! sent only if they differ from what was sent before.
//!
//! A stream begins with the present state, so a browser that comes back, also after a restart of
//! the hub, has missed nothing.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use berth_common::{ServerId, Username};
use berth_process::clock::now;
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use askama::Template;

use crate::auth::form::query_value;
use crate::auth::{Next, Right, Visitor};
use crate::site::Hub;
use crate::web::pages::admin::{self, ServerTable};
use crate::web::pages::columns::Columns;
use crate::web::pages::error::PageError;
use crate::web::pages::home::{HomePart, Kept};
use crate::web::pages::hosts::HostTable;
use crate::web::pages::pending::decision_about;
use crate::web::pages::progress::{Progress, Stage};
use crate::web::pages::server::ServerPart;
use crate::web::pages::target::{self, May};
use crate::web::pages::ticket;
use crate::web::pages::trainings::{self, room::Room};
use crate::web::reader::Reader;

/// Streams of one person at a time: more open tabs than this are a mistake or an attack.
const MOST_STREAMS: u32 = 20;
/// The most often that a part is rendered: faster changes are not seen by people.
const EVERY: Duration = Duration::from_secs(1);
/// Proxies cut silent connections, commonly after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After this the browser asks again, with a session that is checked anew.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// How old what a part reads from the store may be: thousands of pages may be open.
const READ_EVERY: Duration = Duration::from_secs(5);
/// How long a browser waits before it asks again. Its own default may be several seconds.
const RETRY: Duration = Duration::from_secs(1);

/// Who follows how many parts.
#[derive(Debug, Default)]
pub struct Streams {
    open: Mutex<BTreeMap<Username, u32>>,
}

/// One stream's place among its owner's.
struct Seat {
    streams: Arc<Streams>,
    owner: Username,
}

impl Streams {
    fn sit(self: &Arc<Self>, owner: &Username) -> Option<Seat> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(owner.clone()).or_default();
        if *count >= MOST_STREAMS {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Seat { streams: Arc::clone(self), owner: owner.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.owner) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.owner);
            }
        }
    }
}

/// What a part is at a moment.
pub enum Part {
    /// To be shown, with a sentence for those who listen.
    Shown {
        /// Its markup.
        html: String,
        /// What screen readers hear; empty: nothing.
        spoken: String,
    },
    /// The server answers: the browser goes there.
    Ready,
    /// It is no more: the page is loaded anew.
    Gone,
}

impl Part {
    /// Shown as a template has it, with a sentence for those who listen.
    pub fn of(template: &impl Template, spoken: String) -> Self {
        template.render().map_or(Self::Gone, |html| Self::Shown { html, spoken })
    }
}

/// `GET /hub/live/servers/{id}`: the steps of a start.
pub async fn server(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let (id, may) = {
        let fleet = hub.fleet.fleet();
        let server = target::server(&fleet, &id, &visitor, Right::SeeServers)?;
        (server.id.clone(), May::of(&visitor, &server.owner))
    };
    let next = query_value(&uri, "next");
    let next = next.and_then(|it| Next::parse(&it, &hub.config().hub.public_url));
    let owner = visitor.user.account.name.clone();
    let watched = Mutex::new(Instant::now() - WATCHED_EVERY);
    let render = move |hub: &Hub| {
        let fleet = hub.fleet.fleet();
        let Some(server) = fleet.servers.get(&id) else { return Part::Gone };
        let Ok(decision) = decision_about(hub, server) else { return Part::Gone };
        let next = next.as_ref().map_or("", Next::as_str);
        let progress = Progress::of(
            &fleet,
            server,
            hub.is_open(server),
            decision.as_ref(),
            (may, &visitor.xsrf),
            next,
            now(),
        );
        let progress = Progress { help: ticket::of(hub, &fleet, server), ..progress };
        match progress.stage {
            Stage::Ready => Part::Ready,
            Stage::Ended { .. } => Part::Gone,
            _ => {
                let waits = matches!(progress.stage, Stage::Waits { .. });
                if waits && may.start && is_due(&watched) {
                    // The person is here: a place that is held for them is taken. Whoever only
                    // looks takes nothing.
                    hub.fleet.try_send(berth_core::Event::Watched { server: id.clone() });
                }
                let spoken = progress.spoken();
                Part::of(&progress, spoken)
            }
        }
    };
    Ok(stream(&hub, &streams, &owner, render))
}

/// `GET /hub/live/server/{id}`: a server's page.
pub async fn server_page(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = target::server(&hub.fleet.fleet(), &id, &visitor, Right::SeeServers)?.id.clone();
    let owner = visitor.user.account.name.clone();
    let render = move |hub: &Hub| {
        let fleet = hub.fleet.fleet();
        let Some(server) = fleet.servers.get(&id) else { return Part::Gone };
        let reader = (May::of(&visitor, &server.owner), visitor.xsrf.as_str());
        Part::of(&ServerPart::of(hub, &fleet, server, reader, now()), String::new())
    };
    Ok(stream(&hub, &streams, &owner, render))
}

/// `GET /hub/live/home`: a person's cards, and what stands above them.
pub async fn home(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
) -> Response {
    let owner = visitor.user.account.name.clone();
    let kept = Slowly::default();
    let render = move |hub: &Hub| {
        let owner = &visitor.user.account.name;
        let fleet = hub.fleet.fleet();
        if fleet.servers_of(owner).next().is_none() {
            return Part::Gone;
        }
        let kept = kept.get(|| Kept::of(hub, &fleet, owner).ok()).unwrap_or_default();
        let part = HomePart::of(hub, &fleet, &visitor.user, kept, &visitor.xsrf, now());
        Part::of(&part, String::new())
    };
    stream(&hub, &streams, &owner, render)
}

/// `GET /hub/live/admin`: all servers that the filter leaves.
pub async fn admin(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
    uri: Uri,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeServers)?;
    let owner = visitor.user.account.name.clone();
    let (filter, columns) = (admin::filter(&uri), Columns::of(&uri));
    let render = move |hub: &Hub| {
        let table = ServerTable::of(&hub.fleet.fleet(), &filter, &columns, &visitor, now());
        Part::of(&table, String::new())
    };
    Ok(stream(&hub, &streams, &owner, render))
}

/// `GET /hub/live/hosts`
pub async fn hosts(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    visitor.require(Right::SeeHosts)?;
    let render =
        |hub: &Hub| Part::of(&HostTable::of(&hub.fleet.fleet(), None, now()), String::new());
    Ok(stream(&hub, &streams, &visitor.user.account.name, render))
}

/// `GET /hub/live/trainings/{name}`: the room, for who looks after it.
pub async fn training(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    trainings::cared(&hub.fleet.fleet(), &visitor.user, visitor.admin, &name)?;
    let owner = visitor.user.account.name.clone();
    let render = move |hub: &Hub| {
        let fleet = hub.fleet.fleet();
        let cared = trainings::cared(&fleet, &visitor.user, visitor.admin, &name);
        let Ok((training, profile, role)) = cared else { return Part::Gone };
        let course = (name.as_str(), training, profile);
        match Room::of(hub, &fleet, course, role, &visitor.xsrf, now()) {
            Ok(room) => Part::of(&room, room.spoken()),
            Err(_) => Part::Gone,
        }
    };
    Ok(stream(&hub, &streams, &owner, render))
}

/// What a stream that sends only differences has to say.
pub enum News {
    /// Nothing has changed.
    None,
    /// What has.
    Part(String),
    /// The page is to be loaded anew.
    Gone,
}

/// Sends what a page does not have yet, once a second at most; `news` remembers what was sent.
pub fn stream_news(
    hub: &Arc<Hub>,
    streams: &Arc<Streams>,
    owner: &Username,
    mut news: impl FnMut(&Hub) -> News + Send + 'static,
) -> Response {
    let Some(seat) = streams.sit(owner) else { return too_many() };
    let (send, events) = mpsc::channel(1);
    let hub = Arc::clone(hub);
    tokio::spawn(Reader::now().served(async move {
        let _seat = seat;
        let end = Instant::now() + LIFE;
        while Instant::now() < end {
            let event = match news(&hub) {
                News::None => None,
                News::Part(text) => Some(Event::default().event("part").data(text)),
                News::Gone => {
                    let _ = send.send(Ok(Event::default().event("gone").data("gone"))).await;
                    return;
                }
            };
            if let Some(event) = event
                && send.send(Ok(event)).await.is_err()
            {
                return;
            }
            tokio::select! {
                () = send.closed() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }));
    events_of(events)
}

/// Sends a part that is made by asking others, whenever it differs: at once, and then so often.
pub fn stream_asked<Made>(
    hub: &Arc<Hub>,
    streams: &Arc<Streams>,
    owner: &Username,
    every: Duration,
    make: impl Fn(Arc<Hub>) -> Made + Send + Sync + 'static,
) -> Response
where
    Made: Future<Output = Option<String>> + Send + 'static,
{
    let Some(seat) = streams.sit(owner) else { return too_many() };
    let (send, events) = mpsc::channel(1);
    let hub = Arc::clone(hub);
    tokio::spawn(Reader::now().served(async move {
        let _seat = seat;
        let end = Instant::now() + LIFE;
        let mut last = String::new();
        while Instant::now() < end {
            if let Some(html) = make(Arc::clone(&hub)).await.filter(|html| *html != last) {
                if send.send(Ok(Event::default().event("part").data(&html))).await.is_err() {
                    return;
                }
                last = html;
            }
            tokio::select! {
                () = send.closed() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    }));
    events_of(events)
}

fn too_many() -> Response {
    let text = "too many pages of this account are open";
    (StatusCode::TOO_MANY_REQUESTS, text).into_response()
}

fn events_of(events: mpsc::Receiver<Result<Event, Infallible>>) -> Response {
    sse(ReceiverStream::new(events))
}

fn sse(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut is_first = true;
    let events = events.map(move |event| match std::mem::take(&mut is_first) {
        true => event.map(|event| event.retry(RETRY)),
        false => event,
    });
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // A proxy before ours must not collect what is sent.
    let no = axum::http::HeaderValue::from_static("no");
    response.headers_mut().insert("x-accel-buffering", no);
    response
}

/// How often the hub is told that somebody looks at a waiting server.
const WATCHED_EVERY: Duration = Duration::from_secs(20);

fn is_due(last: &Mutex<Instant>) -> bool {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let due = last.elapsed() >= WATCHED_EVERY;
    if due {
        *last = Instant::now();
    }
    due
}

/// What is read from the store now and then, not at each rendering.
pub struct Slowly<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Slowly<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Slowly<T> {
    /// As it was read last; read anew when that is some seconds old. What cannot be read stays.
    pub fn get(&self, read: impl FnOnce() -> Option<T>) -> Option<T> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|(at, _)| at.elapsed() >= READ_EVERY)
            && let Some(read) = read()
        {
            *last = Some((Instant::now(), read));
        }
        last.as_ref().map(|(_, read)| read.clone())
    }
}

/// A part that follows the fleet, sent whenever it differs from what was sent before.
pub fn stream(
    hub: &Arc<Hub>,
    streams: &Arc<Streams>,
    owner: &Username,
    render: impl Fn(&Hub) -> Part + Send + 'static,
) -> Response {
    let Some(seat) = streams.sit(owner) else { return too_many() };
    let follower = Follower {
        hub: Arc::clone(hub),
        _seat: seat,
        reader: Reader::now(),
        render,
        changes: hub.fleet.changes(),
        end: Instant::now() + LIFE,
        has: None,
        spoken: String::new(),
        next: VecDeque::new(),
        number: 0,
    };
    sse(futures::stream::unfold(follower, Follower::next))
}

/// A part, whenever it differs, until it is done or its time is up.
///
/// It is rendered when the connection asks for it, so that it is written at once, and a
/// reader that does not keep up gets the newest state, not each one.
struct Follower<Render> {
    hub: Arc<Hub>,
    _seat: Seat,
    reader: Reader,
    render: Render,
    changes: tokio::sync::broadcast::Receiver<ServerId>,
    end: Instant,
    /// The hash of what the browser has; nothing yet at first.
    has: Option<[u8; 32]>,
    spoken: String,
    next: VecDeque<Event>,
    number: u64,
}

impl<Render: Fn(&Hub) -> Part> Follower<Render> {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.next.pop_front() {
                self.number = self.number.wrapping_add(1);
                return Some((Ok(event.id(self.number.to_string())), self));
            }
            if Instant::now() >= self.end {
                return None;
            }
            if self.has.is_some() {
                pause(&mut self.changes).await;
            }
            self.look();
        }
    }

    fn look(&mut self) {
        let (word, has) = match self.reader.shown(|| (self.render)(&self.hub)) {
            Part::Ready => ("ready", [0; 32]),
            Part::Gone => ("gone", [0; 32]),
            Part::Shown { html, spoken } => {
                let has = Sha256::digest(&html).into();
                if self.has != Some(has) {
                    self.next.push_back(Event::default().event("part").data(&html));
                }
                if spoken != self.spoken && !spoken.is_empty() {
                    self.next.push_back(Event::default().event("said").data(&spoken));
                }
                self.spoken = spoken;
                self.has = Some(has);
                return;
            }
        };
        self.next.push_back(Event::default().event(word).data(word));
        (self.has, self.end) = (Some(has), Instant::now());
    }
}

/// Until something changes or a second has passed, and never less than a tenth of a second.
async fn pause(changes: &mut tokio::sync::broadcast::Receiver<ServerId>) {
    tokio::time::sleep(EVERY / 10).await;
    tokio::select! {
        // A receiver that fell behind renders anew just the same.
        _ = changes.recv() => {}
        () = tokio::time::sleep(EVERY) => {}
    }
}
