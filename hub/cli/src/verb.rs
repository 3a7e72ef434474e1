//! The nouns and verbs. One verb a file.

use clap::{Parser, Subcommand};

use crate::args::Common;
use crate::problem::{Exit, Problem};

mod access;
mod audit;
mod completion;
mod config;
mod confirm;
mod decision;
mod doctor;
mod drain;
mod enter;
mod explain;
mod help;
mod host;
mod image;
mod import;
mod kernel;
mod login;
mod logout;
mod maint;
mod man;
mod notice;
mod plan;
mod pool;
mod profile;
mod queue;
mod quota;
mod server;
mod simulate;
mod take_back;
mod token;
mod training;
mod usage;
mod user;
mod watch;
mod web;
mod whoami;
mod whois;

/// Notebook servers on a fleet of machines.
#[derive(Debug, Parser)]
#[command(name = "berth", version, infer_long_args = false, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 bad usage, 3 refused by the rules,\n\
4 no such object, 5 something would change, 6 the operation continues,\n\
7 hub not reachable, 8 not allowed, 9 would wait. 'berth help reasons' lists the\n\
codes in brackets.")]
pub struct CommandLine {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Log in to a hub and keep a token for the next commands
    Login(login::Args),
    /// End that token and forget the hub
    Logout(logout::Args),
    /// Whose token this is and what it allows
    Whoami(whoami::Args),
    /// What the account directory says of somebody (administrators)
    Whois(whois::Args),
    /// Notebook servers
    #[command(subcommand)]
    Server(server::Verb),
    /// The same as `server list`
    Ls(server::list::Args),
    /// Who uses most memory now
    Top(server::top::Args),
    /// What was used over time, by user or group
    Usage(usage::Args),
    /// How much a person may hold, and holds
    #[command(subcommand)]
    Quota(quota::Verb),
    /// Who may use a profile or a host (administrators)
    #[command(subcommand)]
    Access(access::Verb),
    /// What can be started
    #[command(subcommand)]
    Profile(profile::Verb),
    /// Images, and how far a new version has come (administrators)
    #[command(subcommand)]
    Image(image::Verb),
    /// Kernels of one's own, in HOME
    #[command(subcommand)]
    Kernel(kernel::Verb),
    /// Why something is where it is, waits or is refused
    #[command(subcommand)]
    Explain(explain::Verb),
    /// What was decided lately
    #[command(subcommand)]
    Decision(decision::Verb),
    /// Who waits (administrators)
    #[command(subcommand)]
    Queue(queue::Verb),
    /// What if; nothing is changed (administrators)
    #[command(subcommand)]
    Plan(plan::Verb),
    /// Tokens for programs
    #[command(subcommand)]
    Token(token::Verb),
    /// Machines (administrators)
    #[command(subcommand)]
    Host(host::Verb),
    /// Sets of hosts with one placement policy (administrators)
    #[command(subcommand)]
    Pool(pool::Verb),
    /// The site's files: in force, and on disk (administrators)
    #[command(subcommand)]
    Config(config::Verb),
    /// Whether all is as it should be, and what to do (administrators)
    Doctor(doctor::Args),
    /// Hosts that are emptied or take nothing new (administrators)
    Drain(drain::Args),
    /// Hosts that are to be empty for a while (administrators)
    #[command(subcommand)]
    Maint(maint::Verb),
    /// What people should know for a while (administrators, instructors)
    #[command(subcommand)]
    Notice(notice::Verb),
    /// Courses with dates, people and hosts of their own
    #[command(subcommand)]
    Training(training::Verb),
    /// Accounts (administrators)
    #[command(subcommand)]
    User(user::Verb),
    /// Into another person's server, with a reason that the owner reads
    Enter(enter::Args),
    /// Who did what, from where, to whom and why
    Audit(audit::Args),
    /// People of another hub (administrators)
    #[command(subcommand)]
    Import(import::Verb),
    /// Replays of traces through the scheduling code; no hub is asked
    #[command(subcommand)]
    Simulate(simulate::Verb),
    /// The help of a command, or the table of reason codes
    Help(help::Args),
    /// Completion for a shell, to be sourced
    Completion(completion::Args),
    /// The manual pages of all commands, for packages
    #[command(hide = true)]
    Man(man::Args),
}

