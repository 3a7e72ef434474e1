//! The log in configurable-http-proxy's form, on standard output: `TIME [ConfigProxy] info: …`.
//! Scripts wait for some of its lines.

use std::fmt;

use berth_process::clock;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Starts logging at a level of configurable-http-proxy's.
pub fn start(level: &str) {
    let level = match level {
        "error" => Level::ERROR,
        "warn" | "warning" => Level::WARN,
        "debug" | "verbose" | "silly" => Level::DEBUG,
        _ => Level::INFO,
    };
    tracing_subscriber::fmt()
        .with_ansi(false)
        .event_format(Form)
        .with_max_level(level)
        .with_writer(Out)
        .init();
}

struct Out;

impl<'a> MakeWriter<'a> for Out {
    type Writer = std::io::Stdout;
    fn make_writer(&'a self) -> Self::Writer {
        std::io::stdout()
    }
}

struct Form;

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let moment = clock::now().to_string();
        let time = moment.get(11..23).unwrap_or_default();
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => "debug",
        };
        write!(writer, "{time} [ConfigProxy] {level}: ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
