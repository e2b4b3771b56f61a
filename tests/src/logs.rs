//! What a node logs, kept for a test to read.

use std::io;
use std::sync::{Arc, Mutex};

/// A writer whose text can be read. Clones share the text.
#[derive(Clone, Debug, Default)]
pub struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    /// All that was written up to now.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().expect("no code under this lock panics");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no code under this lock panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
