//! Calls of the hub's API, and what its refusals mean for a person.

use berth_common::{Reason, Timestamp};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::connection::{Answer, Connection, ConnectionError, is_gateway};
use crate::problem::{Exit, Problem};

/// What a name in a path may hold unescaped.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The path of a call: JupyterHub's under `/hub/api`.
pub fn path(segments: &[&str]) -> String {
    segments.iter().fold("/hub/api".to_owned(), |path, segment| {
        format!("{path}/{}", utf8_percent_encode(segment, SEGMENT))
    })
}

/// A value as an argument of a query.
pub fn argument(value: &str) -> String {
    utf8_percent_encode(value, SEGMENT).to_string()
}

/// Reads something. `what` completes "cannot ..." for people.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn get(hub: &Connection, what: &str, path: &str) -> Result<Answer, Problem> {
    send(hub, what, Method::GET, path, None).await
}

/// Changes something.
///
/// # Errors
/// When the hub does not answer or refuses.
pub async fn send(
    hub: &Connection,
    what: &str,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, Problem> {
    let answer = hub.call(method, path, body).await.map_err(|error| away(hub, what, &error))?;
    if answer.status.is_success() { Ok(answer) } else { Err(refusal(hub, what, &answer)) }
}

/// Understands an answer.
///
/// # Errors
/// When hub and command line are of versions too different.
pub fn read<T: DeserializeOwned>(what: &str, body: &Value) -> Result<T, Problem> {
    T::deserialize(body).map_err(|error| {
        Problem::new(
            Exit::Failed,
            format!("cannot {what}"),
            format!("the hub's answer is not understood: {error}"),
            "Use the berth of the hub's own version.",
        )
    })
}

impl Answer {
    /// The list of this name in the answer.
    ///
    /// # Errors
    /// When hub and command line are of versions too different.
    pub fn rows<T: DeserializeOwned>(&self, what: &str, name: &str) -> Result<Vec<T>, Problem> {
        read(what, self.body.get(name).unwrap_or(&Value::Null))
    }
}

/// A reason as our own API gives it.
#[derive(Debug, Clone, Deserialize)]
pub struct ReasonText {
    /// The stable dotted word.
    pub code: String,
    /// One sentence.
    pub text: String,
    /// What to do; may be empty.
    pub remedy: String,
}

/// Whom the token belongs to.
#[derive(Debug, Deserialize)]
pub struct Whoami {
    /// `user` or `service`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Whether this is an administrator.
    #[serde(default)]
    pub admin: bool,
    /// The token in use.
    pub token_id: Option<String>,
    /// What it allows.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// Asks whom the token belongs to.
///
/// # Errors
/// When the hub does not answer or does not know the token.
pub async fn whoami(hub: &Connection, what: &str) -> Result<(Answer, Whoami), Problem> {
    let answer = get(hub, what, &path(&["user"])).await?;
    let whoami = read(what, &answer.body)?;
    Ok((answer, whoami))
}

/// The person named, or the one whose token this is.
///
/// # Errors
/// When the hub does not answer, or nobody is named over the administrators' socket.
pub async fn person(
    hub: &Connection,
    what: &str,
    named: Option<&berth_common::Username>,
) -> Result<String, Problem> {
    if let Some(user) = named {
        return Ok(user.to_string());
    }
    let (_, whoami) = whoami(hub, what).await?;
    if whoami.kind == "user" {
        return Ok(whoami.name);
    }
    Err(Problem::new(
        Exit::Usage,
        format!("cannot {what}"),
        format!("{} is no person with servers and tokens", whoami.name),
        "Say whose with --user USER.",
    ))
}

/// What a hub that cannot be asked means.
pub fn away(hub: &Connection, what: &str, error: &ConnectionError) -> Problem {
    let url = &hub.url;
    let why = match error {
        ConnectionError::NotTheHub { status } if is_gateway(*status) => {
            format!("the hub at {url} is away: the proxy answers for it (status {status})")
        }
        error => format!("the hub at {url} cannot be reached: {error}"),
    };
    let advice = match error {
        ConnectionError::Unsendable(_) => "Look at the token's file: it should hold one word.",
        ConnectionError::Tls(_) => "Check the address; SSL_CERT_FILE names further authorities.",
        ConnectionError::NotTheHub { status } if !is_gateway(*status) => "Check the address.",
        _ => "Check the address, and berth-hub on its machine. Running servers are not concerned.",
    };
    Problem::new(Exit::NotReachable, format!("cannot {what}"), why, advice)
}

/// What a refusal of the hub means.
pub fn refusal(hub: &Connection, what: &str, answer: &Answer) -> Problem {
    let message = answer.body.get("message").and_then(Value::as_str).unwrap_or_default();
    let message = message.strip_prefix("Spawn failed: ").unwrap_or(message);
    let reason = answer.reason.as_deref();
    let known = reason.and_then(|code| code.parse::<Reason>().ok());
    let remedy = known.map(Reason::remedy).filter(|remedy| !remedy.is_empty());
    let (exit, why, advice) = match answer.status {
        _ if reason.is_some_and(|code| code.starts_with("refused.")) => {
            let advice = remedy.unwrap_or("Ask the administrators.");
            (Exit::Refused, message.to_owned(), advice.to_owned())
        }
        status if status.is_redirection() => {
            let to = answer.location.as_deref().unwrap_or("another address");
            (
                Exit::NotReachable,
                format!("{} sends us to {to}", hub.url),
                "Use that address.".into(),
            )
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let (why, advice) = not_allowed(hub, message);
            (Exit::NotAllowed, why, advice)
        }
        StatusCode::NOT_FOUND => {
            (Exit::NotFound, message.to_owned(), "Look for the right name in the list.".into())
        }
        StatusCode::TOO_MANY_REQUESTS => {
            let when = answer.retry_after_s.unwrap_or(60);
            (Exit::Failed, message.to_owned(), format!("Wait {when} s and ask again."))
        }
        status if status.is_server_error() => {
            let advice = remedy.unwrap_or("Try again; if it stays so, look at the hub's log.");
            (Exit::Failed, message.to_owned(), advice.to_owned())
        }
        _ => {
            let advice =
                remedy.unwrap_or("Change what is asked for; --help shows what is possible.");
            (Exit::Failed, message.to_owned(), advice.to_owned())
        }
    };
    let why = if why.is_empty() { format!("the hub says {}", answer.status) } else { why };
    Problem::new(exit, format!("cannot {what}"), why, advice).because(reason)
}

fn not_allowed(hub: &Connection, message: &str) -> (String, String) {
    let unknown = message.is_empty() || message == "Forbidden" || message.contains("credentials");
    match (&hub.token, unknown) {
        (None, true) => (
            format!("no token is known here for {}", hub.url),
            format!("Log in first: berth login {}", hub.url),
        ),
        (Some(_), true) => (
            format!("{} does not know this token, or it has ended", hub.url),
            format!("Log in again: berth login {}", hub.url),
        ),
        (_, false) => (
            message.to_owned(),
            "Use a token that may do this (berth whoami shows yours), or ask an administrator."
                .into(),
        ),
    }
}

/// Reads an ISO moment; null and absence are `None`.
///
/// # Errors
/// When the text is no moment.
pub fn moment<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(input)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        assert_eq!(path(&["users", "a-b_c", "tokens"]), "/hub/api/users/a-b_c/tokens");
        assert_eq!(path(&["users", "../x?y#z"]), "/hub/api/users/..%2Fx%3Fy%23z");
    }
}
