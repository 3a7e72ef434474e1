//! `berth config`: the site's files, in force and on disk.

use berth_common::{Seconds, Timestamp};
use clap::Subcommand;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use similar::TextDiff;

use crate::api;
use crate::args::Common;
use crate::print::{Cell, Column, Listing, Tone, note, say};
use crate::problem::{Exit, Problem, plain};
use crate::text::{self, plural};
use crate::verb::confirm::Sure;

mod migrate;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say what is wrong with the files on disk, and if they are in force
    Check(Check),
    /// Show how the files on disk differ from those in force
    Diff,
    /// Take the files on disk over now; all of them, or none
    Reload(Sure),
    /// Go back to the files before, until those on disk change
    Rollback(Sure),
    /// Show which files are in force, or what they give a person
    Show(Show),
    /// Write the files of a folder as this version of Berth has them
    Migrate(migrate::Args),
}

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Exit with 5 if the files on disk would change something
    #[arg(long)]
    exit_code: bool,
}

/// Options of `show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// What a person has, and which line says so
    #[arg(long, num_args = 2, value_names = ["user", "NAME"])]
    effective: Vec<String>,
}

/// Does what the verb says.
pub async fn run(verb: &Verb, common: &Common) -> Result<Exit, Problem> {
    match verb {
        Verb::Check(args) => check(args, common).await,
        Verb::Diff => diff(common).await,
        Verb::Reload(sure) => apply("reload", *sure, common).await,
        Verb::Rollback(sure) => apply("rollback", *sure, common).await,
        Verb::Migrate(args) => migrate::run(args, common),
        Verb::Show(args) => match args.effective.as_slice() {
            [] => show(common).await,
            [kind, name] if kind == "user" => effective(name, common).await,
            _ => {
                let why = "rights are shown of users only".to_owned();
                let advice = "Write: berth config show --effective user NAME";
                Err(Problem::new(Exit::Usage, "cannot show rights".to_owned(), why, advice))
            }
        },
    }
}

#[derive(Debug, Deserialize)]
struct State {
    #[serde(default, deserialize_with = "api::moment")]
    in_force_since: Option<Timestamp>,
    from: String,
    files: Vec<String>,
    same_as_disk: bool,
    valid: bool,
    found: Vec<Found>,
}

#[derive(Debug, Deserialize)]
struct Found {
    severity: String,
    file: String,
    line: u32,
    code: String,
    message: String,
}

impl Found {
    fn sentence(&self) -> String {
        let Self { severity, file, line, code, message } = self;
        let place = if *line == 0 { file.clone() } else { format!("{file}:{line}") };
        plain(&format!("{severity:8} {place}  {message} [{code}]"))
    }
}

async fn state(what: &str, common: &Common) -> Result<(Value, State, Timestamp), Problem> {
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "config"])).await?;
    let state = api::read(what, answer.body.get("config").unwrap_or(&Value::Null))?;
    Ok((answer.body, state, answer.now))
}

async fn check(args: &Check, common: &Common) -> Result<Exit, Problem> {
    let (body, state, _) = state("check the configuration", common).await?;
    let exit = match (state.valid, state.same_as_disk) {
        (false, _) => Exit::Failed,
        (true, false) if args.exit_code => Exit::WouldChange,
        _ => Exit::Done,
    };
    let style = common.style();
    if style.is_for_programs() {
        style.value(&body)?;
        return Ok(exit);
    }
    for found in &state.found {
        say(&found.sentence())?;
    }
    let errors = state.found.iter().filter(|found| found.severity == "error").count();
    say(&match (state.valid, state.same_as_disk) {
        (false, _) => format!(
            "{errors} error{}: nothing would be applied, the running configuration stays.",
            plural(errors)
        ),
        (true, true) => "The files on disk are right, and in force.".to_owned(),
        (true, false) => "The files on disk are right, and not in force.".to_owned(),
    })?;
    Ok(exit)
}

async fn show(common: &Common) -> Result<Exit, Problem> {
    let (body, state, now) = state("show the configuration", common).await?;
    let style = common.style();
    if style.is_for_programs() {
        style.value(&body)?;
        return Ok(Exit::Done);
    }
    let since = state.in_force_since.map(|at| text::local(at, now)).unwrap_or_default();
    let from = match state.from.as_str() {
        "kept" => "kept by the hub: those on disk cannot be used",
        "rolled back" => "those before: somebody went back to them",
        _ => "those on disk",
    };
    say(&format!("In force since {since}, {from}:"))?;
    for file in &state.files {
        say(&format!("  {}", plain(file)))?;
    }
    if !state.same_as_disk {
        note("The files on disk say something else: 'berth config diff' shows it.");
    }
    Ok(Exit::Done)
}

#[derive(Debug, Deserialize)]
struct Differs {
    file: String,
    in_force: Option<String>,
    on_disk: Option<String>,
    /// What of it only a restart of the hub takes over.
    #[serde(default)]
    restart: Vec<String>,
}

