//! `berth completion bash|zsh|fish`.

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

/// Prints it.
pub fn run(args: &Args) -> Result<Exit, Problem> {
    let shell = match args.shell.as_str() {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "berth", &mut script);
    let _ = std::io::stdout().write_all(&script);
    Ok(Exit::Done)
}
