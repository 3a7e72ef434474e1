//! The manual of the reason codes is what the program prints.

use std::process::Command;

/// Beside the manual's own words stand the program's.
const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/docs/reason-codes.md");
const HEAD: &str = "# Reason codes\n\nThe same on pages, in the API, the command, logs and metrics. A code is never changed, only added \
to. Made by `berth-hub reasons`.\n\n";

#[test]
fn every_code_stands_in_the_manual() {
    let output = Command::new(env!("CARGO_BIN_EXE_berth-hub")).arg("reasons").output().unwrap();
    let manual = format!("{HEAD}{}", String::from_utf8(output.stdout).unwrap());
    if std::env::var_os("BERTH_BLESS").is_some() {
        std::fs::write(MANUAL, &manual).unwrap();
    }
    let written = std::fs::read_to_string(MANUAL).unwrap();
    assert!(written == manual, "{MANUAL} is not what berth-hub reasons prints");
}
