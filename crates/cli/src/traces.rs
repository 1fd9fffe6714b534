//! What the library has to say meanwhile (a log that cannot be reached, a replica that diverged), on
//! standard error: lines for people, or objects with `--json`.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Shows warnings and errors from now on.
pub(crate) fn begin(json: bool) {
    let traces = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(LevelFilter::WARN);
    if json {
        traces.event_format(Objects).init();
    } else {
        traces.event_format(Lines).init();
    }
}

/// `gleaner: warning: the log cannot be reached; backing off (error: ...)`.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let told = Told::of(event);
        write!(to, "gleaner: {}: {}", level(event), told.message)?;
        let mut fields = String::new();
        for (name, value) in &told.fields {
            let comma = if fields.is_empty() { "" } else { ", " };
            match value {
                Value::String(text) => write!(fields, "{comma}{name}: {text}")?,
                other => write!(fields, "{comma}{name}: {other}")?,
            }
        }
        if !fields.is_empty() {
            write!(to, " ({fields})")?;
        }
        writeln!(to)
    }
}

/// `{"warning":{"message":"the log cannot be reached; backing off","error":"..."}}`.
///
/// An error that does not end the command is told as a `warning` of level `error`: a line with
/// `error` is the last.
struct Objects;

impl<S, N> FormatEvent<S, N> for Objects
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut told = Told::of(event);
        told.fields
            .insert("message".to_owned(), told.message.into());
        told.fields.insert("level".to_owned(), level(event).into());
        writeln!(to, "{}", serde_json::json!({ "warning": told.fields }))
    }
}

fn level(event: &Event<'_>) -> &'static str {
    match *event.metadata().level() {
        tracing::Level::ERROR => "error",
        _ => "warning",
    }
}

/// An event's message and its other fields.
#[derive(Default)]
struct Told {
    message: String,
    fields: Map<String, Value>,
}

impl Told {
    fn of(event: &Event<'_>) -> Self {
        let mut told = Self::default();
        event.record(&mut told);
        told
    }

    fn keep(&mut self, field: &Field, value: Value) {
        match value {
            Value::String(text) if field.name() == "message" => self.message = text,
            value => {
                self.fields.insert(field.name().to_owned(), value);
            }
        }
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.keep(field, crate::failure::with_causes(value).into());
    }
}
