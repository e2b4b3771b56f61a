use std::path::Path;

use super::*;

/// All tasks that the first byte of a session can name.
const TASKS: u8 = 3 * 3 * 2 * 3 * 2;

/// What lies in `fuzz/seeds`: odd servers that were met, edges of the state machine, and what a fuzzer has found.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let seeds: Vec<_> = files.map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds
}

#[test]
fn replies_that_were_met_are_read_in_any_portions() {
    for seed in seeds("reply") {
        replies(&seed);
        for portion in 0..=u8::MAX {
            replies(&[&[portion], &seed[1..]].concat());
        }
    }
}

#[test]
fn the_session_stays_sane_with_the_servers_that_were_met() {
    for seed in seeds("session") {
        session(&seed);
        for task in 0..TASKS {
            for portion in [0, 1, 7] {
                session(&[&[task, portion], &seed[2..]].concat());
            }
        }
    }
}
