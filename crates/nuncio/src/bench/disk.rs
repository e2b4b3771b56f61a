//! How fast the disk is at what a commit waits for.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// Bytes of each write: about what a commit of one job puts into the log of the store.
const WRITE: usize = 8 * 1024;
/// How many writes are timed.
const WRITES: u32 = 200;

/// How long a write of 8 KiB takes until it is on disk, in a file that grows in `folder`.
pub(super) fn synced_writes(folder: &Path) -> std::io::Result<Vec<Duration>> {
    let path = folder.join("disk");
    let mut file = File::create(&path)?;
    let block = [0x5a; WRITE];
    let mut spans = Vec::new();
    for _write in 0..WRITES {
        let begun = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        spans.push(begun.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(spans)
}

/// Bytes of all files below `folder`.
pub(super) fn size(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() { size(&entry.path())? } else { about.len() };
    }
    Ok(sum)
}
