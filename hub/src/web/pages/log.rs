//! What a running server has written last, as its host says when somebody looks.

use berth_core::Server;
use berth_process::clock::now;
use berth_proto::link::question::What;

use crate::link::asked::NoAnswer;
use crate::site::Hub;
use crate::web::pages::words::Moment;
use crate::web::say;

/// Lines on a page.
const LINES: u32 = 200;

/// A log, or why there is none.
#[derive(Debug)]
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
                let lines: Vec<_> = answer.log.into_iter().map(|line| line.text).collect();
                (lines.join("\n"), None)
            }
            Err(why) => (String::new(), Some(sentence(&why))),
        };
        Some(Self { text, trouble, at: Moment::from(now()) })
    }
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
