//! Lines of standard input: an object each, gathered into batches as they come.

use std::io::{BufRead, BufReader, Read};

use gleaner::{GrainId, Kind, Limits, Schema};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::failure::{Failure, Kind as FailureKind, Result};
use crate::pen::Wish;
use crate::said::from_base64;

/// Lines that were read, or why the next one could not be. The last item if it is a failure.
pub(crate) type Batch = Result<Vec<Wish>>;

/// Reads standard input on a thread of its own, which ends with it or when nobody takes batches any
/// more. A batch is what lies ready, within the limits of one; a line never waits for another one.
///
/// Three batches are held at most: the one that is filled, the one that waits, the one that is written.
pub(crate) fn read(limits: Limits, schema: Schema) -> mpsc::Receiver<Batch> {
    let (batches, taken) = mpsc::channel(1);
    // Not a thread of the runtime, which would wait for the end of the input when it ends itself.
    std::thread::spawn(move || {
        let input = BufReader::with_capacity(256 << 10, std::io::stdin().lock());
        // An error means that nobody reads on.
        let _ = gather(input, limits, schema, |batch| {
            batches.blocking_send(batch).is_ok()
        });
    });
    taken
}

/// Hands over batches until the end or until they are not taken any more.
fn gather<R: Read>(
    mut input: BufReader<R>,
    limits: Limits,
    schema: Schema,
    mut take: impl FnMut(Batch) -> bool,
) -> bool {
    let longest = longest(limits);
    let mut batch: Vec<Wish> = Vec::new();
    let mut bytes = 0;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = (&mut input).take(longest).read_until(b'\n', &mut line);
        let wish = match read {
            Ok(0) => break,
            Ok(read) if read as u64 == longest && !line.ends_with(b"\n") => {
                Err(bad("it is too long to hold a state that the log takes"))
            }
            Ok(_) => parse(&line, schema),
            Err(error) => Err(Failure::io("standard input", &error)),
        };
        match wish {
            Ok(None) => {}
            Ok(Some(wish)) => {
                bytes += wish.payload.len();
                batch.push(Wish {
                    line: Some(number),
                    ..wish
                });
            }
            Err(failure) => {
                return take(Ok(batch)) && take(Err(failure.on_line(Some(number))));
            }
        }
        let full = batch.len() >= limits.max_batch_entries()
            || bytes + limits.max_payload() > limits.max_batch_bytes();
        // An empty buffer means that the next line has to be waited for.
        if !batch.is_empty() && (full || input.buffer().is_empty()) {
            if !take(Ok(std::mem::take(&mut batch))) {
                return false;
            }
            bytes = 0;
        }
    }
    batch.is_empty() || take(Ok(batch))
}

/// What the largest state takes with every byte escaped (`\u0000`), and as much for the other fields
/// as two names take.
fn longest(limits: Limits) -> u64 {
    let names = 2 * 6 * GrainId::MAX_PART + 1024;
    (limits.max_payload() as u64)
        .saturating_mul(6)
        .saturating_add(names as u64)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(rename = "type")]
    grain_type: String,
    key: String,
    #[serde(default)]
    kind: LineKind,
    state: Option<String>,
    state_base64: Option<String>,
    schema: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LineKind {
    #[default]
    Full,
    Delta,
    Tombstone,
}

/// A line's entry; none on a blank one.
fn parse(line: &[u8], schema: Schema) -> Result<Option<Wish>> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| bad(&what(&error)))?;
    let grain = GrainId::new(line.grain_type, line.key).map_err(|error| bad(&error.to_string()))?;
    let state = match (line.state, line.state_base64) {
        (Some(_), Some(_)) => return Err(bad("it has both a state and a state_base64")),
        (Some(state), None) => Some(state.into_bytes()),
        (None, Some(code)) => {
            Some(from_base64(&code).map_err(|error| bad(&format!("state_base64: {error}")))?)
        }
        (None, None) => None,
    };
    let (kind, payload) = match (line.kind, state) {
        (LineKind::Tombstone, None) => (Kind::Tombstone, Vec::new()),
        (LineKind::Tombstone, Some(_)) => return Err(bad("a tombstone has no state")),
        (LineKind::Full, Some(state)) => (Kind::FullState, state),
        (LineKind::Delta, Some(state)) => (Kind::Delta, state),
        (_, None) => return Err(bad("it has neither a state nor a state_base64")),
    };
    Ok(Some(Wish {
        line: None,
        grain,
        kind,
        schema: line.schema.map_or(schema, Schema::new),
        payload: payload.into(),
    }))
}

