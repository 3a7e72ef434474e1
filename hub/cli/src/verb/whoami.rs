//! `berth whoami`: whose token this is and what it allows.

use crate::api::{self, Whoami};
use crate::args::Common;
use crate::print::{Cell, Column, Format, Listing, versioned};
use crate::problem::{Exit, Problem};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {}

const COLUMNS: &[Column<Whoami>] = &[
    Column::new("NAME", "name", |who, _| Cell::text(&who.name)),
    Column::new("ADMIN", "admin", |who, _| Cell::yes(who.admin)),
    Column::new("TOKEN", "token_id", |who, _| Cell::maybe(who.token_id.as_ref())),
];

/// Asks and prints.
pub async fn run(_: &Args, common: &Common) -> Result<Exit, Problem> {
    let hub = common.connection()?;
    let (answer, who) = api::whoami(&hub, "tell who you are").await?;
    let style = common.style();
    let mut lines = vec![
        (if who.kind == "user" { "user" } else { "service" }, Cell::text(&who.name)),
        ("admin", Cell::yes(who.admin)),
        ("hub", Cell::text(hub.url.to_string())),
        ("token", Cell::maybe(who.token_id.as_ref())),
    ];
    if style.format == Format::Wide {
        lines.push(("scopes", Cell::text(who.scopes.join(" "))));
    }
    style.sheet(
        lines,
        &Listing {
            json: &versioned("whoami", answer.body),
            columns: COLUMNS,
            rows: std::slice::from_ref(&who),
            name: |who| who.name.clone(),
            now: answer.now,
            empty: "",
        },
    )?;
    Ok(Exit::Done)
}
