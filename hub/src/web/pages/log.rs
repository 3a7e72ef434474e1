//! What a running server has written last, as its host says when somebody looks, and again every two
//! seconds while somebody goes on looking.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use berth_core::Server;
use berth_process::clock::now;
use berth_proto::link::question::What;

use crate::auth::{Right, Visitor};
use crate::link::asked::{Following, NoAnswer};
use crate::site::Hub;
use crate::web::live::{self, Streams};
use crate::web::pages::error::PageError;
use crate::web::pages::target;
use crate::web::pages::words::Moment;
use crate::web::say;

/// Lines on a page.
const LINES: u32 = 200;
/// A page that is looked at asks so often.
const EVERY: Duration = Duration::from_secs(2);

/// A log, or why there is none.
#[derive(Debug, Template)]
#[template(path = "log.html")]
pub struct Log {
    /// Its lines; empty: nothing was written, or `trouble` says more.
    pub text: String,
    /// Why it cannot be shown.
    pub trouble: Option<String>,
    /// When it was read.
    pub at: Moment,
}

impl Log {
    /// The end of a server's log; `None` where there is nothing to ask.
    pub async fn of(hub: &Hub, server: &Server) -> Option<Self> {
        server.placement()?;
        let (text, trouble) = match hub.asked.ask(server, What::LogLines(LINES)).await {
            Ok(answer) => {
                let lines: Vec<_> = answer.log.iter().map(|line| shown(&line.text)).collect();
                (lines.join("\n"), None)
            }
            Err(why) => (String::new(), Some(sentence(&why))),
        };
        Some(Self { text, trouble, at: Moment::from(now()) })
    }

    /// In its place, why there is none.
    fn without(trouble: String) -> Self {
        Self { text: String::new(), trouble: Some(trouble), at: Moment::from(now()) }
    }
}

/// What a terminal would show of a line: a bar of progress is written over and over.
fn shown(line: &str) -> &str {
    line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default()
}

/// `GET /hub/live/log/{id}`: the log of a server, again whenever it differs. A few pages follow logs
/// of one host at a time; the others wait for one of them to leave, and ask nothing.
pub async fn follow(
    State(hub): State<Arc<Hub>>,
    Extension(streams): Extension<Arc<Streams>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = target::server(&hub.fleet.fleet(), &id, &visitor, Right::SeeServers)?.id.clone();
    let place: Arc<Mutex<Option<Following>>> = Arc::default();
    let make = move |hub: Arc<Hub>| {
        let (id, place) = (id.clone(), Arc::clone(&place));
        async move {
            let fleet = hub.fleet.fleet();
            let server = fleet.servers.get(&id)?;
            let log = if takes(&hub, server, &place) {
                Log::of(&hub, server).await
            } else {
                Some(Log::without(say::t("log-full").to_string()))
            };
            log.unwrap_or_else(|| Log::without(sentence(&NoAnswer::NotPlaced))).render().ok()
        }
    };
    Ok(live::stream_asked(&hub, &streams, &visitor.user.account.name, EVERY, make))
}

/// Takes a place among the followers of the server's host, or keeps it. A server that runs nowhere
/// needs none: nobody is asked about it.
fn takes(hub: &Hub, server: &Server, place: &Mutex<Option<Following>>) -> bool {
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(host) = server.placement().map(|placement| &placement.host) else {
        *place = None;
        return true;
    };
    if place.as_ref().is_none_or(|place| place.host() != host) {
        *place = None;
        *place = hub.asked.follow(host);
    }
    place.is_some()
}

/// Why a host gave no answer.
pub fn sentence(why: &NoAnswer) -> String {
    match why {
        NoAnswer::NotPlaced => say::t("asked-not-placed").to_string(),
        NoAnswer::Away => say::t("asked-away").to_string(),
        NoAnswer::Slow => say::t("asked-slow").to_string(),
        NoAnswer::Said(said) => say::t("asked-said").with("said", said).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn of_a_bar_of_progress_its_last_state_is_shown() {
        assert_eq!(shown("10 %\r20 %\r100 %"), "100 %");
        assert_eq!(shown("done\r"), "done");
        assert_eq!(shown(""), "");
    }
}
