//! The checked-in files. A name is `what.verdict.why.bin`, or `verdict.why.bin` for entries: each file
//! must go on behaving as it is named. What the fuzzer ever finds is added here.

use std::path::PathBuf;

#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl Sample {
    /// The part of its name at a place.
    pub(crate) fn part(&self, at: usize) -> &str {
        self.name.split('.').nth(at).unwrap()
    }
}

/// The files of a folder, in order of their names; a folder that lost its files is a failure.
pub(crate) fn samples(folder: &str, at_least: usize) -> Vec<Sample> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "corpus", folder]
        .iter()
        .collect();
    let mut samples: Vec<Sample> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            Sample {
                name: file.file_name().into_string().unwrap(),
                bytes: std::fs::read(file.path()).unwrap(),
            }
        })
        .collect();
    samples.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(samples.len() >= at_least, "{} files", samples.len());
    samples
}
