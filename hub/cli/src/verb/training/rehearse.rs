//! `berth training rehearse NAME [--servers N] [--keep]`: throw-away servers are started, measured
//! and ended. With `--estimate` nothing is started.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api;
use crate::args::Common;
use crate::connection::{Answer, Connection};
use crate::print::note;
use crate::problem::{Exit, Problem};
use crate::verb::confirm::Sure;

mod estimate;
mod show;

use show::{Rehearsal, Screen};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Options.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The servers run under your own account. They end when all are measured, at\n\
                        Ctrl-C, and as soon as somebody needs their room. Kept ones end 30 minutes\n\
                        after the last is ready, those of administrators after an hour. Exit code 1\n\
                        if not all would be ready in the time that the training's file allows."
)]
pub struct Args {
    /// The training's name
    #[arg(value_name = "TRAINING")]
    name: String,
    /// So many servers; else all expected, if there is room
    #[arg(long, value_name = "COUNT")]
    servers: Option<u32>,
    /// Leave them there for a while once all are measured
    #[arg(long)]
    keep: bool,
    /// End a rehearsal, or the servers that it kept
    #[arg(long, conflicts_with_all = ["servers", "keep", "estimate"])]
    end: bool,
    /// Start nothing; say what it would take, from the past
    #[arg(long, conflicts_with_all = ["servers", "keep"])]
    estimate: bool,
    /// With --estimate: so many people; else all expected
    #[arg(long, value_name = "COUNT", requires = "estimate")]
    people: Option<u32>,
    /// With --estimate: as if its hosts were empty and ready
    #[arg(long, requires = "estimate")]
    prepared: bool,
    #[command(flatten)]
    sure: Sure,
}

/// Rehearses, or says what would come of it.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    if args.estimate {
        return estimate::run(args, common).await;
    }
    let what = match args.end {
        true => format!("end the rehearsal of {}", args.name),
        false => format!("rehearse the training {}", args.name),
    };
    if args.sure.dry_run {
        return look(args, &what, common).await;
    }
    if !args.end {
        let question = format!("Start throw-away servers for {}?", args.name);
        args.sure.ask(&question, &format!("{}: nothing was started", args.name))?;
    }
    let hub = common.connection()?;
    let path = api::path(&["berth", "trainings", &args.name, "rehearsal", "servers"]);
    let stage = Stage { hub: &hub, what: &what, path };
    // Asked for before anything is started: no signal may come between.
    let mut signals = Signals::new(&what)?;
    let answer = match args.end {
        true => stage.end().await?,
        false => stage.begin(args).await?,
    };
    stage.follow(answer, &mut signals, common).await
}

/// What would come of it.
async fn look(args: &Args, what: &str, common: &Common) -> Result<Exit, Problem> {
    if !common.style().is_for_programs() {
        args.sure.only_looks(&format!("It would {what}."))?;
    }
    let exit = if args.end { Exit::Done } else { estimate::run(args, common).await? };
    Ok(if exit == Exit::Done { args.sure.looked() } else { exit })
}

/// The rehearsal on the hub.
struct Stage<'a> {
    hub: &'a Connection,
    what: &'a str,
    path: String,
}

/// What asks this command to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new(what: &str) -> Result<Self, Problem> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                let advice = "Start it again; nothing was asked for.";
                Problem::new(Exit::Failed, format!("cannot {what}"), error, advice)
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

impl Stage<'_> {
    async fn begin(&self, args: &Args) -> Result<Answer, Problem> {
        let mut body = json!({ "keep": args.keep });
        if let Some(servers) = args.servers {
            body["servers"] = json!(servers);
        }
        api::send(self.hub, self.what, Method::POST, &self.path, Some(&body)).await
    }

    async fn end(&self) -> Result<Answer, Problem> {
        api::send(self.hub, self.what, Method::DELETE, &self.path, None).await
    }

    fn read(&self, answer: &Answer) -> Result<Rehearsal, Problem> {
        api::read(self.what, answer.body.get("rehearsal").unwrap_or(&Value::Null))
    }

    /// Shows it until nothing is left of it, or until its servers are kept. Whoever interrupts
    /// breaks it off, and sees its servers end; whoever does so again leaves that to the hub.
    async fn follow(
        &self,
        mut answer: Answer,
        signals: &mut Signals,
        common: &Common,
    ) -> Result<Exit, Problem> {
        let mut screen = Screen::new(common);
        let begun = self.read(&answer)?;
        let (mut away, mut broken_off) = (false, false);
        // A hub that is away is told when it is back.
        let mut owes_end = false;
        loop {
            let now = self.read(&answer)?;
            if !now.is_the_same(&begun) {
                note("It is over, and somebody rehearses anew.");
                return Ok(Exit::Failed);
            }
            screen.tell(&now, answer.now)?;
            if now.is_over() || (now.is_kept() && !broken_off) {
                screen.finish(&now, &answer)?;
                return Ok(if now.went_well() && !broken_off { Exit::Done } else { Exit::Failed });
            }
            let interrupted = tokio::select! {
                () = tokio::time::sleep(EVERY) => false,
                () = signals.next() => true,
            };
            if interrupted && broken_off {
                note(match owes_end {
                    false => "left; the hub ends the servers",
                    true => "left; the hub was not told, and ends them when all are measured",
                });
                return Ok(Exit::Continues);
            }
            broken_off |= interrupted;
            owes_end |= interrupted;
            if interrupted {
                note("broken off; the servers end (again: leave that to the hub)");
            }
            let asked = if owes_end { self.end().await } else { self.look().await };
            match asked {
                Ok(newer) => {
                    owes_end = false;
                    if std::mem::take(&mut away) {
                        note("The hub is back.");
                    }
                    answer = newer;
                }
                Err(problem) if problem.exit() == Exit::NotReachable => {
                    if !std::mem::replace(&mut away, true) {
                        note("The hub is away; it goes on with the rehearsal when it is back.");
                    }
                }
                // It ended in this moment.
                Err(problem) if owes_end && problem.exit() == Exit::NotFound => owes_end = false,
                Err(problem) => return Err(problem),
            }
        }
    }

    async fn look(&self) -> Result<Answer, Problem> {
        api::get(self.hub, self.what, &self.path).await
    }
}
