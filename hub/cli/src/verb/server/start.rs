//! `berth server start`: asks for a server and tells each step until people can open it.

use std::time::{Duration, Instant};

use berth_common::{Reason, ServerName};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Server, all, title};
use crate::api;
use crate::args::{Common, Patience, Wish};
use crate::connection::{Answer, Connection, ConnectionError};
use crate::print::{Listing, note, say, versioned};
use crate::problem::{Exit, Problem};
use crate::text;
use crate::verb::explain::{self, Decision};

/// Before the stream of a start can be opened the hub must have accepted it.
const STREAM_AFTER: Duration = Duration::from_millis(200);

/// Between two looks whether a hub that was away is back.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Options.
#[derive(Debug, clap::Args)]
#[command(after_help = "What is not said is as at the server's last start.")]
pub struct Args {
    #[command(flatten)]
    wish: Wish,
    /// A further server beside the default one
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    name: ServerName,
    /// Start only if a host has room now; do not queue
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    patience: Patience,
    /// Only say what would come of it
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: exit code 9 if it would wait
    #[arg(long, requires = "dry_run")]
    exit_code: bool,
    /// Nothing is asked before a start; for scripts that always say it
    #[arg(long, short, hide = true)]
    yes: bool,
}

/// One start, followed.
struct Start<'a> {
    hub: &'a Connection,
    title: String,
    what: String,
    path: String,
    begun: Instant,
    quiet: bool,
    /// Messages told so far: the stream repeats them when it is opened again.
    told: Vec<String>,
    /// The hub did not answer when it was asked last.
    away: bool,
}

/// How the following of a stream ended.
enum Followed {
    Ready { url: String },
    Failed { message: String, reason: Option<String> },
    Waits { message: String },
}

/// Starts and follows.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let hub = &common.connection()?;
    let user = api::person(hub, "start a server", args.wish.user.as_ref()).await?;
    let title = title(&user, args.name.as_str());
    let what = format!("start server {title}");
    if args.dry_run {
        let (answer, decision) =
            explain::dry_run(hub, &what, Some(&user), &args.name, &args.wish).await?;
        let style = common.style();
        if !style.is_for_programs() {
            say("DRY RUN - nothing is changed")?;
        }
        explain::print(&style, &decision, &answer, true)?;
        return Ok(if args.exit_code { decision.exit() } else { Exit::Done });
    }
    if args.no_wait && would_wait(hub, &what, &user, args).await? {
        return Ok(Exit::WouldWait);
    }
    follow_start(hub, title, path_of(&user, args.name.as_str()), args, common).await
}

/// Starts a server with what it had.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn again(
    hub: &Connection,
    server: &Server,
    patience: Patience,
    common: &Common,
) -> Result<Exit, Problem> {
    let args = Args {
        wish: Wish {
            user: None,
            profile: None,
            memory: None,
            image: None,
            gpus: None,
            gpu_model: None,
        },
        name: ServerName::default_server(),
        no_wait: false,
        patience,
        dry_run: false,
        exit_code: false,
        yes: true,
    };
    let path = path_of(&server.user, &server.name);
    follow_start(hub, server.title(), path, &args, common).await
}

fn path_of(user: &str, name: &str) -> String {
    match name {
        "" => api::path(&["users", user, "server"]),
        name => api::path(&["users", user, "servers", name]),
    }
}

async fn follow_start(
    hub: &Connection,
    title: String,
    path: String,
    args: &Args,
    common: &Common,
) -> Result<Exit, Problem> {
    let what = format!("start server {title}");
    if args.patience.detach {
        let answer = hub.call(Method::POST, &path, body(&args.wish).as_ref()).await;
        let answer = answer.map_err(|error| api::away(hub, &what, &error))?;
        if !matches!(answer.status, StatusCode::CREATED | StatusCode::ACCEPTED) {
            return Err(refusal(hub, &title, &what, &answer));
        }
        if !common.quiet {
            say(&format!("{title} was asked for: berth server show {title}"))?;
        }
        return Ok(Exit::Done);
    }
    let quiet = common.quiet || common.style().is_for_programs();
    let begun = Instant::now();
    let told = Vec::new();
    let mut start = Start { hub, title, what, path, begun, quiet, told, away: false };
    let followed = tokio::select! {
        followed = follow(&mut start, args) => followed?,
        _ = tokio::signal::ctrl_c() => {
            let title = &start.title;
            note(&format!("\nleft; the start goes on: berth server show {title}"));
            return Ok(Exit::Continues);
        }
        () = args.patience.used_up() => {
            let title = &start.title;
            note(&format!("not watched any more; the start goes on: berth server show {title}"));
            return Ok(Exit::Continues);
        }
    };
    finish(&start, common, followed).await
}

