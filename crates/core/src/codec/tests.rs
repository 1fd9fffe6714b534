use serde::Deserialize;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Plane {
    tail: String,
    flights: u32,
    delay: i64,
    grounded: bool,
    legs: Vec<u16>,
    note: Option<String>,
    phase: Phase,
    factor: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Phase {
    Gate,
    Air(f64),
}

fn plane() -> Plane {
    Plane {
        tail: "N14228".to_owned(),
        flights: 7,
        delay: -12,
        grounded: true,
        legs: vec![1, 513],
        note: None,
        phase: Phase::Air(1.5),
        factor: 0.25,
    }
}

/// What a [`plane`] has been on disk since the first version, byte by byte.
const GOLDEN: &[u8] = &[
    6, 0, 0, 0, 0, 0, 0, 0, b'N', b'1', b'4', b'2', b'2', b'8', // tail: u64 length, bytes
    7, 0, 0, 0, // flights
    0xf4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // delay, two's complement
    1,    // grounded
    2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 2, // legs: u64 count, u16 each
    0, // note: none
    1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, // phase: u32 tag, then the f64
    0, 0, 0, 0, 0, 0, 0xd0, 0x3f, // factor
];

fn decode<T: Serialize + DeserializeOwned>(payload: &[u8]) -> Result<T, CodecError> {
    let codec: Bincode = Bincode;
    codec.decode(&Bytes::copy_from_slice(payload), Schema::default())
}

#[test]
fn golden_bytes() {
    let codec: Bincode = Bincode;
    assert_eq!(codec.encode(&plane()).unwrap(), GOLDEN);
    assert_eq!(decode::<Plane>(GOLDEN).unwrap(), plane());
}

#[test]
fn every_cut_and_every_trailing_byte_is_refused() {
    for end in 0..GOLDEN.len() {
        assert!(decode::<Plane>(&GOLDEN[..end]).is_err(), "cut at {end}");
    }
    for more in 1..4 {
        let longer = [GOLDEN, &[0; 8][..more]].concat();
        let error = decode::<Plane>(&longer).unwrap_err().to_string();
        assert_eq!(error, format!("{more} bytes are left over"));
    }
    let error = decode::<()>(&[0]).unwrap_err().to_string();
    assert_eq!(error, "1 bytes are left over");
}

#[test]
fn the_limit_holds_both_ways() {
    // 8 bytes of length and 8 of text are 16.
    let small: Bincode<16> = Bincode;
    let fits = "12345678".to_owned();
    let payload = small.encode(&fits).unwrap();
    assert_eq!(payload.len(), 16);
    let back: String = small.decode(&payload, Schema::default()).unwrap();
    assert_eq!(back, fits);

    let over = "123456789".to_owned();
    assert!(small.encode(&over).is_err());
    let large: Bincode = Bincode;
    let payload = large.encode(&over).unwrap();
    let refused: Result<String, _> = small.decode(&payload, Schema::default());
    let error = refused.unwrap_err().to_string();
    assert_eq!(error, "payload of 17 bytes is over the limit of 16");
}

/// A length that the payload cannot hold is refused before memory is taken for it: 2^60 elements
/// would end the process otherwise.
#[test]
fn hostile_lengths_are_refused() {
    for length in [1_u64 << 60, u64::MAX, 1 << 30, (16 << 20) + 1, 9] {
        let mut payload = length.to_le_bytes().to_vec();
        payload.extend_from_slice(b"12345678");
        assert!(decode::<String>(&payload).is_err(), "{length}");
        assert!(decode::<Vec<u8>>(&payload).is_err(), "{length}");
        assert!(decode::<Vec<u64>>(&payload).is_err(), "{length}");
        assert!(decode::<Vec<Vec<String>>>(&payload).is_err(), "{length}");
        let map = decode::<std::collections::BTreeMap<u64, u64>>(&payload);
        assert!(map.is_err(), "{length}");
    }
}

#[test]
fn nonsense_is_an_error() {
    assert!(decode::<bool>(&[2]).is_err());
    assert!(decode::<Option<u8>>(&[2, 0]).is_err());
    assert!(decode::<Phase>(&[9, 0, 0, 0]).is_err());
    assert!(decode::<char>(&[0xff, 0, 0, 0]).is_err());
    let not_utf8 = [1, 0, 0, 0, 0, 0, 0, 0, 0xff];
    assert!(decode::<String>(&not_utf8).is_err());
}

#[test]
fn raw_passes_the_bytes_themselves() {
    let bytes = Bytes::from_static(b"as they are");
    let payload = Raw.encode(&bytes).unwrap();
    assert_eq!(payload.as_ptr(), bytes.as_ptr());
    let state = crate::RawState::copy_of(&payload);
    let at = state.as_ptr();
    let raw: crate::RawState = Raw.decode_state(state.clone(), Schema::new(9)).unwrap();
    let back: Bytes = Raw.decode_state(state, Schema::new(9)).unwrap();
    assert_eq!((raw.as_ptr(), back.as_ptr()), (at, at));
    // Of a plain slice there is nobody to share with.
    let copied: Bytes = Raw.decode(&payload, Schema::new(9)).unwrap();
    assert_eq!(copied, payload);
}
