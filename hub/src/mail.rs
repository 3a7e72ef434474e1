//! Mail to people whose server will stop, or whose GPU is not used.
//!
//! What is owed is a plain function of the fleet: every warning that was given and whose mail has
//! not left. So a hub that died before it had sent, or before it had noted that, sends once more;
//! both mails then have the same `Message-ID`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use berth_common::{Generation, ServerId, Timestamp};
use berth_core::fleet::Leaving;
use berth_core::fleet::leaving::WHAT_TO_DO;
use berth_core::life::Told;
use berth_core::settings::{Channel, Zone};
use berth_core::{Event, Fleet, Reason, Server};
use berth_process::crash_point;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::config::{MailConfig, MailTls};
use crate::site::Hub;
use crate::web::api::berth::life::why_soon;
use crate::web::pages::words;

/// Between tries while the mail server does not take mail.
const RETRY: Duration = Duration::from_secs(30);
/// One mail, from the first byte to the last.
const CALL: Duration = Duration::from_secs(30);

/// Names a warning: which start of which server, and when it was given.
type Warning = (ServerId, Generation, Timestamp);

/// Why a mail did not leave.
#[derive(Debug, thiserror::Error)]
enum MailError {
    #[error("the password's file cannot be read: {0}")]
    Password(#[from] std::io::Error),
    #[error("the mail server cannot be used: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    #[error("an address cannot be used: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("the mail cannot be written: {0}")]
    Message(#[from] lettre::error::Error),
}

/// Sends what is owed until the hub ends.
pub async fn keep(hub: Arc<Hub>) {
    let Some(config) = hub.config().hub.mail.clone() else { return };
    let mut fleet = hub.fleet.watch();
    // Sent, and the fleet does not know it yet.
    let mut sent: BTreeSet<Warning> = BTreeSet::new();
    let mut complained = false;
    loop {
        let now = fleet.borrow_and_update().clone();
        let owed = owed(&now);
        sent.retain(|warning| owed.iter().any(|letter| letter.warning == *warning));
        let mut failed = false;
        for letter in owed {
            if sent.contains(&letter.warning) {
                continue;
            }
            crash_point!("hub.mail.before_send");
            match send(&hub, &config, &letter).await {
                Ok(()) => {
                    crash_point!("hub.mail.after_send");
                    complained = false;
                    let (server, generation, told_at) = letter.warning.clone();
                    sent.insert(letter.warning);
                    hub.fleet.send(Event::Mailed { server, generation, told_at }).await;
                }
                Err(error) => {
                    if !complained {
                        tracing::warn!(%error, "mail to people does not leave");
                    }
                    complained = true;
                    failed = true;
                    break;
                }
            }
        }
        if failed {
            tokio::time::sleep(RETRY).await;
        } else if fleet.changed().await.is_err() {
            return;
        }
    }
}

/// A mail that is owed.
#[derive(Debug)]
struct Letter {
    warning: Warning,
    owner: String,
    subject: String,
    text: String,
}

fn owed(fleet: &Fleet) -> Vec<Letter> {
    if !fleet.settings.lifecycle.warn.channels.contains(&Channel::Mail) {
        return Vec::new();
    }
    let ready = fleet.servers.values().filter(|server| server.is_ready());
    let letters = ready.flat_map(|server| {
        let life = server.placement().map(|placement| &placement.life);
        let owed: Vec<Told> =
            life.map_or_else(Vec::new, |life| life.owes_mail().copied().collect());
        let asked = life.and_then(|life| life.gpu.asked);
        owed.into_iter().map(move |told| letter(fleet, server, told, asked == Some(told)))
    });
    // Also to those whose server does not answer yet.
    let leaving = fleet.servers.values().filter_map(|server| {
        let leaving = fleet.leaving(server).filter(|leaving| !leaving.told.mailed)?;
        Some(leave(fleet, server, &leaving))
    });
    letters.chain(leaving).collect()
}

fn letter(fleet: &Fleet, server: &Server, told: Told, is_question: bool) -> Letter {
    let zone = fleet.settings.lifecycle.warn.quiet.as_ref().map(|quiet| &quiet.zone);
    let title = words::server_title(&server.name);
    let stop = wall(told.stop, zone);
    let placement = server.placement();
    let why = placement
        .and_then(|placement| berth_core::life::plan(&fleet.settings, server, placement, told.at))
        .map_or(Reason::StoppedIdle, |plan| plan.reason);
    let (subject, why) = if is_question {
        let subject = format!("The GPU of \"{title}\" is not used");
        (subject, "Its GPU is held and not used, and others wait for it.")
    } else {
        (format!("\"{title}\" will stop on {stop}"), why_soon(why))
    };
    let text = format!(
        "Your notebook server \"{title}\" ({profile}): {why}\n\nIt stops on {stop}, if nothing \
         changes.\n\nWork in it, or press Extend on its page, and it goes on:\n",
        profile = server.ask.profile,
    );
    let warning = (server.id.clone(), server.generation, told.at);
    Letter { warning, owner: server.owner.to_string(), subject, text }
}

/// The mail about a host that is emptied.
fn leave(fleet: &Fleet, server: &Server, leaving: &Leaving<'_>) -> Letter {
    let zone = fleet.settings.lifecycle.warn.quiet.as_ref().map(|quiet| &quiet.zone);
    let title = words::server_title(&server.name);
    let subject = match leaving.stops_at() {
        Some(stop) => format!("\"{title}\" will be stopped on {}", wall(stop, zone)),
        None => format!("The host of \"{title}\" is being emptied"),
    };
    let text = format!(
        "Your notebook server \"{title}\" ({profile}) runs on a host that is being emptied.\n\n\
         {sentence}\n\n{WHAT_TO_DO}\n\nIt was ordered by {who}. The server's page:\n",
        profile = server.ask.profile,
        sentence = leaving.sentence(|at| wall(at, zone)),
        who = leaving.order.who,
    );
    let warning = (server.id.clone(), server.generation, leaving.told.newest);
    Letter { warning, owner: server.owner.to_string(), subject, text }
}

/// A moment by the clock on the site's wall; in UTC where that is not known.
fn wall(at: Timestamp, zone: Option<&Zone>) -> String {
    let offset = zone.map_or(0, |zone| zone.offset_s(at));
    let offset = i32::try_from(offset).ok().and_then(|s| jiff::tz::Offset::from_seconds(s).ok());
    let offset = offset.unwrap_or(jiff::tz::Offset::UTC);
    let Ok(moment) = jiff::Timestamp::from_microsecond(at.0) else { return at.to_string() };
    let local = moment.to_zoned(jiff::tz::TimeZone::fixed(offset));
    local.strftime("%A, %-d %B %Y, %H:%M (UTC%:z)").to_string()
}

async fn send(hub: &Hub, config: &MailConfig, letter: &Letter) -> Result<(), MailError> {
    let (server, generation, at) = &letter.warning;
    let site = &hub.config().hub.public_url;
    let from: Mailbox = config.from.parse()?;
    let domain = from.email.domain().to_owned();
    let message = Message::builder()
        .message_id(Some(format!("<{server}.{generation}.{}@{domain}>", at.0)))
        .from(from)
        .to(config.to.replace("{user}", &letter.owner).parse()?)
        .subject(&letter.subject)
        .body(format!("{}{site}/hub/servers/{server}\n", letter.text))?;
    transport(config)?.send(message).await?;
    tracing::info!(%server, to = letter.owner, "told by mail");
    Ok(())
}

/// Whether the mail server takes a connection, and the login if there is one.
///
/// # Errors
/// Why not.
pub async fn answers(config: &MailConfig) -> Result<(), String> {
    const WITHIN: Duration = Duration::from_secs(5);
    let transport = transport(config).map_err(|error| error.to_string())?;
    match tokio::time::timeout(WITHIN, transport.test_connection()).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("it takes the connection and does not answer".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {} seconds", WITHIN.as_secs())),
    }
}

fn transport(config: &MailConfig) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailError> {
    let builder = match config.tls {
        MailTls::None => AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host),
        MailTls::Starttls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&config.host)?,
        MailTls::Tls => AsyncSmtpTransport::<Tokio1Executor>::relay(&config.host)?,
    };
    let builder = builder.port(config.port).timeout(Some(CALL));
    let builder = match &config.login {
        None => builder,
        Some((user, file)) => {
            let password = std::fs::read_to_string(file)?;
            builder.credentials(Credentials::new(user.clone(), password.trim_end().to_owned()))
        }
    };
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_sites_wall() {
        let zone = Zone(vec![(Timestamp(0), 3_600)]);
        let at: Timestamp = "2026-11-26T13:05:00Z".parse().unwrap();
        assert_eq!(wall(at, Some(&zone)), "Thursday, 26 November 2026, 14:05 (UTC+01:00)");
        assert_eq!(wall(at, None), "Thursday, 26 November 2026, 13:05 (UTC+00:00)");
    }
}
