//! What two answers to the same request have in common.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// An answer.
#[derive(Debug, Deserialize)]
pub struct Answer {
    pub status: u16,
    /// The content type, without its parameters.
    #[serde(rename = "type")]
    pub kind: String,
    pub location: String,
    pub body: String,
}

/// Fields whose values are compared; of all others, only the type is.
const BY_VALUE: [&str; 23] = [
    "kind",
    "name",
    "admin",
    "roles",
    "groups",
    "users",
    "server",
    "pending",
    "ready",
    "stopped",
    "url",
    "full_name",
    "progress_url",
    "scopes",
    "status",
    "offset",
    "limit",
    "total",
    "user",
    "oauth_client",
    "user_options",
    "session_id",
    "display_name",
];

/// What each place in a body holds: types, or values.
type Shape = BTreeMap<String, BTreeSet<String>>;

/// How two answers differ, in words.
pub fn differences(there: &Answer, here: &Answer) -> Vec<String> {
    if there.status != here.status {
        return vec![format!("status {} there, {} here", there.status, here.status)];
    }
    let mut found = Vec::new();
    let mut compare = |what: &str, there: &str, here: &str| {
        if there != here {
            found.push(format!("{what} '{there}' there, '{here}' here"));
        }
    };
    // An escaped slash in a query is a slash, and the site's own address can be left out.
    let plain = |location: &str| {
        location.strip_prefix("http://127.0.0.1:8000").unwrap_or(location).replace("%2F", "/")
    };
    compare("location", &plain(&there.location), &plain(&here.location));
    // Only programs read bodies; an empty one has no type.
    if !there.body.is_empty() || !here.body.is_empty() {
        compare("type", &there.kind, &here.kind);
    }
    if there.kind == here.kind && there.kind != "text/html" {
        found.extend(of_shapes(&shape(there), &shape(here)));
    }
    found
}

fn of_shapes(there: &Shape, here: &Shape) -> Vec<String> {
    let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" or ");
    // What lies in an absent place is absent with it.
    let hidden = |path: &str, other: &Shape| {
        let above = path.rfind(['.', '[']).map(|end| &path[..end]);
        above.is_some_and(|above| !other.contains_key(above))
    };
    let paths: BTreeSet<_> = there.keys().chain(here.keys()).collect();
    let difference = |path: &String| match (there.get(path), here.get(path)) {
        (Some(there), Some(here)) if there == here => None,
        (Some(there), Some(here)) => {
            Some(format!("{path}: {} there, {} here", list(there), list(here)))
        }
        (Some(it), None) => {
            (!hidden(path, here)).then(|| format!("{path}: only there: {}", list(it)))
        }
        (None, Some(it)) => {
            (!hidden(path, there)).then(|| format!("{path}: only here: {}", list(it)))
        }
        (None, None) => None,
    };
    paths.into_iter().filter_map(difference).collect()
}

fn shape(answer: &Answer) -> Shape {
    let mut shape = Shape::new();
    if answer.kind == "text/event-stream" {
        let events = answer.body.lines().filter_map(|line| line.strip_prefix("data: "));
        let events = events.map(|event| serde_json::from_str(event).unwrap()).collect();
        add(&mut shape, String::new(), &Value::Array(events));
    } else if let Ok(body) = serde_json::from_str(&answer.body) {
        add(&mut shape, String::new(), &body);
    }
    shape
}

fn add(shape: &mut Shape, path: String, value: &Value) {
    let field = path.rsplit('.').next().unwrap_or_default();
    let by_value = BY_VALUE.contains(&field);
    let text = match value {
        Value::Object(_) => "object".to_owned(),
        Value::Array(items) if by_value && !items.iter().any(Value::is_object) => {
            let mut items: Vec<_> = items.iter().map(Value::to_string).collect();
            items.sort();
            format!("[{}]", items.join(" "))
        }
        Value::Array(_) => "list".to_owned(),
        Value::String(text) if text.starts_with("http://") => "address".to_owned(),
        value if by_value => value.to_string(),
        Value::String(_) => "string".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Null => "null".to_owned(),
    };
    shape.entry(path.clone()).or_default().insert(text);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                add(shape, format!("{path}.{name}"), value);
            }
        }
        Value::Array(items) => {
            for item in items.iter().filter(|item| item.is_object()) {
                // People are told apart; other lists are of one kind.
                let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
                add(shape, format!("{path}[{name}]"), item);
            }
        }
        _ => {}
    }
}
