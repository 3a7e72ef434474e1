//! What was found, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::tree::{Built, Fate};
use crate::trial::{Outcome, Outcomes};

#[derive(Debug, Default, Clone, Copy)]
struct Row {
    mutants: usize,
    not_to_be_built: usize,
    not_to_be_switched: usize,
    not_tried: usize,
    caught: usize,
    hung: usize,
    not_caught: usize,
}

impl Row {
    fn add(&mut self, other: Self) {
        self.mutants += other.mutants;
        self.not_to_be_built += other.not_to_be_built;
        self.not_to_be_switched += other.not_to_be_switched;
        self.not_tried += other.not_tried;
        self.caught += other.caught;
        self.hung += other.hung;
        self.not_caught += other.not_caught;
    }

    fn line(self, name: &str) -> String {
        let Self { mutants, not_to_be_built, not_to_be_switched, not_tried, .. } = self;
        let noticed = self.caught + self.hung;
        let tried = noticed + self.not_caught;
        let share = match tried {
            0 => String::new(),
            _ => format!("{:.1}", noticed as f64 * 100.0 / tried as f64),
        };
        format!(
            "| {name} | {mutants} | {not_to_be_built} | {not_to_be_switched} | {not_tried} | \
             {} | {} | {} | {share} |\n",
            self.caught, self.hung, self.not_caught
        )
    }
}

/// A row for each file, one for all, and the names of those that nobody noticed.
pub fn table(built: &Built, outcomes: &Outcomes) -> String {
    let mut files: BTreeMap<&str, Row> = BTreeMap::new();
    let mut survivors = String::new();
    for (mutant, fate) in &built.mutants {
        let row = files.entry(&mutant.file).or_default();
        row.mutants += 1;
        match (fate, outcomes.get(&mutant.name)) {
            (Fate::NotToBeBuilt, _) => row.not_to_be_built += 1,
            (Fate::NotToBeSwitched, _) => row.not_to_be_switched += 1,
            (Fate::Switched, None) => row.not_tried += 1,
            (Fate::Switched, Some(Outcome::Caught(_))) => row.caught += 1,
            (Fate::Switched, Some(Outcome::Hung(_))) => row.hung += 1,
            (Fate::Switched, Some(outcome)) => {
                row.not_caught += 1;
                let why =
                    if *outcome == Outcome::Unreached { ", which no test reaches" } else { "" };
                let _ = writeln!(survivors, "- `{}`{why}", mutant.name);
            }
        }
    }
    let mut all = Row::default();
    let mut text = String::from(
        "| file | mutants | not to be built | not to be switched | not tried | caught | hung | \
         not caught | % |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (file, row) in files {
        text += &row.line(&format!("`{file}`"));
        all.add(row);
    }
    text += &all.line("all");
    text + "\n" + &survivors
}