/// A parser's complaint with the place in the line, which is the only one that it knows.
fn what(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let said = said
        .rsplit_once(" at line ")
        .map_or(&*said, |(said, _)| said);
    match error.column() {
        0 => said.to_owned(),
        column => format!("{said}, at its byte {column}"),
    }
}

fn bad(why: &str) -> Failure {
    Failure::new(FailureKind::Input, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one piece a read, as a pipe does.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            to[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn batches(pieces: Vec<&'static [u8]>, limits: Limits) -> Vec<Result<Vec<String>, String>> {
        let mut told = Vec::new();
        let input = BufReader::with_capacity(4096, Pieces(pieces));
        gather(input, limits, Schema::new(3), |batch| {
            told.push(match batch {
                Ok(wishes) => Ok(wishes.iter().map(text).collect()),
                Err(failure) => Err(format!("{failure:?}")),
            });
            true
        });
        told
    }

    fn text(wish: &Wish) -> String {
        format!(
            "{} {} {:?} {} {:?}",
            wish.line.unwrap(),
            wish.grain,
            wish.kind,
            wish.schema,
            wish.payload
        )
    }

    #[test]
    fn a_batch_is_what_lies_ready() {
        let told = batches(
            vec![
                b"{\"type\":\"a\",\"key\":\"1\",\"state\":\"x\"}\n\n{\"type\":\"a\",\"key\":\"2\",",
                b"\"kind\":\"delta\",\"schema\":9,\"state_base64\":\"/wA=\"}\n",
                b"{\"type\":\"a\",\"key\":\"1\",\"kind\":\"tombstone\"}",
            ],
            Limits::default(),
        );
        assert_eq!(
            told,
            [
                Ok(vec![
                    r#"1 a "1" FullState 3 b"x""#.to_owned(),
                    r#"3 a "2" Delta 9 b"\xff\0""#.to_owned(),
                ]),
                Ok(vec![r#"4 a "1" Tombstone 3 b"""#.to_owned()]),
            ]
        );
    }

    #[test]
    fn a_batch_is_within_the_limits() {
        let line: &[u8] = b"{\"type\":\"a\",\"key\":\"1\",\"state\":\"xxxx\"}\n";
        let lines: &'static [u8] = line.repeat(7).leak();
        let sizes = |limits| -> Vec<usize> {
            let told = batches(vec![lines], limits);
            told.into_iter().map(|batch| batch.unwrap().len()).collect()
        };
        let limits = Limits::default().with_max_payload(4);
        assert_eq!(sizes(limits.with_max_batch_entries(3)), [3, 3, 1]);
        assert_eq!(sizes(limits.with_max_batch_bytes(8)), [2, 2, 2, 1]);
    }

    #[test]
    fn what_precedes_a_bad_line_is_handed_over() {
        let told = batches(
            vec![b"{\"type\":\"a\",\"key\":\"1\",\"state\":\"x\"}\n{]\n{}\n"],
            Limits::default(),
        );
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].as_ref().unwrap().len(), 1);
        let failure = told[1].as_ref().unwrap_err();
        assert!(
            failure.contains("line 2: key must be a string"),
            "{failure}"
        );
    }

    #[test]
    fn every_bad_line_is_told_why() {
        for (line, why) in [
            ("{}", "missing field `type`"),
            (r#"{"type":"a","key":"1","state":1}"#, "invalid type"),
            (r#"{"type":"a","key":"1"}"#, "neither a state"),
            (
                r#"{"type":"a","key":"1","state":"x","state_base64":""}"#,
                "both",
            ),
            (
                r#"{"type":"a","key":"1","state_base64":"?"}"#,
                "state_base64: ",
            ),
            (
                r#"{"type":"a","key":"","state":"x"}"#,
                "grain key is 0 bytes",
            ),
            (
                r#"{"type":"a","key":"1","state":"x","sate":1}"#,
                "unknown field",
            ),
            (r#"{"type":"a","key":"1","kind":"dead"}"#, "unknown variant"),
            (
                r#"{"type":"a","key":"1","kind":"tombstone","state":""}"#,
                "a tombstone has no state",
            ),
        ] {
            let failure = format!(
                "{:?}",
                parse(line.as_bytes(), Schema::default()).unwrap_err()
            );
            assert!(failure.contains(why), "{line}: {failure}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_read_to_its_end() {
        let limits = Limits::default().with_max_payload(1);
        let endless: &'static [u8] = b"x".repeat(4096).leak();
        let told = batches(vec![endless; 100], limits);
        let failure = told.last().unwrap().as_ref().unwrap_err();
        assert!(failure.contains("line 1: it is too long"), "{failure}");
    }
}