/// Whether a request like this one would wait. A refusal is a problem.
async fn would_wait(
    hub: &Connection,
    what: &str,
    user: &str,
    args: &Args,
) -> Result<bool, Problem> {
    let mut wish = args.wish.clone();
    if wish.choices().is_empty() {
        let servers = all(hub, what).await?;
        let wanted = crate::args::ServerRef::of(user, &args.name);
        if let Some(last) = wanted.and_then(|wanted| servers.find(&wanted, what).ok()) {
            wish.profile = Some(last.profile.clone());
            wish.memory = Some(last.memory.limit);
            wish.image = Some(last.image.clone());
        }
    }
    let (_, decision) = explain::dry_run(hub, what, Some(user), &args.name, &wish).await?;
    match decision.outcome.as_str() {
        "waits" => {
            note(&format!("{} Nothing was asked for.", explain::headline(&decision, true)));
            Ok(true)
        }
        "refused" => Err(refused(what, &decision)),
        _ => Ok(false),
    }
}

fn refused(what: &str, decision: &Decision) -> Problem {
    let reason = &decision.reason;
    Problem::new(Exit::Refused, format!("cannot {what}"), &decision.sentence, &reason.remedy)
        .because(Some(&reason.code))
}

/// Asks for the server; tells the steps while the hub waits for it, and after.
async fn follow(start: &mut Start<'_>, args: &Args) -> Result<Followed, Problem> {
    let body = body(&args.wish);
    let (hub, path, what) = (start.hub, start.path.clone(), start.what.clone());
    let mut again = false;
    let answer = loop {
        let ask = hub.call(Method::POST, &path, body.as_ref());
        tokio::pin!(ask);
        let answer = tokio::select! {
            answer = &mut ask => answer,
            () = tell_steps(start) => ask.await,
        };
        match answer {
            Ok(answer) => break answer,
            // Nobody knows whether it was heard, and asked twice it is the same start.
            Err(error)
                if matches!(error, ConnectionError::Broken(_)) || again && error.passes() =>
            {
                start.wait_for_the_hub().await;
                again = true;
            }
            Err(error) => return Err(api::away(hub, &what, &error)),
        }
    };
    match answer.status {
        StatusCode::CREATED | StatusCode::ACCEPTED => to_the_end(start, args.no_wait).await,
        StatusCode::BAD_REQUEST if again && already_runs(&answer) => {
            to_the_end(start, args.no_wait).await
        }
        _ => Err(refusal(hub, &start.title, &what, &answer)),
    }
}

fn already_runs(answer: &Answer) -> bool {
    let message = answer.body.get("message").and_then(Value::as_str);
    answer.status == StatusCode::BAD_REQUEST
        && message.is_some_and(|message| message.ends_with("already running"))
}

fn body(wish: &Wish) -> Option<Value> {
    let choices = wish.choices();
    (!choices.is_empty()).then(|| json!({ "user_options": choices }))
}

fn refusal(hub: &Connection, title: &str, what: &str, answer: &Answer) -> Problem {
    let message = answer.body.get("message").and_then(Value::as_str).unwrap_or_default();
    if already_runs(answer) {
        let advice = format!("See it with berth server show {title}");
        return Problem::new(Exit::Failed, format!("cannot {what}"), message, advice);
    }
    api::refusal(hub, what, answer)
}

/// Tells the steps as far as they are known. The answer to the request tells how it ends, so
/// this only returns when there is nothing more to hear, and never says so itself.
async fn tell_steps(start: &mut Start<'_>) {
    tokio::time::sleep(STREAM_AFTER).await;
    let path = format!("{}/progress", start.path);
    let Ok(Ok(mut events)) = start.hub.events(&path).await else { return };
    while let Ok(Some(event)) = events.next().await {
        if event.get("ready").is_some() || event.get("failed").is_some() {
            return;
        }
        start.tell(&event);
    }
}

