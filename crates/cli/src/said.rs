//! The words that answers are made of: grains, cursors, kinds, payloads, times.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gleaner::{GrainId, Kind, UnixMillis};
use serde::{Serialize, Serializer};

/// A grain, as the two fields that name it in every object.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Named {
    #[serde(rename = "type")]
    grain_type: String,
    key: String,
    #[serde(skip)]
    grain: GrainId,
}

impl From<&GrainId> for Named {
    fn from(grain: &GrainId) -> Self {
        Self {
            grain_type: grain.grain_type().to_owned(),
            key: grain.grain_key().to_owned(),
            grain: grain.clone(),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.grain.fmt(f)
    }
}

/// For fields whose text is what scripts hand back: cursors, digests.
pub(crate) fn as_text<T: fmt::Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// [`as_text`], or null.
#[expect(clippy::ref_option, reason = "serde hands fields over by reference")]
pub(crate) fn as_text_or_null<T: fmt::Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// The word for a kind, as on the command line.
pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::FullState => "full",
        Kind::Delta => "delta",
        Kind::Tombstone => "tombstone",
    }
}

/// A payload: a field `state` if it is UTF-8, else `state_base64`.
#[derive(Debug, Clone, Serialize)]
pub(crate) enum Payload {
    #[serde(rename = "state")]
    Text(String),
    #[serde(rename = "state_base64")]
    Base64(String),
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }
}

impl Payload {
    /// For a text of several lines: as it is, unless it holds what a terminal would act on.
    pub(crate) fn plain(&self) -> String {
        match self {
            Self::Text(text) if text.chars().all(is_plain) => text.clone(),
            other => other.to_string(),
        }
    }
}

fn is_plain(letter: char) -> bool {
    !letter.is_control() || letter == '\n' || letter == '\t'
}

/// On one line: a quoted text with its control characters escaped, or base64.
impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Base64(code) => write!(f, "base64:{code}"),
        }
    }
}

/// What `state_base64` stands for.
pub(crate) fn from_base64(code: &str) -> Result<Vec<u8>, base64::DecodeError> {
    STANDARD.decode(code)
}

/// A writer's clock for people: a date where it is one.
pub(crate) fn date(at: UnixMillis) -> String {
    // The end of the year 9999.
    const LAST: u64 = 253_402_300_799_999;
    match u64::try_from(at.get()) {
        Ok(millis) if millis <= LAST => {
            let at: SystemTime = UNIX_EPOCH + Duration::from_millis(millis);
            humantime::format_rfc3339_millis(at).to_string()
        }
        _ => format!("{} ms", at.get()),
    }
}

/// An age for people: three digits are enough.
pub(crate) fn age(age: Option<Duration>) -> String {
    match age {
        None => "never confirmed".to_owned(),
        Some(age) if age < Duration::from_secs(1) => format!("{}ms old", age.as_millis()),
        Some(age) => {
            let whole = Duration::from_secs(age.as_secs());
            format!("{} old", humantime::format_duration(whole))
        }
    }
}

/// An age for scripts, in milliseconds.
#[expect(clippy::ref_option, reason = "serde hands fields over by reference")]
pub(crate) fn age_ms<S: Serializer>(
    age: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match age {
        // Whole microseconds: 2.431, not 2.4310069999999997.
        Some(age) => serializer.serialize_f64((age.as_secs_f64() * 1e6).ceil() / 1e3),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_text_where_they_can_be() {
        let said = |bytes: &[u8]| {
            let payload = Payload::from(bytes);
            (
                serde_json::to_string(&payload).unwrap(),
                payload.to_string(),
            )
        };
        assert_eq!(
            said(b"at \"A\""),
            (
                r#"{"state":"at \"A\""}"#.to_owned(),
                r#""at \"A\"""#.to_owned()
            )
        );
        assert_eq!(
            said(&[0xff, 0]),
            (
                r#"{"state_base64":"/wA="}"#.to_owned(),
                "base64:/wA=".to_owned()
            )
        );
        assert_eq!(from_base64("/wA=").unwrap(), [0xff, 0]);
    }

    #[test]
    fn a_terminal_is_told_nothing_to_act_on() {
        let plain = |text: &str| Payload::from(text.as_bytes()).plain();
        assert_eq!(plain("two\nlines\there"), "two\nlines\there");
        assert_eq!(plain("\u{1b}[2J"), r#""\u{1b}[2J""#);
        assert_eq!(plain("\u{9b}2J"), r#""\u{9b}2J""#);
    }

    #[test]
    fn no_clock_is_too_strange_to_be_shown() {
        assert_eq!(date(UnixMillis::new(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            date(UnixMillis::new(253_402_300_799_999)),
            "9999-12-31T23:59:59.999Z"
        );
        for strange in [-1, i64::MIN, i64::MAX, 253_402_300_800_000] {
            assert_eq!(date(UnixMillis::new(strange)), format!("{strange} ms"));
        }
    }
}
