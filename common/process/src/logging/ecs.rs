//! One JSON object a line, with the fields of the Elastic Common Schema.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The version of the schema whose names these are.
const VERSION: &str = "8.11.0";

/// Our fields that the schema has a name for; all others are labels, which are texts.
/// `packaging/monitoring/elasticsearch` has a mapping for each.
const NAMES: &[(&str, &str)] = &[
    ("action", "event.action"),
    ("outcome", "event.outcome"),
    ("reason", "event.reason"),
    ("user", "user.name"),
    ("user_id", "user.id"),
    ("group", "group.name"),
    ("host", "host.name"),
    ("container", "container.id"),
    ("image", "container.image.name"),
    ("address", "client.ip"),
    ("error", "error.message"),
    ("gpu", "berth.gpu.uuid"),
    ("gpu_model", "berth.gpu.model"),
    ("gpu_utilization", "berth.gpu.utilization"),
    ("memory_limit", "berth.memory.limit"),
    ("memory_peak", "berth.memory.peak"),
    ("memory_used", "berth.memory.used"),
    ("server", "labels.server_id"),
    ("decision", "labels.decision_id"),
];

/// Writes events as such lines.
pub struct Lines {
    /// The program.
    pub service: &'static str,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::default();
        line.put("@timestamp", crate::clock::now().to_string().into());
        line.put("log.level", level(*event.metadata().level()).into());
        line.put("log.logger", event.metadata().target().into());
        line.put("ecs.version", VERSION.into());
        line.put("service.name", self.service.into());
        line.put("event.kind", "event".into());
        event.record(&mut line);
        writeln!(writer, "{}", Value::Object(line.fields))
    }
}

/// The schema's word for what an action is about.
fn category(action: &str) -> Option<&'static str> {
    match action {
        "decision" | "server-start" | "server-stop" | "warning" | "extend" | "oom" | "resize" => {
            Some("process")
        }
        "login" | "enter-server" => Some("authentication"),
        "config-reload" => Some("configuration"),
        "drain-begin" | "drain-end" | "host-cordon" | "host-open" | "host-state" => Some("host"),
        _ => None,
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

#[derive(Default)]
struct Line {
    fields: Map<String, Value>,
}

impl Line {
    fn put(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    /// A field of ours under its name in the schema.
    fn take(&mut self, field: &Field, value: Value) {
        let known = NAMES.iter().find(|(ours, _)| *ours == field.name());
        match (field.name(), known) {
            ("message", _) => self.put("message", value),
            // The schema counts durations in nanoseconds.
            ("seconds", _) => {
                let nanoseconds = value.as_f64().map(|seconds| (seconds * 1e9) as u64);
                self.put("event.duration", nanoseconds.into());
            }
            (ours, Some((_, name))) => {
                let text = value.as_str().unwrap_or_default();
                if let Some(category) = category(text).filter(|_| ours == "action") {
                    self.put("event.category", Value::from(vec![category]));
                }
                // What came of one request shares its number: the schema's is twice as long.
                if ours == "decision" && text.len() == 16 {
                    self.put("trace.id", format!("{text:0>32}").into());
                }
                self.put(name, value);
            }
            (name, None) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.put(&format!("labels.{name}"), text.into());
            }
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.take(field, value.to_string().into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that something writes.
    fn lines(something: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Lines { service: "berth-hub" })
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, something);
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_event_is_one_line_with_the_names_of_the_schema() {
        let lines = lines(|| {
            let (user, reason) = ("alice", "wait.gpu.busy");
            let (decision, user_id) = ("2026051204510000", "41021");
            tracing::info!(action = "decision", %user, user_id, group = "lsst", reason, decision,
                seconds = 0.5, pool = "gpu", "waits");
            tracing::warn!(places = 3, ok = true, "two\nlines \"quoted\"");
        });
        let [waits, two] = lines.as_slice() else { panic!("{lines:?}") };
        for (name, value) in [
            ("event.action", Value::from("decision")),
            ("event.reason", "wait.gpu.busy".into()),
            ("event.duration", 500_000_000_u64.into()),
            ("user.name", "alice".into()),
            ("labels.pool", "gpu".into()),
            ("event.category", vec!["process"].into()),
            ("user.id", "41021".into()),
            ("group.name", "lsst".into()),
            ("labels.decision_id", "2026051204510000".into()),
            ("trace.id", "00000000000000002026051204510000".into()),
            ("log.level", "info".into()),
            ("service.name", "berth-hub".into()),
            ("message", "waits".into()),
        ] {
            assert_eq!(waits[name], value, "{name} in {waits}");
        }
        assert!(waits["@timestamp"].as_str().unwrap().ends_with('Z'), "{waits}");
        assert_eq!(two["message"], "two\nlines \"quoted\"");
        assert_eq!((&two["labels.places"], &two["labels.ok"]), (&"3".into(), &"true".into()));
    }

    /// Whatever lines may hold, the index knows it.
    #[test]
    fn each_field_has_a_mapping_in_the_index_template() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../packaging/monitoring/elasticsearch/berth-logs.json"
        );
        let text = std::fs::read_to_string(file).unwrap();
        let template: Value = serde_json::from_str(&text).unwrap();
        let properties = &template["template"]["mappings"]["properties"];
        let mapped = |name: &str| {
            let path = name.replace('.', "/properties/");
            properties.pointer(&format!("/{path}/type")).is_some()
        };
        let always = [
            "@timestamp",
            "message",
            "log.level",
            "log.logger",
            "ecs.version",
            "service.name",
            "event.kind",
            "event.category",
            "event.duration",
            "trace.id",
        ];
        for name in NAMES.iter().map(|(_, name)| *name).chain(always) {
            assert!(mapped(name) || name.starts_with("labels."), "{name} has no mapping");
        }
        assert!(!mapped("event.nothing"));
        let dynamic = &template["template"]["mappings"]["dynamic_templates"];
        assert_eq!(dynamic[0]["labels"]["path_match"], "labels.*");
    }
}
