//! `berth completion bash|zsh|fish`: what clap knows of the commands, and the names that the hub
//! knows at that moment, asked with the same commands and rights as by hand.

use std::fmt::Write as _;
use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::problem::{Exit, Problem};
use crate::verb::CommandLine;

/// Options.
#[derive(Debug, clap::Args)]
#[command(after_help = "For example, in ~/.bashrc: source <(berth completion bash)")]
pub struct Args {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

/// Where names of the hub stand: the noun, its verbs (none: the noun is all), and what lists them.
const NAMES: &[(&str, &[&str], &str)] = &[
    ("host", &["show", "cordon", "uncordon", "drain", "undrain"], "host list"),
    ("drain", &["watch", "status", "cancel"], "drain list"),
    ("plan", &["remove-host", "reboot"], "host list"),
    ("explain", &["host"], "host list"),
    ("explain", &["server"], "server list"),
    ("explain", &["decision"], "decision list"),
    ("decision", &["show", "replay"], "decision list"),
    ("queue", &["move"], "queue list"),
    ("pool", &["show", "open", "close"], "pool list"),
    ("profile", &["show"], "profile list"),
    ("image", &["pull", "rollout"], "image list"),
    ("quota", &["show"], "user list"),
    ("help", &["reasons"], "help reasons"),
    (
        "server",
        &["show", "stop", "restart", "extend", "resize", "events", "open", "logs"],
        "server list",
    ),
    ("training", &["show", "check", "rehearse", "open", "extend", "close"], "training list"),
    ("notice", &["end"], "notice list"),
    ("maint", &["cancel"], "maint list"),
    ("user", &["password", "link", "unlink"], "user list"),
    ("token", &["revoke"], "token list"),
    ("enter", &[], "server list"),
    ("whois", &[], "user list"),
];

/// A hub that does not answer must not hold the terminal up for longer than these seconds.
const ASK: &str = "timeout \"${BERTH_COMPLETE_WITHIN:-2}\" berth";

/// Prints it.
pub fn run(args: &Args) -> Result<Exit, Problem> {
    let shell = match args.shell.as_str() {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "berth", &mut script);
    script.extend(live(shell).into_bytes());
    let _ = std::io::stdout().write_all(&script);
    Ok(Exit::Done)
}

/// The part that asks the hub.
fn live(shell: Shell) -> String {
    match shell {
        Shell::Fish => fish(),
        Shell::Zsh => format!(
            "\n_berth_with_names() {{\n    _berth \"$@\"\n    local names\n    {}\n    \
             [[ -n $names ]] && compadd -- ${{(f)names}}\n}}\ncompdef _berth_with_names berth\n",
            cases("${words[2]-} ${words[3]-}")
        ),
        _ => format!(
            "\n_berth_with_names() {{\n    _berth \"$@\"\n    local names=\n    {}\n    \
             [[ -z $names ]] || COMPREPLY+=($(compgen -W \"$names\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n\
             }}\ncomplete -F _berth_with_names -o nosort -o bashdefault -o default berth\n",
            cases("${COMP_WORDS[1]-} ${COMP_WORDS[2]-}")
        ),
    }
}

/// What lists the names for the words so far, for shells of Bourne's kind.
fn cases(words: &str) -> String {
    let mut text = format!("case \"{words}\" in\n");
    for (noun, verbs, list) in NAMES {
        let patterns: Vec<_> = match verbs.is_empty() {
            true => vec![format!("\"{noun} \"*")],
            false => verbs.iter().map(|verb| format!("\"{noun} {verb}\"")).collect(),
        };
        let patterns = patterns.join(" | ");
        let _ = writeln!(text, "    {patterns}) names=$({ASK} {list} -q 2>/dev/null) ;;");
    }
    text.push_str("    esac");
    text
}

fn fish() -> String {
    let mut text = String::from("\n");
    for (noun, verbs, list) in NAMES {
        let mut seen = format!("__fish_seen_subcommand_from {noun}");
        if !verbs.is_empty() {
            let _ = write!(seen, "; and __fish_seen_subcommand_from {}", verbs.join(" "));
        }
        let _ = writeln!(
            text,
            "complete -c berth -f -n '{seen}' -a '(timeout 2 berth {list} -q 2>/dev/null)'"
        );
    }
    text
}
