//! What a test has to say although it has passed.

use std::io::{self, Write as _};

/// Writes a line that is seen whatever becomes of the test: past the capture of what tests print.
pub fn say(line: &str) {
    let written = io::stderr().write_all(format!("{line}\n").as_bytes());
    written.expect("standard error takes what it is given");
}
