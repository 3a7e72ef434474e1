//! Mail to people whose server will stop, whose GPU is not used, or for whom a place is held.
//!
//! What is owed is a plain function of the fleet: every warning that was given, and every place that
//! is held, whose mail has not left. So a hub that died before it had sent, or before it had noted
//! that, sends once more; both mails then have the same `Message-ID`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use berth_common::{Generation, ServerId, Timestamp};
use berth_core::fleet::leaving::WHAT_TO_DO;
use berth_core::fleet::{HeldPlace, Leaving, Phase};
use berth_core::life::Told;
use berth_core::settings::{Channel, Zone};
use berth_core::{Event, Fleet, Reason, Server};
use berth_process::crash_point;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::config::{MailConfig, MailTls};
use crate::site::Hub;
use crate::web::api::berth::life::why_soon;
use crate::web::pages::{card, words};
use crate::web::reader::{Language, Reader};
use crate::web::say;

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
    let mut fleet = hub.fleet.watch();
    // Sent, and the fleet does not know it yet.
    let mut sent: BTreeSet<Warning> = BTreeSet::new();
    let mut complained = false;
    loop {
        let now = fleet.borrow_and_update().clone();
        // Other files in force are a change of the fleet, so they are looked at again.
        let Some(config) = hub.config().hub.mail.clone() else {
            if fleet.changed().await.is_err() {
                return;
            }
            continue;
        };
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
    /// Where to act on it, at the end of the text.
    page: String,
}

/// A server's own page.
fn page_of(server: &Server) -> String {
    format!("/hub/servers/{}", server.id)
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
    let held = fleet.waiting().filter_map(|server| match &server.phase {
        Phase::Waiting { place: Some(place), .. } if !place.mailed => {
            Some(turn(fleet, server, place))
        }
        _ => None,
    });
    letters.chain(leaving).chain(held).collect()
}

/// The mail about a place that is held. Nobody looks at a page, so the language is not known: it is
/// said in each.
fn turn(fleet: &Fleet, server: &Server, place: &HeldPlace) -> Letter {
    let zone = fleet.settings.lifecycle.warn.quiet.as_ref().map(|quiet| &quiet.zone);
    let until = clock(place.until, zone);
    let in_each = |made: &dyn Fn(&str) -> String, between: &str| {
        let said = Language::ALL.map(|language| {
            let reader = Reader { language, ..Reader::default() };
            reader.shown(|| made(&words::server_title(&server.name)))
        });
        said.join(between)
    };
    let subject = |title: &str| {
        say::t("held-mail-subject").with("server", title).with("until", &until).to_string()
    };
    let text = |title: &str| {
        let profile = card::profile_title(fleet, &server.ask.profile);
        let said = say::t("held-mail-text").with("server", title).with("until", &until);
        said.with("profile", profile).to_string()
    };
    Letter {
        warning: (server.id.clone(), server.generation, place.until),
        owner: server.owner.to_string(),
        subject: in_each(&subject, " / "),
        text: format!("{}\n\n", in_each(&text, "\n\n-- \n\n")),
        page: format!("/hub/spawn-pending/{}", words::server_path(&server.owner, &server.name)),
    }
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
    Letter { warning, owner: server.owner.to_string(), subject, text, page: page_of(server) }
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
    Letter { warning, owner: server.owner.to_string(), subject, text, page: page_of(server) }
}

/// A moment by the clock on the site's wall, with the day; in UTC where that is not known.
fn wall(at: Timestamp, zone: Option<&Zone>) -> String {
    written(at, zone, "%A, %-d %B %Y, %H:%M (UTC%:z)")
}

/// A moment of today, in a form that every language has.
fn clock(at: Timestamp, zone: Option<&Zone>) -> String {
    written(at, zone, "%H:%M (UTC%:z)")
}

fn written(at: Timestamp, zone: Option<&Zone>, form: &str) -> String {
    let offset = zone.map_or(0, |zone| zone.offset_s(at));
    let offset = i32::try_from(offset).ok().and_then(|s| jiff::tz::Offset::from_seconds(s).ok());
    let offset = offset.unwrap_or(jiff::tz::Offset::UTC);
    let Ok(moment) = jiff::Timestamp::from_microsecond(at.0) else { return at.to_string() };
    let local = moment.to_zoned(jiff::tz::TimeZone::fixed(offset));
    local.strftime(form).to_string()
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
        // Without it readers take the text for ASCII.
        .header(ContentType::TEXT_PLAIN)
        .body(format!("{}{site}{}\n", letter.text, letter.page))?;
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

    /// A fleet in which a place is held for one of alice's servers.
    fn held() -> Fleet {
        let at: Timestamp = "2026-11-26T13:05:00Z".parse().unwrap();
        let server = serde_json::json!({
            "id": ServerId::from_random(7), "owner": "alice", "name": "n1", "generation": 3,
            "phase": {
                "phase": "waiting", "since": at, "reason": "wait.place_held", "watched": at,
                "place": { "host": "wn1", "gpus": [], "expected": 0, "until": at },
            },
            "ask": { "profile": "gpu", "memory": 1 << 30, "image": "py" },
            "user_options": "{}", "account": null, "decision": null,
            "created": at, "last_activity": at, "last_end": null,
        });
        let mut settings = berth_core::Settings::default();
        settings.lifecycle.warn.channels = [Channel::Mail].into();
        let server = serde_json::from_value(server).unwrap();
        Fleet::restore(berth_common::Epoch(1), Arc::new(settings), Vec::new(), vec![server])
    }

    #[test]
    fn a_held_place_is_told_in_both_languages_until_the_mail_has_left() {
        let mut fleet = held();
        let letters = owed(&fleet);
        let [letter] = &letters[..] else { panic!("one mail is owed: {letters:?}") };
        assert_eq!(letter.owner, "alice");
        assert_eq!(
            letter.subject,
            "A place is held for \"n1\" until 13:05 (UTC+00:00) / \
             Une place est gardée pour « n1 » jusqu’à 13:05 (UTC+00:00)"
        );
        let (english, french) = letter.text.split_once("\n-- \n").unwrap();
        assert!(english.contains("Your notebook server \"n1\" (gpu) waited"), "{english}");
        assert!(french.contains("Votre serveur de notebooks « n1 » (gpu) attendait"), "{french}");
        assert_eq!(letter.page, "/hub/spawn-pending/alice/n1");
        let (server, generation, told_at) = letter.warning.clone();
        let told = Event::Mailed { server, generation, told_at };
        berth_core::step(&mut fleet, told_at, told);
        assert!(owed(&fleet).is_empty());
    }

    #[test]
    fn a_site_without_mail_among_its_channels_sends_none() {
        let mut fleet = held();
        let mut settings = (*fleet.settings).clone();
        settings.lifecycle.warn.channels = [Channel::Card].into();
        fleet.settings = Arc::new(settings);
        assert!(owed(&fleet).is_empty());
    }

    #[test]
    fn moments_are_those_of_the_sites_wall() {
        let zone = Zone(vec![(Timestamp(0), 3_600)]);
        let at: Timestamp = "2026-11-26T13:05:00Z".parse().unwrap();
        assert_eq!(wall(at, Some(&zone)), "Thursday, 26 November 2026, 14:05 (UTC+01:00)");
        assert_eq!(wall(at, None), "Thursday, 26 November 2026, 13:05 (UTC+00:00)");
    }
}
