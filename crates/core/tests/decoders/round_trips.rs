//! What was encoded comes back, whole; a part of it does not.

use bytes::Bytes;
use gleaner_core::{Bincode, Codec, Schema};
use proptest::prelude::*;

use crate::payloads::{Phase, Plane};

fn plane() -> impl Strategy<Value = Plane> {
    let phase = prop_oneof![Just(Phase::Gate), any::<f64>().prop_map(Phase::Air),];
    let words = ("(?s).{0,12}", proptest::option::of("(?s).{0,12}"));
    let numbers = (any::<u32>(), any::<i64>(), any::<bool>(), any::<f64>());
    let legs = proptest::collection::vec(any::<u16>(), 0..8);
    (words, numbers, legs, phase).prop_map(
        |((tail, note), (flights, delay, grounded, factor), legs, phase)| Plane {
            tail,
            flights,
            delay,
            grounded,
            legs,
            note,
            phase,
            factor,
        },
    )
}

proptest! {
    // A failure prints the input that it was shrunk to; no file is kept beside the sources.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_comes_back_and_no_part_of_it_does(
        plane in plane(), more in proptest::collection::vec(any::<u8>(), 1..10),
    ) {
        let codec: Bincode = Bincode;
        let payload = codec.encode(&plane).unwrap();
        let decode = |payload: &[u8]| -> Result<Plane, _> {
            codec.decode(&Bytes::copy_from_slice(payload), Schema::default())
        };
        let back = decode(&payload).unwrap();
        prop_assert_eq!(codec.encode(&back).unwrap(), payload.clone());
        prop_assert_eq!(back, plane);
        for end in 0..payload.len() {
            prop_assert!(decode(&payload[..end]).is_err(), "cut at {}", end);
        }
        prop_assert!(decode(&[&payload, &more[..]].concat()).is_err());
    }

    #[test]
    fn a_limit_is_the_same_both_ways(text in "(?s).{0,40}") {
        let narrow: Bincode<48> = Bincode;
        let wide: Bincode = Bincode;
        let payload = wide.encode(&text).unwrap();
        let fits = payload.len() <= 48;
        prop_assert_eq!(narrow.encode(&text).is_ok(), fits);
        let back: Result<String, _> = narrow.decode(&payload, Schema::default());
        prop_assert_eq!(back.is_ok(), fits);
    }
}