/// Follows the stream until the server is ready or has failed, also past a hub that is replaced.
async fn to_the_end(start: &mut Start<'_>, no_wait: bool) -> Result<Followed, Problem> {
    loop {
        match stream(start, no_wait).await {
            Err(Broken::Off(error)) if error.passes() => start.wait_for_the_hub().await,
            Err(Broken::Off(error)) => {
                return Err(api::away(start.hub, "follow the start, which goes on", &error));
            }
            Err(Broken::By(problem)) => return Err(problem),
            Ok(followed) => return Ok(followed),
        }
    }
}

/// Why a stream did not tell the end.
enum Broken {
    /// No connection.
    Off(ConnectionError),
    /// The hub's word.
    By(Problem),
}

impl From<ConnectionError> for Broken {
    fn from(error: ConnectionError) -> Self {
        Self::Off(error)
    }
}

/// Follows one stream.
async fn stream(start: &mut Start<'_>, no_wait: bool) -> Result<Followed, Broken> {
    let path = format!("{}/progress", start.path);
    let hub = start.hub;
    let mut events = match hub.events(&path).await? {
        Ok(events) => events,
        Err(answer) => return Err(Broken::By(api::refusal(hub, &start.what, &answer))),
    };
    start.is_there();
    let text = |event: &Value, key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
    while let Some(event) = events.next().await? {
        let message = text(&event, "message").unwrap_or_default();
        if event.get("ready").is_some() {
            return Ok(Followed::Ready { url: text(&event, "url").unwrap_or_default() });
        }
        if event.get("failed").is_some() {
            return Ok(Followed::Failed { message, reason: text(&event, "reason") });
        }
        start.tell(&event);
        if no_wait && message.starts_with("Waits") {
            return Ok(Followed::Waits { message });
        }
    }
    Err(Broken::By(Problem::new(
        Exit::Continues,
        "cannot follow the start, which goes on",
        "the hub ended the stream",
        format!("Look again with berth server show {}", start.title),
    )))
}

async fn finish(start: &Start<'_>, common: &Common, followed: Followed) -> Result<Exit, Problem> {
    let after = text::seconds(millis(start.begun));
    match followed {
        Followed::Waits { message } => {
            let title = &start.title;
            note(&format!("It is in the queue now: {message}"));
            note(&format!("Take it out with: berth server stop {title}"));
            Ok(Exit::WouldWait)
        }
        Followed::Failed { message, reason } => {
            let known = reason.as_deref().and_then(|code| code.parse::<Reason>().ok());
            let advice = known.map(Reason::remedy).filter(|remedy| !remedy.is_empty());
            let why = message.strip_prefix("Spawn failed: ").unwrap_or(&message);
            let advice = advice.unwrap_or("Start it again.");
            Err(Problem::new(Exit::Failed, format!("cannot {}", start.what), why, advice)
                .because(reason.as_deref()))
        }
        Followed::Ready { url } => {
            let style = common.style();
            let shown = match &start.hub.url {
                crate::connection::HubUrl::Tcp { .. } => format!("{}{url}", start.hub.url),
                crate::connection::HubUrl::Unix(_) => url,
            };
            if style.is_for_programs() {
                let (user, name) = start.title.split_once('/').unwrap_or((&start.title, ""));
                let mut servers = all(start.hub, &start.what).await?;
                servers.keep(|server| server.user == user && server.name == name);
                let json = versioned("server", servers.one().clone());
                style.list(&Listing { json: &json, ..servers.listing() })?;
            } else {
                say(&format!("{after:>8}  {} is ready: {shown}", start.title))?;
            }
            Ok(Exit::Done)
        }
    }
}

impl Start<'_> {
    /// Says once that the hub is away, and lets some time pass.
    async fn wait_for_the_hub(&mut self) {
        if !std::mem::replace(&mut self.away, true) {
            note("The hub is away; the start is followed on when it is back.");
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }

    /// The hub answers.
    fn is_there(&mut self) {
        if std::mem::take(&mut self.away) {
            note("The hub is back.");
        }
    }

    /// Tells a step once, with the time since the command began.
    fn tell(&mut self, event: &Value) {
        let Some(message) = event.get("message").and_then(Value::as_str) else { return };
        if self.quiet || self.told.iter().any(|told| told == message) {
            return;
        }
        let after = text::seconds(millis(self.begun));
        let line = format!("{after:>8}  {}", crate::problem::plain(message));
        // A reader that went away does not undo the start.
        let _ = say(&line);
        self.told.push(message.to_owned());
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
