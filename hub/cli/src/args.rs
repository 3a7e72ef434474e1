//! The command line: options of all verbs. Each verb's own options stand in its file.

use std::path::PathBuf;

use berth_common::{ByteCount, Seconds, ServerName, Username};
use clap::{ArgAction, Args};

use crate::connection::Connection;
use crate::print::{Format, Style};
use crate::problem::Problem;
use crate::settings::{SettingsError, Sources};

/// Options of all verbs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Common {
    /// The hub: https://HOST, http://HOST or unix:/PATH
    #[arg(long, global = true, value_name = "URL", env = "BERTH_URL", hide_env_values = true)]
    pub url: Option<String>,
    /// A file with the token
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "BERTH_TOKEN_FILE",
        hide_env_values = true
    )]
    pub token_file: Option<PathBuf>,
    /// table, wide, json, yaml, csv (lists only) or name
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    output: Format,
    /// The same as -o json
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    json: bool,
    /// Leave out the header line
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    no_header: bool,
    /// Print names, ids or secrets only
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub quiet: bool,
}

impl Common {
    /// How answers are written.
    pub fn style(&self) -> Style {
        let format = match self.output {
            Format::Table if self.json => Format::Json,
            Format::Table if self.quiet => Format::Name,
            format => format,
        };
        Style::of_stdout(format, !self.no_header)
    }

    /// Where a hub and a token may be named.
    pub fn sources(&self) -> Sources {
        Sources::here(self.url.clone(), self.token_file.clone())
    }

    /// The hub to ask.
    ///
    /// # Errors
    /// When none is known.
    pub fn connection(&self) -> Result<Connection, Problem> {
        self.sources().connection().map_err(SettingsError::problem)
    }
}

/// What a person asks for when starting a server.
#[derive(Debug, Clone, Args)]
pub struct Wish {
    /// Whose server; yours if not given
    #[arg(long, value_name = "USER")]
    pub user: Option<Username>,
    /// What it is good for and how large it may be; see `berth profile list`
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// With a unit, e.g. 8G
    #[arg(long, value_name = "MEMORY")]
    pub memory: Option<ByteCount>,
    /// One of the profile's images
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
}

/// A server as people name it: an id or its beginning, or `USER`, or `USER/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerRef {
    /// A person's server.
    Named(Username, ServerName),
    /// A word that is an id, the beginning of one, or a person with a default server.
    Word(String),
}

impl ServerRef {
    /// A person's server; `None` if the name is nobody's.
    pub fn of(user: &str, name: &ServerName) -> Option<Self> {
        user.parse().ok().map(|user| Self::Named(user, name.clone()))
    }
}

impl std::str::FromStr for ServerRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((user, name)) = text.split_once('/') {
            let user = user.parse().map_err(|error: berth_common::id::BadId| error.to_string())?;
            let name = name.parse().map_err(|error: berth_common::id::BadId| error.to_string())?;
            return Ok(Self::Named(user, name));
        }
        let is_id = (1..=16).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit());
        if is_id || text.parse::<Username>().is_ok() {
            Ok(Self::Word(text.to_owned()))
        } else {
            Err("write an id or its beginning, USER, or USER/NAME".into())
        }
    }
}

/// A span of time as people write it: `90m`, `12h`, `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Seconds);

impl std::str::FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.parse::<f64>().is_ok() {
            return Err("a unit is needed, e.g. 90m, 12h or 30d");
        }
        let malformed = "write e.g. 90m, 12h or 30d";
        let span: jiff::Span = text.parse().map_err(|_| malformed)?;
        let total = span.total((jiff::Unit::Second, jiff::SpanRelativeTo::days_are_24_hours()));
        match total {
            // A span longer than a thousand years is a slip of the keyboard.
            Ok(seconds) if (1.0..3.2e10).contains(&seconds) => Ok(Self(Seconds(seconds as u64))),
            _ => Err(malformed),
        }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_need_a_unit() {
        let check = |text: &str| text.parse::<Span>().map(|span| span.0.0);
        assert_eq!(check("90m"), Ok(5_400));
        assert_eq!(check("30d"), Ok(2_592_000));
        assert_eq!(check("1h30m"), Ok(5_400));
        assert_eq!(check("30"), Err("a unit is needed, e.g. 90m, 12h or 30d"));
        for bad in ["", "d", "-1d", "0s", "2mo", "1y", "soon", "99999999999h"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn servers_are_named_by_id_or_by_owner() {
        let named = |user: &str, name: &str| {
            Ok(ServerRef::Named(user.parse().unwrap(), name.parse().unwrap()))
        };
        assert_eq!("alice/".parse(), named("alice", ""));
        assert_eq!("alice/n1".parse(), named("alice", "n1"));
        assert_eq!("8f2c".parse(), Ok(ServerRef::Word("8f2c".into())));
        assert_eq!("alice".parse(), Ok(ServerRef::Word("alice".into())));
        for bad in ["", "a/b/c", "../x", "Alice", "8f2c0000111122223"] {
            assert!(bad.parse::<ServerRef>().is_err(), "{bad}");
        }
    }
}
