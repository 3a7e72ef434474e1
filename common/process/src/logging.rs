//! Logging: text for people, or ECS lines for Elasticsearch, as `logs` in a program's file says. The
//! environment goes first, for who looks for a fault: `BERTH_LOG` holds a filter, such as
//! `info,berth_hub::routes=debug`, and `BERTH_LOG_FORMAT` is `text` or `ecs`.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format as Text, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

mod ecs;

const FILTER: &str = "BERTH_LOG";
const FORMAT: &str = "BERTH_LOG_FORMAT";

/// What is logged, and how: `logs` in a program's file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// How a line is written.
    #[serde(default)]
    pub format: Format,
    /// The least important lines that are written.
    #[serde(default)]
    pub level: Level,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// A JSON object with Elastic's names of fields.
    Ecs,
}

/// How important a line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something does not work.
    Error,
    /// Somebody should look at it.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// What is done for it.
    Debug,
    /// Every step.
    Trace,
}

impl Level {
    fn filter(self) -> EnvFilter {
        EnvFilter::new(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

/// Whether lines are Elastic's.
static IS_ECS: AtomicBool = AtomicBool::new(false);
/// Puts another level in force.
static SET_LEVEL: OnceLock<Box<dyn Fn(Level) + Send + Sync>> = OnceLock::new();

/// Starts logging to standard error for the program `service`, as long as no file is read at the
/// level `info` and as text, but for what the environment says.
pub fn start(service: &'static str) {
    let asked = EnvFilter::try_from_env(FILTER);
    let is_open = asked.is_err();
    IS_ECS.store(std::env::var(FORMAT).is_ok_and(|format| format == "ecs"), Ordering::Relaxed);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(asked.unwrap_or_else(|_| Level::Info.filter()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .event_format(Lines {
            text: Text::default().with_target(false),
            ecs: ecs::Lines { service },
        })
        .with_filter_reloading();
    if is_open {
        let handle = builder.reload_handle();
        // It fails only when logging itself is gone.
        let _ = SET_LEVEL.set(Box::new(move |level| drop(handle.reload(level.filter()))));
    }
    builder.init();
}

/// Logs as a file says from now on, where the environment says nothing; before [`start`] it does
/// nothing.
pub fn set(logs: Logs) {
    if std::env::var_os(FORMAT).is_none() {
        IS_ECS.store(logs.format == Format::Ecs, Ordering::Relaxed);
    }
    if let Some(set) = SET_LEVEL.get() {
        set(logs.level);
    }
}

/// Writes events in the form that holds at that moment.
struct Lines {
    text: Text,
    ecs: ecs::Lines,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if IS_ECS.load(Ordering::Relaxed) {
            self.ecs.format_event(context, writer, event)
        } else {
            self.text.format_event(context, writer, event)
        }
    }
}
