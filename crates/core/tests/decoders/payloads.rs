//! `Bincode` decoding of several types.

use std::collections::BTreeMap;

use bytes::Bytes;
use gleaner_core::{Bincode, Codec, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::corpus::samples;
use crate::mutation::{Mutator, hex};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plane {
    pub(crate) tail: String,
    pub(crate) flights: u32,
    pub(crate) delay: i64,
    pub(crate) grounded: bool,
    pub(crate) legs: Vec<u16>,
    pub(crate) note: Option<String>,
    pub(crate) phase: Phase,
    pub(crate) factor: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Gate,
    Air(f64),
}

type Nested = Vec<Vec<String>>;
type Table = BTreeMap<String, Option<(u16, char)>>;
type Wide = (u128, i128, i8, u16);

/// Whether a payload is a value. If it is, the value must say so again: its encoding is the payload
/// (`exact`), or, where several payloads are one value (a map), one that decodes to the same.
fn accepts<T: Serialize + DeserializeOwned>(payload: &[u8], exact: bool) -> bool {
    let codec: Bincode = Bincode;
    let payload = Bytes::copy_from_slice(payload);
    let decoded: Result<T, _> = codec.decode(&payload, Schema::default());
    let narrow: Bincode<24> = Bincode;
    let in_narrow: Result<T, _> = narrow.decode(&payload, Schema::default());
    assert!(in_narrow.is_err() || payload.len() <= 24, "over the limit");
    let Ok(value) = decoded else {
        assert!(in_narrow.is_err(), "a smaller limit accepts more");
        return false;
    };
    let again = codec.encode(&value).unwrap();
    if exact {
        assert_eq!(hex(&again), hex(&payload));
    } else {
        assert!(again.len() <= payload.len());
        let back: T = codec.decode(&again, Schema::default()).unwrap();
        assert_eq!(codec.encode(&back).unwrap(), again);
    }
    true
}

/// A decoder by its name in the corpus.
type Decoder = (&'static str, fn(&[u8]) -> bool);

const DECODERS: [Decoder; 5] = [
    ("plane", |payload| accepts::<Plane>(payload, true)),
    ("nested", |payload| accepts::<Nested>(payload, true)),
    ("table", |payload| accepts::<Table>(payload, false)),
    ("wide", |payload| accepts::<Wide>(payload, true)),
    ("bytes", |payload| accepts::<Vec<u8>>(payload, true)),
];

#[test]
fn every_file_of_the_corpus_behaves_as_it_is_named() {
    let samples = samples("bincode", 28);
    for (what, accepts) in DECODERS {
        let own: Vec<_> = samples.iter().filter(|it| it.part(0) == what).collect();
        assert!(own.len() >= 2, "{what}");
        for sample in own {
            let expected = match sample.part(1) {
                "ok" => true,
                "refused" => false,
                other => panic!("{}: {other} is no verdict", sample.name),
            };
            assert_eq!(accepts(&sample.bytes), expected, "{}", sample.name);
        }
    }
    let known = |name: &str| DECODERS.iter().any(|(what, _)| *what == name);
    assert!(samples.iter().all(|sample| known(sample.part(0))));
}

/// Whatever the bytes: a value or an error, no panic, and no memory for lengths that are not there
/// (2^60 elements would end the process).
#[test]
fn mutated_payloads_are_values_or_errors() {
    let all = samples("bincode", 28);
    let rounds = 20_000;
    for (number, (origin, own_accepts)) in (0_u64..).zip(DECODERS) {
        let own: Vec<_> = all
            .iter()
            .filter(|it| it.part(0) == origin)
            .cloned()
            .collect();
        let mut accepted = 0;
        for seed in number * rounds..(number + 1) * rounds {
            let payload = Mutator::new(seed).mutate(&own, &all);
            for (what, accepts) in DECODERS {
                let tried = std::panic::catch_unwind(|| accepts(&payload));
                assert!(
                    tried.is_ok(),
                    "seed {seed}: {what} fails on {}",
                    hex(&payload)
                );
            }
            accepted += u64::from(own_accepts(&payload));
        }
        // The mutations are neither all noise nor all harmless.
        assert!(
            (50..rounds - 50).contains(&accepted),
            "{origin}: {accepted} of {rounds}"
        );
    }
}
