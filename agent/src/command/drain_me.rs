//! `berth-agent drain-me`: this host asks the hub to be emptied. Its certificate says which host
//! it is, so it can speak for itself alone.

use std::path::Path;
use std::time::Duration;

use berth_proto::link::HostWish;
use berth_proto::link::link_client::LinkClient;

use super::CommandError;
use crate::config::{self, Config};
use crate::identity;
use crate::link::dial::Tcp;

/// The hub saves before it answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the host wants.
#[derive(Debug, Clone)]
pub enum Wish {
    /// To be emptied.
    Drained {
        /// Why.
        reason: String,
        /// Within this time; `None`: whenever its servers stop.
        within: Option<Duration>,
    },
    /// To take servers again.
    Open,
}

/// Tells the hub and prints what it answers.
///
/// # Errors
/// When the hub cannot be reached or refuses.
pub fn drain_me(file: &Path, wish: Wish) -> Result<(), CommandError> {
    let config = config::read(file)?;
    let wish = match wish {
        Wish::Open => HostWish { open: true, ..HostWish::default() },
        Wish::Drained { reason, within } => {
            let within_s = within.map_or(0, |within| within.as_secs());
            HostWish { reason, open: false, within_s }
        }
    };
    println!("{}", super::runtime()?.block_on(tell(&config, wish))?);
    Ok(())
}

async fn tell(config: &Config, wish: HostWish) -> Result<String, CommandError> {
    let credential = identity::link_credential(config)?;
    let channel = identity::connect(config, &credential, &Tcp).await?;
    let mut client = LinkClient::new(channel);
    match tokio::time::timeout(PATIENCE, client.intend(wish)).await {
        Ok(Ok(answer)) => Ok(answer.into_inner().words),
        Ok(Err(status)) => Err(CommandError::Refused(status.message().to_owned())),
        Err(_) => Err(CommandError::Refused(format!("no answer in {} s", PATIENCE.as_secs()))),
    }
}

/// A time as people write it: `45m`, `2h`, `3d`.
///
/// # Errors
/// When it is none.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time, e.g. 45m, 2h or 3d".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let unit_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit_s).filter(|s| *s > 0).map(Duration::from_secs).ok_or_else(wrong)
}