/// Does what the command line asks.
///
/// # Errors
/// What, why, and what to do.
pub async fn run(line: &CommandLine) -> Result<Exit, Problem> {
    let common = &line.common;
    match &line.noun {
        noun if common.web => web::run(noun, common).await,
        // What watches something else than its own answer.
        Noun::Host(host::Verb::Drain(_)) => once(line).await,
        noun if common.watch => watch::run(line, noun.only_reads()).await,
        _ => once(line).await,
    }
}

/// Does it once.
async fn once(line: &CommandLine) -> Result<Exit, Problem> {
    let common = &line.common;
    match &line.noun {
        Noun::Login(args) => login::run(args, common).await,
        Noun::Logout(args) => logout::run(args, common).await,
        Noun::Whoami(args) => whoami::run(args, common).await,
        Noun::Whois(args) => whois::run(args, common).await,
        Noun::Server(verb) => server::run(verb, common).await,
        Noun::Ls(args) => server::list::run(args, common).await,
        Noun::Top(args) => server::top::run(args, common).await,
        Noun::Usage(args) => usage::run(args, common).await,
        Noun::Quota(verb) => quota::run(verb, common).await,
        Noun::Access(verb) => access::run(verb, common).await,
        Noun::Image(verb) => image::run(verb, common).await,
        Noun::Kernel(verb) => kernel::run(verb, common),
        Noun::Pool(verb) => pool::run(verb, common).await,
        Noun::Help(args) => help::run(args, common),
        Noun::Profile(verb) => profile::run(verb, common).await,
        Noun::Explain(verb) => explain::run(verb, common).await,
        Noun::Decision(verb) => decision::run(verb, common).await,
        Noun::Queue(verb) => queue::run(verb, common).await,
        Noun::Plan(verb) => plan::run(verb, common).await,
        Noun::Token(verb) => token::run(verb, common).await,
        Noun::Host(verb) => host::run(verb, common).await,
        Noun::Config(verb) => config::run(verb, common).await,
        Noun::Doctor(args) => doctor::run(args, common).await,
        Noun::Drain(args) => drain::run(args, common).await,
        Noun::Maint(verb) => maint::run(verb, common).await,
        Noun::Notice(verb) => notice::run(verb, common).await,
        Noun::Training(verb) => training::run(verb, common).await,
        Noun::User(verb) => user::run(verb, common).await,
        Noun::Enter(args) => enter::run(args, common).await,
        Noun::Audit(args) => audit::run(args, common).await,
        Noun::Import(verb) => import::run(verb, common).await,
        Noun::Simulate(verb) => simulate::run(verb, common),
        Noun::Completion(args) => completion::run(args),
        Noun::Man(args) => man::run(args),
    }
}

impl Noun {
    /// Whether it only tells, so that it can be told again and again.
    fn only_reads(&self) -> bool {
        match self {
            Self::Whoami(_) | Self::Whois(_) | Self::Ls(_) | Self::Top(_) | Self::Usage(_) => true,
            Self::Doctor(_) | Self::Audit(_) | Self::Explain(_) | Self::Profile(_) => true,
            Self::Quota(_) | Self::Access(_) => true,
            Self::Server(verb) => matches!(
                verb,
                server::Verb::List(_) | server::Verb::Show(_) | server::Verb::Events(_)
            ),
            Self::Decision(verb) => !matches!(verb, decision::Verb::Replay(_)),
            Self::Queue(verb) => matches!(verb, queue::Verb::List(_)),
            Self::Token(verb) => matches!(verb, token::Verb::List(_)),
            Self::Host(verb) => matches!(verb, host::Verb::List(_) | host::Verb::Show(_)),
            Self::Pool(verb) => matches!(verb, pool::Verb::List(_) | pool::Verb::Show(_)),
            Self::Image(verb) => matches!(
                verb,
                image::Verb::List(_) | image::Verb::Rollout(image::rollout::Verb::Status(_))
            ),
            Self::Config(verb) => {
                matches!(verb, config::Verb::Check(_) | config::Verb::Diff | config::Verb::Show(_))
            }
            Self::Drain(args) => args.only_lists(),
            Self::Maint(verb) => matches!(verb, maint::Verb::List(_)),
            Self::Notice(verb) => matches!(verb, notice::Verb::List(_)),
            Self::Training(verb) => matches!(
                verb,
                training::Verb::List(_) | training::Verb::Show(_) | training::Verb::Check(_)
            ),
            Self::User(verb) => matches!(verb, user::Verb::List(_)),
            _ => false,
        }
    }
}
