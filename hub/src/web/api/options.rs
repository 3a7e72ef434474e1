//! The body of a start: JupyterHub 5's (all of it is `user_options`) and 6's, and in either the
//! choices that we understand.

use berth_common::ByteCount;
use berth_core::event::Wish;
use serde_json::{Map, Value};

use crate::web::error::ApiError;

/// A start as asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What is wished for.
    pub wish: Wish,
    /// The options to be kept with the server, a JSON object; `None` keeps the former ones.
    pub user_options: Option<String>,
}

/// Reads a start's body.
///
/// # Errors
/// 400 for values that are no choice.
pub fn read(body: Option<Map<String, Value>>) -> Result<Options, ApiError> {
    let Some(body) = body.filter(|body| !body.is_empty()) else { return Ok(as_before()) };
    if body.get("display_name").is_some_and(|name| !name.is_string()) {
        return Err(ApiError::bad_request("display_name must be a string"));
    }
    let is_new_form = body.contains_key("user_options") || body.contains_key("display_name");
    let (options, beside) = match (is_new_form, body.get("user_options")) {
        (true, Some(Value::Object(options))) => (Some(options.clone()), Some(&body)),
        (true, None | Some(Value::Null)) => (None, Some(&body)),
        (true, Some(_)) => {
            return Err(ApiError::bad_request("user_options must be an object or null"));
        }
        (false, _) => (Some(body.clone()), None),
    };
    let find = |key: &str| {
        let inner = options.as_ref().and_then(|options| options.get(key));
        first(inner.or_else(|| beside.and_then(|body| body.get(key))))
    };
    let wish = Wish {
        profile: text("profile", find("profile"))?,
        memory: memory(find("memory"))?,
        image: text("image", find("image"))?,
        gpus: number("gpus", find("gpus"))?,
        gpu_model: text("gpu_model", find("gpu_model"))?,
        as_before: options.is_none(),
        ..Wish::default()
    };
    let user_options = options.map(|options| Value::Object(options).to_string());
    Ok(Options { wish, user_options })
}

fn as_before() -> Options {
    Options { wish: Wish { as_before: true, ..Wish::default() }, user_options: None }
}

/// A whole number, also as the text that forms send.
fn number(name: &str, value: Option<&Value>) -> Result<Option<u32>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let number = match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    number.map(Some).ok_or_else(|| ApiError::bad_request(format!("{name} must be a whole number")))
}

/// Forms send each field as a list of texts.
fn first(value: Option<&Value>) -> Option<&Value> {
    match value {
        Some(Value::Array(values)) => values.first(),
        value => value,
    }
    .filter(|value| !value.is_null() && *value != "")
}

fn text(key: &str, value: Option<&Value>) -> Result<Option<String>, ApiError> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= 200 => Ok(Some(text.clone())),
        Some(_) => Err(ApiError::bad_request(format!("{key} must be a short text"))),
    }
}

/// `"4G"`, or a number of bytes.
pub fn memory(value: Option<&Value>) -> Result<Option<ByteCount>, ApiError> {
    match value {
        None => Ok(None),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(bytes) => Ok(Some(ByteCount(bytes))),
            None => Err(ApiError::bad_request("memory must be a whole number of bytes")),
        },
        Some(Value::String(text)) => {
            let amount = text.parse::<ByteCount>();
            amount.map(Some).map_err(|error| ApiError::bad_request(format!("memory: {error}")))
        }
        Some(_) => Err(ApiError::bad_request("memory must be a text such as \"16 GB\" or bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str) -> String {
        let body: Option<Map<String, Value>> = serde_json::from_str(body).unwrap();
        match read(body) {
            Err(error) => format!("{error:?}"),
            Ok(Options { wish, user_options }) => format!(
                "{} {} {} before={} {}",
                wish.profile.unwrap_or_default(),
                wish.memory.map(|memory| memory.to_string()).unwrap_or_default(),
                wish.image.unwrap_or_default(),
                wish.as_before,
                user_options.unwrap_or_default(),
            ),
        }
    }

    #[test]
    fn both_majors_bodies_are_understood() {
        assert_eq!(check("null"), "   before=true ");
        assert_eq!(check("{}"), "   before=true ");
        assert_eq!(
            check(r#"{"profile": "cpu", "memory": "4G", "other": 1}"#),
            r#"cpu 4 GB  before=false {"memory":"4G","other":1,"profile":"cpu"}"#
        );
        assert_eq!(
            check(r#"{"profile": ["cpu"], "memory": [4294967296], "image": ["base"]}"#),
            r#"cpu 4 GB base before=false {"image":["base"],"memory":[4294967296],"profile":["cpu"]}"#
        );
        assert_eq!(
            check(r#"{"display_name": "x", "user_options": {"profile": "cpu"}, "memory": "2 GB"}"#),
            r#"cpu 2 GB  before=false {"profile":"cpu"}"#
        );
        assert_eq!(check(r#"{"display_name": "x"}"#), "   before=true ");
        assert_eq!(check(r#"{"user_options": null, "memory": "2 GB"}"#), " 2 GB  before=true ");
    }

    #[test]
    fn values_that_are_no_choice_are_refused() {
        for bad in [
            r#"{"user_options": 7}"#,
            r#"{"display_name": 7}"#,
            r#"{"memory": "16"}"#,
            r#"{"memory": -1}"#,
            r#"{"memory": {}}"#,
            r#"{"profile": 7}"#,
        ] {
            assert!(check(bad).contains("400"), "{bad}: {}", check(bad));
        }
    }
}