async fn diff(common: &Common) -> Result<Exit, Problem> {
    let what = "compare the configuration";
    let hub = common.connection()?;
    let answer = api::get(&hub, what, &api::path(&["berth", "config", "diff"])).await?;
    let differ: Vec<Differs> = api::read(what, answer.body.get("diff").unwrap_or(&Value::Null))?;
    let style = common.style();
    if style.is_for_programs() {
        style.value(&answer.body)?;
        return Ok(Exit::Done);
    }
    for Differs { file, in_force, on_disk, restart } in &differ {
        let (before, after) = (in_force.as_deref(), on_disk.as_deref());
        let diff = TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default());
        let names = (format!("{file} (in force)"), format!("{file} (on disk)"));
        let told = diff.unified_diff().header(&names.0, &names.1).to_string();
        for line in told.lines() {
            say(&plain(line))?;
        }
        for key in restart {
            note(&plain(key));
        }
    }
    if differ.is_empty() {
        say("The files on disk are those in force.")?;
    }
    Ok(Exit::Done)
}

#[derive(Debug, Deserialize)]
struct Applied {
    applied: bool,
    #[serde(default, deserialize_with = "api::moment")]
    in_force_since: Option<Timestamp>,
    found: Vec<Found>,
}

async fn apply(verb: &str, sure: Sure, common: &Common) -> Result<Exit, Problem> {
    let what = format!("{verb} the configuration");
    if sure.dry_run && verb == "reload" {
        say("DRY RUN - nothing is changed")?;
        return check(&Check { exit_code: sure.exit_code }, common).await;
    }
    let would = "The files before would be in force until those on disk change.";
    if let Some(exit) = sure.only_looks(would)? {
        return Ok(exit);
    }
    let hub = common.connection()?;
    let path = api::path(&["berth", "config", verb]);
    let answer = api::send(&hub, &what, Method::POST, &path, None).await?;
    let done: Applied = api::read(&what, answer.body.get("config").unwrap_or(&Value::Null))?;
    let exit = if done.applied { Exit::Done } else { Exit::Failed };
    let style = common.style();
    if style.is_for_programs() {
        style.value(&answer.body)?;
        return Ok(exit);
    }
    for found in &done.found {
        say(&found.sentence())?;
    }
    let since = done.in_force_since.map(|at| text::local(at, answer.now)).unwrap_or_default();
    say(&match (done.applied, verb) {
        (false, _) => format!("Nothing was applied; the configuration of {since} stays in force."),
        (true, "rollback") => {
            "The files before are in force until those on disk change: put these right.".to_owned()
        }
        (true, _) => "The files on disk are in force.".to_owned(),
    })?;
    Ok(exit)
}

#[derive(Debug, Deserialize)]
struct Effective {
    user: String,
    groups: Vec<String>,
    admin: bool,
    profiles: Vec<Profile>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    profile: String,
    allowed: bool,
    why: Option<String>,
    rules: Vec<Rule>,
    idle_stop_s: Option<u64>,
    idle_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    text: String,
    passed: bool,
    cite: Option<String>,
}

/// A line of what a person has.
struct Right {
    profile: String,
    rule: String,
    holds: &'static str,
    cite: Option<String>,
}

const COLUMNS: &[Column<Right>] = &[
    Column::new("PROFILE", "profile", |it: &Right, _| Cell::text(&it.profile)),
    Column::new("RULE", "rule", |it: &Right, _| Cell::text(&it.rule).toned(Tone::Plain)),
    Column::new("", "passed", |it: &Right, _| Cell::text(it.holds)),
    Column::new("WHERE", "where", |it: &Right, _| Cell::maybe(it.cite.as_ref())),
];

impl Profile {
    fn rights(self) -> Vec<Right> {
        let Self { profile, allowed, why, rules, idle_stop_s, idle_at } = self;
        let right =
            |rule: String, holds, cite| Right { profile: profile.clone(), rule, holds, cite };
        let word = |passed: bool| if passed { "ok" } else { "no" };
        let mut rights: Vec<_> =
            rules.into_iter().map(|rule| right(rule.text, word(rule.passed), rule.cite)).collect();
        rights.extend(why.filter(|_| !allowed).map(|why| right(why, "", None)));
        let idle = match idle_stop_s {
            Some(limit) => format!("stopped after {} without activity", Seconds(limit)),
            None => "never stopped for want of activity".to_owned(),
        };
        rights.push(right(idle, "", idle_at));
        rights
    }
}

async fn effective(name: &str, common: &Common) -> Result<Exit, Problem> {
    let what = format!("show the rights of {name}");
    let hub = common.connection()?;
    let path = api::path(&["berth", "config", "effective", name]);
    let answer = api::get(&hub, &what, &path).await?;
    let person: Effective = api::read(&what, answer.body.get("effective").unwrap_or(&Value::Null))?;
    let style = common.style();
    if !style.is_for_programs() {
        let groups = match person.groups.as_slice() {
            [] => "no group".to_owned(),
            groups => groups.join(", "),
        };
        let is = if person.admin { "an administrator, " } else { "" };
        say(&plain(&format!("{}: {is}in {groups}", person.user)))?;
    }
    let rights: Vec<Right> = person.profiles.into_iter().flat_map(Profile::rights).collect();
    style.list(&Listing {
        json: &answer.body,
        columns: COLUMNS,
        rows: &rights,
        name: |right| right.profile.clone(),
        now: answer.now,
        empty: "There are no profiles.",
    })?;
    Ok(Exit::Done)
}
