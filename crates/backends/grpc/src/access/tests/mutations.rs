//! A file with damage of any kind: it is refused, or it admits nobody new.

use super::*;

/// `SplitMix64`: the same damage in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    /// What JSON is made of, and anything.
    fn byte(&mut self) -> u8 {
        let likely = b"{}[]\",:\\ \n\r#\0nul0123456789abcdefread";
        match self.below(4) {
            0 => self.next().to_le_bytes()[0],
            _ => likely[self.below(likely.len())],
        }
    }

    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        start..(start + self.below(40)).min(bytes.len())
    }

    /// One piece of damage.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        match self.below(7) {
            0 if !bytes.is_empty() => {
                let at = self.below(bytes.len());
                bytes[at] ^= 1 << self.below(8);
            }
            1 if !bytes.is_empty() => {
                let at = self.below(bytes.len());
                bytes[at] = self.byte();
            }
            2 => {
                let at = self.below(bytes.len() + 1);
                bytes.insert(at, self.byte());
            }
            3 => drop(bytes.drain(self.range(bytes))),
            4 => {
                let piece = bytes[self.range(bytes)].to_vec();
                let at = self.below(bytes.len() + 1);
                bytes.splice(at..at, piece);
            }
            5 => bytes.truncate(self.below(bytes.len() + 1)),
            _ => {
                let mut lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
                let (one, other) = (self.below(lines.len()), self.below(lines.len()));
                lines.swap(one, other);
                *bytes = lines.join(&b'\n');
            }
        }
    }
}

#[test]
fn five_thousand_damaged_files_admit_nobody_new() {
    let secrets: Vec<Secret> = (0..4).map(|_| Secret::draw().unwrap()).collect();
    let scope = [
        Filter::grain_type("aircraft").key_prefix("N1"),
        Filter::grain_type("airport"),
    ];
    let whole: Vec<String> = ["# tokens".to_owned()]
        .into_iter()
        .chain((0..).zip(&secrets).map(|(n, secret)| {
            let rules = &scope[..n % 3];
            let expires = (n == 3).then_some(UNIX_EPOCH + Duration::from_secs(1 << 32));
            secret
                .line(&format!("t{n}"), reads(), rules, expires)
                .unwrap()
        }))
        .collect();
    let whole = whole.join("\n").into_bytes();
    assert_eq!(Table::parse(&whole).ok().unwrap().grants().len(), 4);

    let strangers = [
        TokenHash::of(b""),
        TokenHash::of(b"\n"),
        TokenHash::of(b"guess"),
        TokenHash::of(&whole),
        TokenHash::of(Secret::draw().unwrap().expose().as_bytes()),
        TokenHash::NONE,
    ];
    let (mut good, mut bad) = (0, 0);
    for seed in 0..5_000 {
        let mut dice = Dice(seed);
        let mut bytes = whole.clone();
        for _ in 0..=dice.below(3) {
            dice.damage(&mut bytes);
        }
        let Ok(table) = Table::parse(&bytes) else {
            bad += 1;
            continue;
        };
        good += 1;
        for stranger in &strangers {
            assert!(table.presented(stranger).is_none(), "seed {seed}");
            assert!(table.of(stranger).is_none(), "seed {seed}");
        }
        // Those that are admitted are so with a right, and by no more than one line.
        for grant in table.grants() {
            assert!(!grant.rights().is_empty(), "seed {seed}");
            let found = table.presented(&grant.hash).unwrap();
            assert!(Arc::ptr_eq(found, grant), "seed {seed}");
        }
    }
    // Both happen, or nothing was tried.
    assert!(good > 200 && bad > 2_000, "{good} good, {bad} bad");
}
