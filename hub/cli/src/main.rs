//! `berth`: reads the command line, asks the hub, prints the answer.

use std::process::ExitCode;

fn main() -> ExitCode {
    berth::run()
}
