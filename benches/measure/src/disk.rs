//! What the disk itself can do, measured beside.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::lines::quantile;
use crate::time::nanos;

const WRITES: u32 = 200;

/// The median of writing 4 KiB at the end of a file in `folder` and making it durable, milliseconds.
///
/// # Errors
/// Those of the file.
pub fn fsync_p50_ms(folder: &Path) -> io::Result<f64> {
    let path = folder.join("fsync");
    let mut file = File::create(&path)?;
    let mut samples = Vec::new();
    for _ in 0..WRITES {
        let began = nanos();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        samples.push((nanos() - began) as f64 / 1e6);
    }
    drop(file);
    std::fs::remove_file(path)?;
    quantile(&mut samples, 0.5).ok_or_else(|| io::Error::other("nothing was written"))
}
